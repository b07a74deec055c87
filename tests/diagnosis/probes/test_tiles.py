import pytest
import torch

from vesuv.diagnosis.probes.tiles import (
    SeenTile,
    by_group,
    by_tile,
    errors,
    histogram,
    pooled_score,
)
from vesuv.evaluation.overlap import confusion


def seen(
    label: list[int], probs: list[float], group: str | None = "north", case: str = "a"
) -> SeenTile:
    """A tile of one row; 255 is ignored."""
    labels = torch.tensor(label, dtype=torch.uint8).reshape(1, 1, -1)
    bins = torch.tensor([int(100 * p) for p in probs], dtype=torch.uint8).reshape(1, 1, -1)
    matrix = confusion((bins >= 50).to(torch.int64), labels, labels != 255, 2)
    return SeenTile(case, group, bins, labels, matrix)


TILE = seen([0, 0, 1, 1, 255, 0], [0.1, 0.6, 0.7, 0.2, 0.9, 0.1])


def test_a_histogram_counts_judged_voxels_by_label() -> None:
    found = histogram([TILE, TILE])

    assert found.foreground[70] == 2 and found.foreground[20] == 2
    assert sum(found.foreground) == 4
    assert found.background[10] == 4 and found.background[60] == 2
    assert sum(found.background) == 6


def test_tiles_and_groups_are_scored_at_the_threshold() -> None:
    other = seen([1, 1, 0], [0.9, 0.9, 0.1], group="south", case="b")

    tiles = by_tile([TILE, other])

    assert [(tile.case, tile.group, tile.dice) for tile in tiles] == [
        ("a", "north", 0.5),
        ("b", "south", 1.0),
    ]
    assert tiles[0].predicted == pytest.approx(0.4) and tiles[0].labelled == pytest.approx(0.4)
    assert by_group([TILE, other, TILE]) == {"north": 0.5, "south": 1.0}


def test_groups_that_are_unknown_or_empty_are_left_out() -> None:
    empty = seen([0, 0], [0.1, 0.1], group="east")

    assert by_group([seen([1, 0], [0.9, 0.1], group=None), empty]) == {}


def test_a_pooled_score_is_of_all_voxels() -> None:
    found = pooled_score([TILE, seen([1, 1, 0], [0.9, 0.9, 0.1])])

    assert (found.precision, found.recall) == pytest.approx((3 / 4, 3 / 4))
    assert sum(found.histogram.foreground) == 4


def test_errors_beside_foreground_of_the_other_side_are_near() -> None:
    label = [0, 1, 1, 0, 0, 0, 0, 1, 0, 0]
    probs = [0.9, 0.9, 0.9, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.9]
    tile = seen(label, probs)

    found = errors([tile], histogram([tile]))

    # One false voxel beside the label; two far from it; one missed voxel far from any prediction.
    assert (found.right, found.near, found.far) == (2, 1, 3)


def test_errors_are_counted_at_the_best_threshold() -> None:
    tile = seen([0, 0, 1, 1, 0], [0.6, 0.6, 0.8, 0.8, 0.6])

    found = errors([tile], histogram([tile]))

    assert (found.right, found.near, found.far) == (2, 0, 0)
