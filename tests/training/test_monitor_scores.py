"""The scores that `RunMonitor` takes of observed tiles, by hand."""

from dataclasses import replace

import pytest
import torch

from vesuv.config.labels import TWO_CLASSES, Targets
from vesuv.diagnosis.probes.tiles import TileProbabilities
from vesuv.evaluation.overlap import confusion
from vesuv.runs.observation import TrainScore
from vesuv.training.monitor import (
    pooled_score,
    score_by_group,
    score_by_tile,
    score_classes_by_group,
)
from vesuv.training.validation import ObservedTile


def observed(
    label: list[int], probs: list[float], group: str | None = "north", case: str = "a"
) -> ObservedTile:
    """Return a tile of one row, cut at one half; 255 is ignored."""
    labels = torch.tensor(label, dtype=torch.uint8).reshape(1, 1, -1)
    bins = torch.tensor([int(100 * p) for p in probs], dtype=torch.uint8).reshape(1, 1, -1)
    matrix = confusion((bins >= 50).to(torch.int64), labels, labels != 255, 2)
    return ObservedTile(0, case, group, matrix, TileProbabilities(bins, labels), None)


TILE = observed([0, 0, 1, 1, 255, 0], [0.1, 0.6, 0.7, 0.2, 0.9, 0.1])


def test_each_tile_is_scored_at_the_threshold() -> None:
    other = observed([1, 1, 0], [0.9, 0.9, 0.1], group="south", case="b")

    tiles = score_by_tile([TILE, other], TWO_CLASSES)

    assert [(tile.case, tile.group, tile.dice) for tile in tiles] == [
        ("a", "north", 0.5),
        ("b", "south", 1.0),
    ]
    assert tiles[0].predicted == pytest.approx(0.4) and tiles[0].labelled == pytest.approx(0.4)
    assert score_by_group([TILE, other, TILE], TWO_CLASSES) == {"north": 0.5, "south": 1.0}


def test_groups_that_are_unknown_or_empty_are_left_out() -> None:
    empty = observed([0, 0], [0.1, 0.1], group="east")

    assert score_by_group([observed([1, 0], [0.9, 0.1], group=None), empty], TWO_CLASSES) == {}


def test_a_pooled_score_is_of_all_voxels() -> None:
    score = pooled_score([TILE, observed([1, 1, 0], [0.9, 0.9, 0.1])], TWO_CLASSES)

    assert (score.precision, score.recall) == pytest.approx((3 / 4, 3 / 4))
    assert sum(score.histogram.foreground) == 4
    assert "class_dice" not in score.model_dump()


def test_each_class_has_a_score_in_each_group_that_is_labelled_so() -> None:
    targets = Targets.of_classes(("background", "sheet", "fibre"))
    # north, two tiles together: sheet 4 of 4 predicted and 6 labelled, fibre only predicted
    north = torch.tensor([[3, 0, 1], [1, 2, 0], [0, 0, 0]])
    south = torch.tensor([[2, 0, 0], [0, 1, 0], [1, 0, 1]])
    tiles = [
        replace(TILE, confusion=north),
        replace(TILE, confusion=north),
        replace(TILE, confusion=south, group="south"),
        replace(TILE, confusion=south, group=None),
    ]

    groups = score_classes_by_group(tiles, targets)

    assert {name: list(scores) for name, scores in groups.items()} == {
        "sheet": ["north", "south"],
        "fibre": ["south"],
    }
    assert groups["sheet"]["north"].dice == pytest.approx(8 / 10)
    assert groups["sheet"]["north"].labelled == pytest.approx(6 / 14)
    assert groups["fibre"]["south"].dice == pytest.approx(2 / 3)


def test_a_pooled_score_has_the_dice_of_each_of_several_classes() -> None:
    targets = Targets.of_classes(("background", "sheet", "ink", "fibre"))
    # sheet: 3 of 4 predicted and 6 labelled; ink: nowhere; fibre: 1 of 4 predicted and 1 labelled
    matrix = torch.tensor([[10, 1, 0, 2], [2, 3, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1]])

    score = pooled_score([replace(TILE, confusion=matrix)], targets)

    assert score.class_dice == pytest.approx({"sheet": 0.6, "fibre": 0.4})
    assert score.dice == pytest.approx(0.5)
    assert TrainScore.model_validate_json(score.model_dump_json()) == score
