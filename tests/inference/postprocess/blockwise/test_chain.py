from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inference.postprocess.blockwise.volumes import (
    MemoryVolume,
    grids,
    masks,
    run_in,
    whole,
)
from vesuv.config.postprocess import Step, read_chain
from vesuv.errors import InputError
from vesuv.inference.postprocess import STEPS, apply_chain
from vesuv.inference.postprocess.blockwise import BlockGrid
from vesuv.inference.postprocess.blockwise.chain import apply_chain_blockwise, check_blockwise

ISOTROPIC = (1.0, 1.0, 1.0)
MASK_STEPS = [
    {"name": "remove_small", "voxels": 3},
    {"name": "remove_small", "voxels": 9, "connectivity": 6},
    {"name": "remove_small", "volume": 40.0, "connectivity": 18},
    {"name": "keep_largest"},
    {"name": "keep_largest", "num": 3, "connectivity": 6},
    {"name": "keep_largest", "num": 2, "connectivity": 18},
    {"name": "fill_cavities"},
    {"name": "plug_holes"},
    {"name": "opening", "radius": 1},
    {"name": "opening", "distance": 4.0},
    {"name": "closing", "radius": [1, 0, 3]},
    {"name": "closing", "distance": 2.5},
    {"name": "diagonal_fill"},
]
CUTS = [{"name": "threshold", "value": 0.45}, {"name": "hysteresis", "low": 0.3, "high": 0.7}]


class Crop(Step):
    """Step that clears the voxels near the border of the volume."""

    name: Literal["crop"] = "crop"

    def __call__(self, volume, _spacing):
        inside = np.zeros(volume.shape, bool)
        inside[1:-1, 1:-1, 1:-1] = True
        return volume & inside

    def halo(self, _spacing):
        return 1, 1, 1


class SecondHalf(Step):
    """Step that clears the first half of the voxels of the mask."""

    is_global: ClassVar[bool] = True
    name: Literal["second_half"] = "second_half"

    def __call__(self, volume, _spacing):
        kept = np.zeros_like(volume)
        places = np.flatnonzero(volume)
        kept.ravel()[places[len(places) // 2 :]] = True
        return kept


class Undeclared(Step):
    """Step that does not say what its voxels depend on."""

    name: Literal["undeclared"] = "undeclared"

    def __call__(self, volume, _spacing):
        return volume


class WrongHalo(Undeclared):
    """Step with a negative halo."""

    def halo(self, _spacing):
        return 1, -1, 1


def blockwise(volume, grid: BlockGrid, chain, spacing=ISOTROPIC):
    with tempfile.TemporaryDirectory() as folder:
        run = run_in(Path(folder), grid)
        return apply_chain_blockwise(MemoryVolume(volume), chain, spacing, run).read(whole(grid))


@pytest.mark.parametrize("step", MASK_STEPS, ids=str)
@settings(max_examples=12)
@given(data=st.data())
def test_a_step_by_blocks_gives_the_mask_of_the_whole_volume(step, data) -> None:
    grid = data.draw(grids())
    mask = data.draw(masks(grid.shape))
    spacing = data.draw(st.sampled_from([ISOTROPIC, (4.0, 2.0, 1.5)]))
    chain = read_chain([step], "test")

    assert np.array_equal(blockwise(mask, grid, chain, spacing), apply_chain(mask, chain, spacing))


@pytest.mark.parametrize(("density", "seed"), [(0.3, 0), (0.5, 4)])
def test_plugged_holes_at_borders_of_blocks_are_those_of_the_whole_volume(density, seed) -> None:
    mask = np.random.default_rng(seed).random((12, 12, 12)) < density
    chain = read_chain([{"name": "plug_holes"}], "test")

    found = blockwise(mask, BlockGrid(mask.shape, (4, 4, 4)), chain)

    assert np.array_equal(found, apply_chain(mask, chain))


@settings(max_examples=25)
@given(st.data())
def test_a_chain_by_blocks_gives_the_mask_of_the_whole_volume(data) -> None:
    grid = data.draw(grids())
    steps = data.draw(st.lists(st.sampled_from(MASK_STEPS), max_size=4))
    chain = read_chain([data.draw(st.sampled_from(CUTS)), *steps], "test")
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    structure = data.draw(masks(grid.shape))
    probs = (structure * 0.3 + rng.random(grid.shape) * 0.5).astype(np.float32)
    spacing = data.draw(st.sampled_from([ISOTROPIC, (4.0, 2.0, 1.5)]))

    assert np.array_equal(
        blockwise(probs, grid, chain, spacing), apply_chain(probs, chain, spacing)
    )


def test_all_our_steps_are_tested_and_say_what_a_voxel_depends_on() -> None:
    steps = [*CUTS, *MASK_STEPS]

    assert {step["name"] for step in steps} == set(STEPS)
    for step in read_chain([CUTS[0], *MASK_STEPS], "test"):
        check_blockwise(step, ISOTROPIC)
        assert (step.halo(ISOTROPIC) is None) == step.is_global


def test_a_halo_in_units_of_the_spacing_follows_from_it() -> None:
    (step,) = read_chain([{"name": "closing", "distance": 3.0}], "test")

    assert step.halo((1.0, 2.0, 1.5)) == (6, 2, 4)


@settings(max_examples=12)
@given(st.data())
def test_a_step_of_another_package_sees_the_border_of_the_volume_only(data) -> None:
    grid = data.draw(grids())
    mask = data.draw(masks(grid.shape))
    chain = (Crop(), SecondHalf())

    assert np.array_equal(blockwise(mask, grid, chain), apply_chain(mask, chain))


def test_a_step_that_declares_nothing_is_refused_with_what_to_declare() -> None:
    with pytest.raises(
        InputError,
        match=r"undeclared: class Undeclared does not say .* halo\(spacing\) .* is_global = True",
    ):
        check_blockwise(Undeclared(), ISOTROPIC)


def test_a_negative_halo_is_refused() -> None:
    with pytest.raises(InputError, match=r"halo\(spacing\) must return .* found \(1, -1, 1\)"):
        check_blockwise(WrongHalo(), ISOTROPIC)


def test_masks_of_former_steps_are_removed(tmp_path: Path) -> None:
    chain = read_chain([CUTS[1], *MASK_STEPS], "test")
    volume = np.random.default_rng(0).random((6, 5, 7), np.float32)

    run = run_in(tmp_path, BlockGrid(volume.shape, (4, 4, 4)))
    apply_chain_blockwise(MemoryVolume(volume), chain, ISOTROPIC, run)

    assert len(list(tmp_path.iterdir())) == 1
