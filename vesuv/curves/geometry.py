"""Planes in a borehole and their sinusoids in its image: (dip, azimuth) and (amplitude, phase).

The image is (row, column): row r lies r pixels below the top, and columns divide the circle from
north, clockwise. A plane of dip δ that dips towards azimuth α cuts a hole of radius R in

    row(θ) = depth + A sin(θ + φ),  A = R tan δ / pixel,  φ = 90° - α,

so that its deepest point is at θ = α.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Angles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Borehole:
    """Size of a hole and of the pixels of its image."""

    diameter_mm: float
    pixel_mm: float
    """Height of a pixel along the hole."""

    def amplitude(self, dip: npt.ArrayLike) -> Angles:
        """Return the amplitude in pixels of planes.

        Args:
            dip: Angle to the plane across the hole, in degrees, from 0 to below 90.
        """
        return np.asarray(self._radius * np.tan(np.radians(dip)))

    def dip(self, amplitude: npt.ArrayLike) -> Angles:
        """Return the dip in degrees of sinusoids of an amplitude in pixels."""
        return np.asarray(np.degrees(np.arctan(np.asarray(amplitude) / self._radius)))

    def rows(self, depth: float, dip: float, azimuth: float, columns: int) -> Angles:
        """Return the row of a plane's sinusoid in each column.

        Args:
            depth: Row of the plane on the axis of the hole.
            dip: In degrees.
            azimuth: Direction in which the plane dips, in degrees from north, clockwise.
            columns: Columns of the image.
        """
        angle = column_angles(columns) + phase(azimuth)
        return np.asarray(depth + self.amplitude(dip) * np.sin(angle))

    @property
    def _radius(self) -> float:
        """Radius of the hole in pixels."""
        return self.diameter_mm / 2 / self.pixel_mm


REFERENCE_HOLE = Borehole(200.0, 5.0)
"""Hole in which the detector states dips: it sees amplitudes in rows, and no size of the hole."""


def phase(azimuth: npt.ArrayLike) -> Angles:
    """Return φ in radians of planes that dip towards an azimuth in degrees."""
    return np.asarray(np.radians(90.0 - np.asarray(azimuth, dtype=np.float64)))


def azimuth_of(phase: npt.ArrayLike) -> Angles:
    """Return the azimuth in degrees, from 0 to below 360, of φ in radians."""
    return np.asarray(np.mod(90.0 - np.degrees(phase), 360.0))


def column_angles(columns: int) -> Angles:
    """Return the angle of each column in radians, clockwise from north."""
    return np.arange(columns, dtype=np.float64) * (2 * np.pi / columns)


def angle_difference(first: npt.ArrayLike, second: npt.ArrayLike) -> Angles:
    """Return the absolute difference of two directions in degrees, from 0 to 180."""
    difference = np.mod(np.asarray(first) - np.asarray(second) + 180.0, 360.0) - 180.0
    return np.asarray(np.abs(difference))
