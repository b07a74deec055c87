from __future__ import annotations

import numpy as np
import pytest

from vesuv.config.labels import LabelsConfig
from vesuv.data.blocks import count_blocks
from vesuv.data.case import MemoryCase
from vesuv.data.labels import IGNORE
from vesuv.data.records import CaseAttributes
from vesuv.data.statistics import case_statistics
from vesuv.data.summary import summarise_cases

LABELS = LabelsConfig(classes={"background": 0, "surface": 1}, ignore=2)


def case(name: str, group: str | None, label: np.ndarray) -> MemoryCase:
    image = np.zeros((1, *label.shape), np.uint8)
    attributes = CaseAttributes(
        id=name,
        group=group,
        shape=label.shape,
        spacing=(1.0, 1.0, 1.0),
        num_channels=1,
        num_classes=2,
        dtype="uint8",
        values={
            value: int((label == index).sum()) for value, index in ((0, 0), (1, 1), (2, IGNORE))
        },
        statistics=case_statistics(image, label),
    )
    arrays = {"image": image, "label": label, "blocks": count_blocks(label, 2)}
    return MemoryCase(attributes, arrays)


@pytest.fixture
def pair() -> list[MemoryCase]:
    """Two 64 x 16 x 16 cases: one voxel in eight of a is surface, b is half ignored."""
    first = np.zeros((64, 16, 16), np.uint8)
    first[:8] = 1
    second = np.zeros((64, 16, 16), np.uint8)
    second[32:] = IGNORE
    return [case("a", "s1", first), case("b", "s2", second)]


def test_shares_are_counted_by_hand(pair: list[MemoryCase]) -> None:
    summary = summarise_cases(pair, LABELS, (16, 16, 16))

    assert summary.values == {0: 88 / 128, 1: 8 / 128, 2: 32 / 128}
    assert summary.classes == {"background": 88 / 96, "surface": 8 / 96}
    assert summary.foreground == 8 / 96
    assert summary.ignore == 0.25
    assert summary.groups["s1"].foreground == 0.125
    assert summary.cases["b"].ignore == 0.5
    assert (summary.version, summary.num_cases) == (2, 2)


def test_patches_that_hold_only_ignored_voxels_are_left_out(pair: list[MemoryCase]) -> None:
    summary = summarise_cases(pair, LABELS, (16, 16, 16))

    assert summary.cases["a"].patches_with_foreground == 1 / 4
    assert summary.patches_with_foreground == 1 / 6


def test_a_larger_patch_meets_foreground_more_often(pair: list[MemoryCase]) -> None:
    summary = summarise_cases(pair, LABELS, (32, 16, 16))

    assert summary.cases["a"].patches_with_foreground == 1 / 3
    assert summarise_cases(pair, LABELS, (128, 128, 128)).patches_with_foreground == 1 / 2


def test_a_case_without_any_judged_voxel_counts_as_nothing() -> None:
    ignored = case("c", None, np.full((16, 16, 16), IGNORE, np.uint8))

    summary = summarise_cases([ignored], LABELS, (16, 16, 16))

    assert (summary.foreground, summary.ignore) == (0.0, 1.0)
    assert summary.patches_with_foreground == 0.0
    assert summary.groups == {}
