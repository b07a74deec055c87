"""A phantom of cells: Voronoi cells between walls of a known width, so that the truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class CellPhantom:
    """Cells of one volume (z, y, x)."""

    cells: np.ndarray
    """Cell 1, 2, … of each voxel, also within walls."""
    boundary: np.ndarray
    """True within walls."""
    probs: np.ndarray
    """Boundary probability, float32."""

    @property
    def judged(self) -> np.ndarray:
        """The cells, 0 within walls."""
        return np.where(self.boundary, 0, self.cells)


def make_cells(
    shape: tuple[int, int, int],
    num: int,
    *,
    seed: int = 0,
    half_width: float = 1.0,
    noise: float = 0.0,
    gap: float = 0.0,
) -> CellPhantom:
    """Make cells around random points.

    Args:
        shape: Voxels along z, y, x.
        num: Number of points.
        seed: Seed of points and noise.
        half_width: A voxel lies in a wall where the plane between its two nearest points is closer
            than this.
        noise: Deviation of the noise of the probability.
        gap: Probability of the wall falls to 0.1 within this distance of the volume's middle.
    """
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, shape, (num, 3))
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    distances, nearest = cKDTree(points).query(voxels, k=2)
    apart = np.linalg.norm(points[nearest[..., 0]] - points[nearest[..., 1]], axis=-1)
    to_wall = (distances[..., 1] ** 2 - distances[..., 0] ** 2) / (2 * apart)
    probs = 1 / (1 + np.exp(4 * (to_wall - half_width)))
    middle = np.linalg.norm(voxels - (np.array(shape) - 1) / 2, axis=-1)
    probs = np.where(middle < gap, 0.1 * probs, probs)
    if noise:
        probs = probs + noise * ndimage.gaussian_filter(rng.normal(size=shape), 1.0)
    return CellPhantom(
        nearest[..., 0] + 1, to_wall < half_width, np.clip(probs, 0, 1).astype(np.float32)
    )
