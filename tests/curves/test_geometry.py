"""Planes and sinusoids, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesuv.curves.geometry import Borehole, angle_difference, azimuth_of, column_angles, phase

HOLE = Borehole(diameter_mm=200.0, pixel_mm=5.0)


def test_a_plane_of_45_degrees_has_the_radius_as_its_amplitude() -> None:
    assert HOLE.amplitude(45.0) == pytest.approx(20.0)  # 100 mm of radius in pixels of 5 mm


def test_a_plane_of_60_degrees_in_a_hole_of_216_mm_has_an_amplitude_of_187_mm() -> None:
    hole = Borehole(diameter_mm=216.0, pixel_mm=2.5)

    assert hole.amplitude(60.0) * 2.5 == pytest.approx(108.0 * 3**0.5)


def test_the_deepest_point_lies_in_the_direction_that_the_plane_dips_to() -> None:
    rows = HOLE.rows(depth=50.0, dip=45.0, azimuth=90.0, columns=360)

    assert int(rows.argmax()) == 90
    assert rows[[0, 90, 180, 270]] == pytest.approx([50.0, 70.0, 50.0, 30.0])


def test_a_plane_that_dips_north_begins_at_its_deepest_point() -> None:
    assert HOLE.rows(10.0, 45.0, 0.0, 8)[0] == pytest.approx(30.0)
    assert phase(0.0) == pytest.approx(np.pi / 2)


@given(st.floats(0.0, 85.0), st.floats(0.0, 359.99))
def test_dip_and_azimuth_come_back_from_amplitude_and_phase(dip: float, azimuth: float) -> None:
    assert HOLE.dip(HOLE.amplitude(dip)) == pytest.approx(dip, abs=1e-9)
    assert angle_difference(azimuth_of(phase(azimuth)), azimuth) == pytest.approx(0.0, abs=1e-9)


@given(st.floats(1.0, 80.0), st.floats(0.0, 359.99), st.floats(-50.0, 50.0))
def test_the_sinusoid_is_the_plane_in_space(dip: float, azimuth: float, depth: float) -> None:
    rows = HOLE.rows(depth, dip, azimuth, 12)
    theta, direction = column_angles(12), np.radians(azimuth)
    north, east = 100.0 * np.cos(theta), 100.0 * np.sin(theta)  # mm on the wall
    downwards = np.cos(direction) * north + np.sin(direction) * east  # along the dip

    assert rows * 5.0 == pytest.approx(depth * 5.0 + np.tan(np.radians(dip)) * downwards)


def test_directions_differ_across_north() -> None:
    assert angle_difference([350.0, 0.0, 90.0], [10.0, 180.0, 90.0]) == pytest.approx([20, 180, 0])
