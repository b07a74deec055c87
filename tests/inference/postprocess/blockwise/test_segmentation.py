from __future__ import annotations

import itertools
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inference.postprocess.blockwise.test_chain import CUTS, MASK_STEPS, Undeclared
from tests.inference.postprocess.blockwise.volumes import grids, masks
from vesuv.config.labels import TWO_CLASSES, LabelsConfig, Targets
from vesuv.config.postprocess import read_chain
from vesuv.errors import InputError
from vesuv.inference.levels import dequantise
from vesuv.inference.masks import ClassCut, MaskSettings
from vesuv.inference.postprocess.blockwise import BlockGrid, BlockRun, segment_blocks

ISOTROPIC = (1.0, 1.0, 1.0)
THREE = Targets.of_classes(("air", "one", "two"))
REGIONS = LabelsConfig(
    classes={"air": 0, "front": 4, "back": 6, "ink": 8},
    regions={"sheet": ("front", "back", "ink"), "back": ("back",), "ink": ("ink",)},
).targets
SMALL_CHAIN = read_chain([CUTS[1], {"name": "fill_cavities"}, {"name": "keep_largest"}], "test")


@st.composite
def class_cuts(draw) -> ClassCut:
    steps = draw(st.lists(st.sampled_from(MASK_STEPS), max_size=2))
    if draw(st.booleans()):
        return ClassCut(None, read_chain([draw(st.sampled_from(CUTS)), *steps], "test"))
    return ClassCut(draw(st.sampled_from([None, 0.3, 0.62])), read_chain(steps, "test"))


def random_levels(num_channels: int, structure: np.ndarray, seed: int) -> np.ndarray:
    """Return levels with many ties, higher in the structure, as each channel sees it."""
    rng = np.random.default_rng(seed)
    channels = [
        np.roll(structure, shift, 0) * 80 + rng.integers(0, 13, structure.shape) * 10
        for shift in range(num_channels)
    ]
    return np.stack(channels).astype(np.uint8)


def whole_volume(levels, mask_settings, spacing=ISOTROPIC) -> np.ndarray:
    return mask_settings.classes(dequantise(torch.from_numpy(levels.copy())), spacing)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("targets", "num_channels"), [(TWO_CLASSES, 1), (TWO_CLASSES, 2), (THREE, 3), (REGIONS, 3)]
)
@settings(max_examples=12)
@given(data=st.data())
def test_the_classes_are_those_of_the_whole_volume(targets, num_channels, data) -> None:
    grid = data.draw(grids())
    seed = data.draw(st.integers(0, 99))
    levels = random_levels(num_channels, data.draw(masks(grid.shape)), seed)
    cuts = tuple(data.draw(class_cuts()) for _ in targets.names)
    spacing = data.draw(st.sampled_from([ISOTROPIC, (4.0, 2.0, 1.5)]))
    mask_settings = MaskSettings(cuts, targets)
    classes = np.full(grid.shape, 99, np.uint8)

    with tempfile.TemporaryDirectory() as folder:
        segment_blocks(levels, mask_settings, spacing, classes, BlockRun(grid, Path(folder)))
        assert not list(Path(folder).iterdir())

    assert np.array_equal(classes, whole_volume(levels, mask_settings, spacing))


@pytest.mark.slow
def test_processes_write_whole_shards_of_a_zarr_array(tmp_path: Path) -> None:
    shape, block = (9, 7, 12), (4, 4, 8)
    structure = np.random.default_rng(0).random(shape) < 0.5
    levels = zarr.create_array(tmp_path / "levels.zarr", shape=(3, *shape), dtype=np.uint8)
    levels[:] = random_levels(3, structure, seed=1)
    classes = zarr.create_array(
        tmp_path / "classes.zarr", shape=shape, chunks=(2, 4, 4), shards=block, dtype=np.uint8
    )
    mask_settings = MaskSettings((ClassCut(None, SMALL_CHAIN), ClassCut(None)), THREE)

    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        run = BlockRun(
            BlockGrid(shape, block),
            tmp_path,
            lambda work, items: zip(items, pool.map(work, items), strict=True),
        )
        segment_blocks(levels, mask_settings, ISOTROPIC, classes, run)

    expected = whole_volume(levels[:], mask_settings)
    assert 0 < (expected == 1).mean() < 1
    assert np.array_equal(classes[:], expected)


