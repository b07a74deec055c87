"""Instances of a phantom whose cells are known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import vesuv
from tests.cells import make_cells
from vesuv.errors import InputError
from vesuv.evaluation.instances import compare_instances
from vesuv.inference.instances import segmentation
from vesuv.inference.instances.arrays import ArrayLevels, to_levels, whole
from vesuv.inference.instances.fragment_store import StoredFragments
from vesuv.inference.instances.fragments import FragmentMethod
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.inference.instances.segmentation import (
    InstanceRun,
    find_fragments,
    find_instances,
    stored_fragments,
)
from vesuv.io.tables import write_json
from vesuv.runtime.pool import ProcessPool
from vesuv.types import Array, Region

PHANTOM = make_cells((32, 40, 36), 12, noise=1.0)
ONE = (1.0, 1.0, 1.0)


def test_the_cells_of_the_phantom_come_out() -> None:
    cells = vesuv.segment_instances(PHANTOM.probs)

    scores = compare_instances(cells, PHANTOM.judged)
    assert sum(scores.voi) < 0.05
    assert scores.rand.error < 0.01
    assert cells.dtype == np.uint32
    assert set(np.unique(cells)) == set(range(1, int(cells.max()) + 1))


def test_without_agglomeration_there_are_more_fragments_than_cells() -> None:
    probs = make_cells((32, 40, 36), 6, noise=2.0).probs
    fragments = vesuv.segment_instances(
        probs, vesuv.InstanceParameters(agglomeration_threshold=0.0, seed_smoothing=0.5)
    )
    cells = vesuv.segment_instances(probs, vesuv.InstanceParameters(seed_smoothing=0.5))

    assert fragments.max() > 2 * cells.max()
    for name in np.unique(fragments):  # cells are unions of fragments
        assert len(np.unique(cells[fragments == name])) == 1


def test_a_gap_in_a_wall_joins_components_but_not_instances() -> None:
    phantom = make_cells((24, 24, 24), 2, seed=4, gap=4.0)
    components = vesuv.evaluate(
        (phantom.probs > 0.5).astype(np.uint8), phantom.boundary.astype(np.uint8), ["cells"]
    )

    cells = vesuv.segment_instances(phantom.probs)

    assert components["cell_voi_merge"] > 0.5
    assert sum(compare_instances(cells, phantom.judged).voi) < 0.05


def test_instances_below_the_smallest_size_join_a_neighbour() -> None:
    parameters = InstanceParameters(agglomeration_threshold=0.0, smallest_instance=400)

    sizes = np.bincount(vesuv.segment_instances(PHANTOM.probs, parameters).ravel())[1:]

    assert sizes.min() >= 400
    every = InstanceParameters(agglomeration_threshold=0.0)
    assert np.bincount(vesuv.segment_instances(PHANTOM.probs, every).ravel())[1:].min() < 400


def test_voxels_that_are_thicker_than_wide_have_distances_in_space() -> None:
    phantom = make_cells((40, 40, 40), 8)
    method = FragmentMethod(InstanceParameters(seed_smoothing=1.0), (4.0, 1.0, 1.0))

    levels = to_levels(phantom.probs)[::4]
    thick = method.fragments(levels)
    as_cubes = FragmentMethod(method.parameters, ONE).fragments(levels)

    judged = phantom.judged[::4]
    in_space, in_voxels = (sum(compare_instances(one, judged).voi) for one in (thick, as_cubes))
    assert in_space < 0.5 < in_voxels


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_blocks_in_files_and_processes_give_the_instances_of_memory(
    workers: int, tmp_path: Path
) -> None:
    levels, method = (
        ArrayLevels(to_levels(PHANTOM.probs)),
        FragmentMethod(InstanceParameters(), ONE),
    )
    in_memory = vesuv.segment_instances(PHANTOM.probs, block_size=16)

    with ProcessPool(workers) as pool:
        run = InstanceRun(levels, method, StoredFragments(tmp_path), 16, pool.map)
        in_blocks = find_instances(run)

    assert np.array_equal(in_blocks.read(whole(levels.shape)), in_memory)
    assert np.array_equal(
        in_blocks.read((slice(3, 20), slice(15, 16), slice(0, 33))), in_memory[3:20, 15:16, :33]
    )
    assert in_blocks.num == in_memory.max()
    assert len(list(tmp_path.iterdir())) == 2 * 3 * 3


def test_borders_of_blocks_hardly_change_the_instances() -> None:
    whole = vesuv.segment_instances(PHANTOM.probs)
    blocks = vesuv.segment_instances(PHANTOM.probs, block_size=20)

    assert sum(compare_instances(blocks, whole).voi) < 0.1
    assert sum(compare_instances(blocks, PHANTOM.judged).voi) < 0.1


def test_a_block_is_divided_with_what_lies_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "HALO", 4)
    boxes = []

    class RecordedLevels(ArrayLevels):
        def read(self, box: Region) -> Array:
            boxes.append([(part.start, part.stop) for part in box])
            return super().read(box)

    levels = RecordedLevels(to_levels(PHANTOM.probs[:20, :20]))
    find_fragments(InstanceRun(levels, FragmentMethod(InstanceParameters(), ONE), block_size=20))

    first_pass, second_pass = boxes[:2], boxes[2:]
    assert first_pass == [[(0, 20), (0, 20), (0, 24)], [(0, 20), (0, 20), (16, 36)]]
    assert second_pass == [[(0, 20), (0, 20), (0, 20)], [(0, 20), (0, 20), (19, 36)]]


def test_fragments_of_blocks_have_names_and_sizes_of_their_own() -> None:
    levels = ArrayLevels(to_levels(PHANTOM.probs))
    run = InstanceRun(levels, FragmentMethod(InstanceParameters(), ONE), block_size=20)

    fragmentation = find_fragments(run)

    volume = stored_fragments(run, fragmentation)
    assert np.array_equal(np.bincount(volume.ravel()), fragmentation.sizes)
    assert fragmentation.sizes[0] == 0


def test_a_block_without_boundary_is_one_fragment() -> None:
    probs = np.zeros((8, 8, 40), np.float32)
    probs[..., 36:38] = 1.0

    cells = vesuv.segment_instances(probs, InstanceParameters(seed_smoothing=0.5), block_size=8)

    assert cells.max() == 2
    assert np.unique(cells[..., :36]).tolist() == [1]


def test_all_boundary_is_refused() -> None:
    with pytest.raises(InputError, match="found none: all of it is boundary"):
        vesuv.segment_instances(np.ones((4, 4, 4)))


def test_no_boundary_is_refused() -> None:
    with pytest.raises(InputError, match="above 0, found none: nothing separates instances"):
        vesuv.segment_instances(np.zeros((4, 4, 4)))


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4, 4), (0, 4, 4)])
def test_probabilities_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"one channel .* found shape"):
        vesuv.segment_instances(np.zeros(shape))


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan, np.inf])
def test_what_is_no_probability_is_refused(value: float) -> None:
    probs = np.full((2, 3, 4), 0.5)
    probs[1, 1, 1] = value

    with pytest.raises(InputError, match="lie within 0 and 1, found"):
        vesuv.segment_instances(probs)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)

    with pytest.raises(InputError, match=r"pip install 'vesuv\[instances\]'"):
        vesuv.segment_instances(PHANTOM.probs)


def test_parameters_come_from_a_run_folder_or_a_file(tmp_path: Path) -> None:
    parameters = InstanceParameters(agglomeration_threshold=0.0)
    write_json(tmp_path / "instances.json", {"parameters": parameters.model_dump()})

    expected = vesuv.segment_instances(PHANTOM.probs, parameters)

    assert expected.max() > vesuv.segment_instances(PHANTOM.probs).max()
    for path in (tmp_path, str(tmp_path / "instances.json")):
        assert np.array_equal(vesuv.segment_instances(PHANTOM.probs, path), expected)


def test_a_folder_without_parameters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file; vesuv instances --run .* writes it"):
        vesuv.segment_instances(PHANTOM.probs, tmp_path)


def test_parameters_out_of_range_are_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "instances.json", {"parameters": {"seed_threshold": 2}})

    with pytest.raises(InputError, match=r"seed_threshold: .* less than or equal to 1, found 2"):
        vesuv.segment_instances(PHANTOM.probs, tmp_path)


def test_parameters_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "instances.json").write_text('{"version": 2, "parameters": {}}')

    with pytest.raises(InputError, match="found 2 of a newer vesuv; update vesuv"):
        vesuv.segment_instances(PHANTOM.probs, tmp_path)
