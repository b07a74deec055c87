"""Uniformity by counting, purity and the fixed tiles."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest

from vesuv.config.data import SamplingConfig
from vesuv.config.labels import LabelsConfig
from vesuv.data.blocks import count_blocks
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import PatchSampler, fixed_tiles, patch_corner
from vesuv.errors import InputError


@dataclass
class Case:
    """A stored case in memory."""

    id: str
    label: np.ndarray
    num_classes: int = 2
    block_size: int = 16

    @property
    def shape(self) -> tuple[int, ...]:
        return self.label.shape

    @property
    def stored_counts(self) -> np.ndarray:
        return count_blocks(self.label, self.num_classes).astype(np.int64)


def a_case(label: np.ndarray, num_classes: int = 2) -> Any:
    return cast("Any", Case("case", label, num_classes))


def empty(shape: tuple[int, int, int] = (20, 20, 20), value: int = 0) -> np.ndarray:
    return np.full(shape, value, np.uint8)


def sampler(cases: list[Any], share: float, seed: int = 0, batch: int = 4) -> PatchSampler:
    config = SamplingConfig(patch_size=(8, 8, 8), batch_size=batch, foreground_share=share)
    return PatchSampler.build(cases, config, seed)


def centers(drawn: PatchSampler, steps: int) -> Counter[tuple[int, int, int]]:
    return Counter(plan.center for step in range(steps) for plan in drawn.plan(0, step))


def test_foreground_voxels_are_drawn_uniformly_whatever_their_block() -> None:
    label = empty((20, 34, 18))
    lonely, crowded = (19, 33, 17), [(0, 0, x) for x in range(9)]
    for voxel in [lonely, *crowded]:
        label[voxel] = 1

    drawn = centers(sampler([a_case(label)], share=1.0), 1000)

    assert set(drawn) == {lonely, *crowded}
    assert all(count == pytest.approx(400, abs=80) for count in drawn.values())


def test_the_rest_is_uniform_over_valid_voxels() -> None:
    label = empty(value=IGNORE)
    label[0, 0, :3] = 0
    label[19, 19, 18:] = 1

    drawn = centers(sampler([a_case(label)], share=0.0), 500)

    assert len(drawn) == 5
    assert all(count == pytest.approx(400, abs=80) for count in drawn.values())


def test_a_rare_class_is_drawn_as_often_as_a_frequent_one() -> None:
    label = empty()
    label[5] = 1
    label[10, 10, 10] = 2

    drawn = centers(sampler([a_case(label, 3)], share=1.0), 250)

    assert drawn[(10, 10, 10)] == pytest.approx(500, abs=70)


def test_the_share_of_foreground_patches_is_kept_exactly() -> None:
    label = empty()
    label[10, 10, 10] = 1

    drawn = centers(sampler([a_case(label)], share=0.7, batch=2), 50)

    assert drawn[(10, 10, 10)] == pytest.approx(70, abs=1)


def test_cases_take_turns_and_those_without_foreground_or_labels_are_left_out() -> None:
    sheet = empty()
    sheet[10] = 1
    cases = [a_case(sheet), a_case(empty()), a_case(empty(value=IGNORE)), a_case(sheet)]

    foreground = Counter(p.case for step in range(10) for p in sampler(cases, 1.0).plan(0, step))
    anywhere = Counter(p.case for step in range(9) for p in sampler(cases, 0.0).plan(0, step))

    assert foreground == {0: 20, 3: 20}
    assert anywhere == {0: 12, 1: 12, 3: 12}


def test_cases_without_any_foreground_are_sampled_over_their_valid_voxels() -> None:
    assert len(centers(sampler([a_case(empty())], share=1.0), 5)) > 10


def test_a_plan_depends_on_seed_epoch_and_step_alone() -> None:
    label = empty()
    label[10] = 1
    one, other = sampler([a_case(label)], 0.5), sampler([a_case(label)], 0.5)
    one.plan(0, 0)

    assert one.plan(4, 7) == other.plan(4, 7)
    plans = [
        one.plan(0, 0),
        one.plan(0, 1),
        one.plan(1, 0),
        sampler([a_case(label)], 0.5, 1).plan(0, 0),
    ]
    assert len({plan[0].seed for plan in plans}) == 4


def test_labels_that_are_all_ignored_are_refused() -> None:
    with pytest.raises(InputError, match=r"all voxels of the 2 cases .* are ignored"):
        sampler([a_case(empty(value=IGNORE))] * 2, 0.5)


@pytest.mark.parametrize(
    ("center", "corner"), [(0, 0), (4, 0), (5, 1), (10, 6), (19, 12), (15, 11), (16, 12)]
)
def test_patches_are_moved_inside(center: int, corner: int) -> None:
    assert patch_corner((center,) * 3, (20,) * 3, (8,) * 3) == (corner,) * 3


def test_a_volume_smaller_than_the_patch_is_centred_in_it() -> None:
    assert patch_corner((2, 2, 9), (5, 4, 20), (8, 8, 8)) == (-1, -2, 5)


def test_tiles_are_fixed_spread_over_the_cases_and_inside_them() -> None:
    label = empty()
    label[3] = 1
    cases = [a_case(label) for _ in range(4)]

    tiles = fixed_tiles(cases, (8, 8, 8), 8, 0.5, seed=0)

    assert tiles == fixed_tiles(cases, (8, 8, 8), 8, 0.5, seed=0)
    assert tiles != fixed_tiles(cases, (8, 8, 8), 8, 0.5, seed=1)
    assert Counter(tile.case for tile in tiles) == {0: 2, 1: 2, 2: 2, 3: 2}
    assert all(0 <= c <= 12 for tile in tiles for c in tile.corner)


def test_each_region_is_drawn_as_often_and_its_voxels_uniformly() -> None:
    label = empty()
    label[:2] = 1  # 800 voxels, and 200 of the class that both regions hold
    label[10, :10] = 2
    targets = LabelsConfig(
        classes={"air": 0, "a": 1, "b": 2}, regions={"both": ("a", "b"), "b": ("b",)}
    ).targets
    config = SamplingConfig(patch_size=(8, 8, 8), batch_size=4, foreground_share=1.0)

    drawn = centers(PatchSampler.build([a_case(label, 3)], config, 0, targets), 1000)

    on_second = sum(num for voxel, num in drawn.items() if label[voxel] == 2) / 4000
    assert on_second == pytest.approx(1 / 2 + 1 / 2 * 200 / 1000, abs=0.03)