def test_the_order_in_which_blocks_are_finished_has_no_effect(tmp_path: Path) -> None:
    levels = random_levels(1, np.random.default_rng(0).random((9, 7, 12)) < 0.5, seed=1)
    mask_settings = MaskSettings.alike(TWO_CLASSES, None, SMALL_CHAIN)
    classes = np.zeros(levels.shape[1:], np.uint8)

    def backwards(work, items):
        return [(item, work(item)) for item in reversed(items)]

    run = BlockRun(BlockGrid(classes.shape, (3, 3, 3)), tmp_path, backwards)
    segment_blocks(levels, mask_settings, ISOTROPIC, classes, run)

    assert np.array_equal(classes, whole_volume(levels, mask_settings))


def test_the_progress_of_every_pass_is_shown(tmp_path: Path) -> None:
    levels = random_levels(1, np.ones((2, 2, 4), bool), seed=1)
    lines = []

    @contextmanager
    def show_progress(title, unit):
        yield lambda done, total: lines.append(f"{title}: {done}/{total} {unit}")

    run = BlockRun(BlockGrid((2, 2, 4), (2, 2, 2)), tmp_path, show_progress=show_progress)
    small = read_chain([{"name": "remove_small", "voxels": 3}], "test")
    mask_settings = MaskSettings.alike(TWO_CLASSES, 0.5, small)
    segment_blocks(levels, mask_settings, ISOTROPIC, np.zeros((2, 2, 4), np.uint8), run)

    passes = [f"remove small 3 voxels, {part}" for part in ("labels", "seams", "mask")]
    assert lines == [
        f"{title}: {done}/2 blocks"
        for title, done in itertools.product([*passes, "classes"], (1, 2))
    ]


@pytest.mark.parametrize(
    ("chunks", "shards", "num_writes"),
    [((2, 2, 2), None, 2 * 4 * 2), ((4, 8, 2), None, 2 * 1 * 2), ((2, 2, 2), (4, 4, 6), 2 * 2 * 1)],
)
def test_chunks_are_written_once_whatever_the_blocks(tmp_path, chunks, shards, num_writes) -> None:
    shape = (8, 8, 6)
    levels = random_levels(1, np.random.default_rng(0).random(shape) < 0.5, seed=1)
    classes = zarr.create_array(
        tmp_path / "classes.zarr", shape=shape, chunks=chunks, shards=shards, dtype=np.uint8
    )
    mask_settings = MaskSettings.alike(TWO_CLASSES, None, SMALL_CHAIN)
    writes = []

    class Output:
        """Zarr array that records what is written."""

        shape, chunks, shards = classes.shape, classes.chunks, classes.shards

        def __setitem__(self, index, value):
            writes.append(index)
            classes[index] = value

    run = BlockRun(BlockGrid(shape, (3, 2, 4)), tmp_path)
    segment_blocks(levels, mask_settings, ISOTROPIC, Output(), run)

    assert np.array_equal(classes[:], whole_volume(levels, mask_settings))
    assert len(writes) == num_writes
    unit = classes.shards or classes.chunks
    for box in writes:
        for part, edge, length in zip(box, unit, shape, strict=True):
            assert part.start % edge == 0
            assert part.stop % edge == 0 or part.stop == length


def test_an_undeclared_step_is_refused_before_any_work(tmp_path: Path) -> None:
    shape = (4, 4, 4)
    mask_settings = MaskSettings.alike(TWO_CLASSES, 0.5, (Undeclared(),))
    run = BlockRun(BlockGrid(shape, (2, 2, 2)), tmp_path, map_blocks=None)

    with pytest.raises(InputError, match="class Undeclared"):
        segment_blocks(
            np.zeros((1, *shape), np.uint8),
            mask_settings,
            ISOTROPIC,
            np.zeros(shape, np.uint8),
            run,
        )
