from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vesuv.config.data import LabelsConfig
from vesuv.data.labels import IGNORE
from vesuv.data.statistics import case_statistics
from vesuv.data.store import StoredCase, case_path, count_blocks, open_case, write_case
from vesuv.data.summary import take_census

LABELS = LabelsConfig(classes={"background": 0, "surface": 1}, ignore=2)


def stored(folder: Path, name: str, group: str | None, label: np.ndarray) -> StoredCase:
    image = np.zeros((1, *label.shape), np.uint8)
    counted = {0: int((label == 0).sum()), 1: int((label == 1).sum())}
    attributes = {
        "id": name,
        "group": group,
        "shape": list(label.shape),
        "spacing": [1.0, 1.0, 1.0],
        "num_channels": 1,
        "num_classes": 2,
        "dtype": "uint8",
        "values": {**{str(v): n for v, n in counted.items()}, "2": int((label == IGNORE).sum())},
        "statistics": case_statistics(image, label).state(),
    }
    path = case_path(folder, name)
    write_case(path, {"image": image, "label": label, "blocks": count_blocks(label, 2)}, attributes)
    return open_case(path)


@pytest.fixture
def pair(tmp_path: Path) -> list[StoredCase]:
    """Two 64 x 16 x 16 cases: one voxel in eight of a is surface, b is half ignored."""
    first = np.zeros((64, 16, 16), np.uint8)
    first[:8] = 1
    second = np.zeros((64, 16, 16), np.uint8)
    second[32:] = IGNORE
    return [stored(tmp_path, "a", "s1", first), stored(tmp_path, "b", "s2", second)]


def test_shares_are_counted_by_hand(pair: list[StoredCase]) -> None:
    census = take_census(pair, LABELS, (16, 16, 16))

    assert census["values"] == {"0": 88 / 128, "1": 8 / 128, "2": 32 / 128}
    assert census["classes"] == {"background": 88 / 96, "surface": 8 / 96}
    assert census["foreground"] == 8 / 96
    assert census["ignore"] == 0.25
    assert census["groups"]["s1"]["foreground"] == 0.125
    assert census["cases"]["b"]["ignore"] == 0.5
    assert (census["version"], census["num_cases"]) == (1, 2)


def test_patches_that_hold_only_ignored_voxels_are_left_out(pair: list[StoredCase]) -> None:
    census = take_census(pair, LABELS, (16, 16, 16))

    assert census["cases"]["a"]["patches_with_foreground"] == 1 / 4
    assert census["patches_with_foreground"] == 1 / 6


def test_a_larger_patch_meets_foreground_more_often(pair: list[StoredCase]) -> None:
    census = take_census(pair, LABELS, (32, 16, 16))

    assert census["cases"]["a"]["patches_with_foreground"] == 1 / 3
    assert take_census(pair, LABELS, (128, 128, 128))["patches_with_foreground"] == 1 / 2


def test_a_case_without_any_judged_voxel_counts_as_nothing(tmp_path: Path) -> None:
    case = stored(tmp_path, "c", None, np.full((16, 16, 16), IGNORE, np.uint8))

    census = take_census([case], LABELS, (16, 16, 16))

    assert (census["foreground"], census["ignore"]) == (0.0, 1.0)
    assert census["patches_with_foreground"] == 0.0
    assert census["groups"] == {}
