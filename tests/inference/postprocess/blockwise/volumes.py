"""Volumes and block grids whose components wind through many blocks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from vesuv.inference.postprocess.blockwise import BlockGrid, BlockRun
from vesuv.types import Region


@dataclass(frozen=True)
class MemoryVolume:
    """Volume in memory."""

    array: np.ndarray

    def read(self, box: Region) -> np.ndarray:
        return self.array[box]


@st.composite
def grids(draw: Any) -> BlockGrid:
    """Draw blocks of 1 to 4 voxels an axis, up to three along each, the last one often cut off."""
    block, shape = [], []
    for _ in range(3):
        edge, count = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        block.append(edge)
        shape.append(edge * (count - 1) + draw(st.integers(1, edge)))
    return BlockGrid(tuple(shape), tuple(block))


@st.composite
def masks(draw: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """Draw noise, or a structure with a few voxels changed."""
    kind = draw(st.sampled_from([noise, snake, cavity, diagonals, shells]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = kind(shape, rng)
    mask ^= rng.random(shape) < rng.choice([0.0, 0.02])
    return mask if draw(st.booleans()) else mask[::-1, :, ::-1].copy()


def noise(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    return rng.random(shape) < rng.choice([0.05, 0.2, 0.5, 0.8])


def snake(shape: tuple[int, int, int], _rng: np.random.Generator) -> np.ndarray:
    """Return one path of faces through every second row of every second slice."""
    mask = np.zeros(shape, bool)
    rows = list(itertools.product(range(0, shape[0], 2), range(0, shape[1], 2)))
    for number, (z, y) in enumerate(rows):
        mask[z, y] = True
        if number + 1 < len(rows):
            end = -1 if number % 2 == 0 else 0
            next_z, next_y = rows[number + 1]
            mask[z : next_z + 1, y, end] = True
            mask[next_z, min(y, next_y) : max(y, next_y) + 1, end] = True
    return mask


def cavity(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a solid with a winding cavity, which is open in half of the cases."""
    mask = ~snake(shape, rng)
    for axis in range(3):
        for end in (0, -1):
            np.moveaxis(mask, axis, 0)[end] = True
    mask[0, 0, : rng.integers(2)] = False
    return mask


def diagonals(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Return lines that touch at corners or edges only, of either direction."""
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    signs = rng.choice([-1, 0, 1], 2)
    return (y - shape[1] // 2 == signs[0] * z) & (x - shape[2] // 2 == signs[1] * z) | (
        (y + z == shape[0] - 1) & (x == 0)
    )


def shells(shape: tuple[int, int, int], _rng: np.random.Generator) -> np.ndarray:
    """Return nested shells: sheets with cavities between them."""
    squares = [(2 * np.arange(n) - n + 1) ** 2 for n in shape]
    z, y, x = np.ix_(*squares)
    return np.sqrt(z + y + x).astype(int) // 2 % 2 == 0


def run_in(folder: Path, grid: BlockGrid) -> BlockRun:
    """Return a run in this process."""
    return BlockRun(grid, folder)


def whole(grid: BlockGrid) -> Region:
    """Return the box of the whole volume."""
    z, y, x = (slice(0, n) for n in grid.shape)
    return z, y, x
