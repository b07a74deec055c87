from __future__ import annotations

import dataclasses
import itertools

import pytest
from pydantic import ValidationError

from vesuv.config.postprocess import read_chain
from vesuv.config.training import SelectionConfig
from vesuv.selection.choice import Candidate, Choice, explain, rank


def _choice(checkpoint: str, threshold: float | None, gap: float, dice: float, predicted=0.1):
    return Choice(checkpoint, threshold, gap, dice, predicted, labelled_fraction=0.1)


def _select(candidates: list[Choice], config: SelectionConfig) -> tuple[Choice, str]:
    """Return the first choice, and the reason for it."""
    ranking = rank(candidates, config)
    return ranking[0], explain(ranking, config)


def test_the_best_dice_wins_among_choices_within_the_tolerance() -> None:
    candidates = [
        _choice("best", 0.5, gap=0.001, dice=0.70),
        _choice("best", 0.4, gap=0.019, dice=0.75),
        _choice("swa", 0.3, gap=0.021, dice=0.90),
    ]

    chosen, why = _select(candidates, SelectionConfig(tolerance=0.02))

    assert (chosen.checkpoint, chosen.threshold) == ("best", 0.4)
    assert why.startswith(
        "best at threshold 0.4: the highest Dice, 0.7500, of the choices (2 of 3)"
    )


def test_a_gap_that_equals_the_tolerance_is_within_it() -> None:
    candidates = [_choice("best", 0.5, gap=0.01, dice=0.7), _choice("last", 0.5, 0.02, 0.9)]

    chosen, why = _select(candidates, SelectionConfig(tolerance=0.02))

    assert chosen.checkpoint == "last"
    assert "(2 of 2) whose foreground fraction is off by at most 2.00%" in why


def test_the_smallest_gap_wins_when_none_is_within_the_tolerance() -> None:
    candidates = [_choice("best", 0.5, 0.30, 0.9), _choice("last", 0.9, 0.10, 0.5)]

    chosen, why = _select(candidates, SelectionConfig(tolerance=0.02))

    assert chosen.checkpoint == "last"
    assert (
        "(1 of 2) whose foreground fraction is off by at most 15.00% a case (1.5 times the "
        "smallest error, 10.00%; none is within the tolerance of 2.00%). It predicts 10.00% "
        "foreground, labels hold 10.00%, off by 10.00% a case."
    ) in why


def test_hardly_less_error_does_not_beat_far_more_dice_where_none_is_within_the_tolerance() -> None:
    candidates = [_choice("blurred", 0.5, 0.1100, 0.30), _choice("sharp", 0.5, 0.1101, 0.82)]

    chosen, why = _select(candidates, SelectionConfig(tolerance=0.02))

    assert chosen.checkpoint == "sharp"
    assert why.startswith("sharp at threshold 0.5: the highest Dice, 0.8200, of the choices (2 of")
    assert why.endswith("off by 11.01% a case.")


@pytest.mark.parametrize("objective", ["dice", "distribution"])
def test_empty_masks_are_no_choice_though_cases_without_foreground_give_them_dice_one(
    objective: str,
) -> None:
    config = SelectionConfig(tolerance=0.02, objective=objective)
    candidates = [
        _choice("best", 0.9, gap=0.10, dice=0.50, predicted=0.0),
        _choice("best", 0.3, gap=0.14, dice=0.33, predicted=0.2),
    ]

    chosen, why = _select(candidates, config)

    assert chosen.threshold == 0.3
    assert "(1 of 2) whose" in why or "among 1 choices" in why
    assert rank(candidates[:1], config) == candidates[:1]
    unlabelled = [dataclasses.replace(one, labelled_fraction=0.0) for one in candidates]
    assert rank(unlabelled, config)[0].threshold == 0.9


@pytest.mark.parametrize(
    ("gap", "fact"), [(0.0199, "it is close to"), (0.0200, "it is close to"), (0.0201, "none is")]
)
def test_the_choice_is_the_same_on_both_sides_of_the_tolerance(gap: float, fact: str) -> None:
    candidates = [_choice("blurred", 0.5, gap, 0.30), _choice("sharp", 0.5, 0.0202, 0.82)]

    chosen, why = _select(candidates, SelectionConfig(tolerance=0.02))

    assert chosen.checkpoint == "sharp"
    assert f"1.5 times the smallest error, {gap:.2%}; {fact}" in why


def test_the_error_that_is_allowed_grows_evenly_with_the_smallest_error() -> None:
    steps = [step / 1000 for step in range(100)]

    def allowed(smallest: float) -> float:
        """The error of the choice where more error means more Dice."""
        candidates = [_choice("best", 0.5, step, dice=step) for step in steps if step >= smallest]
        return rank(candidates, SelectionConfig(tolerance=0.02))[0].gap

    limits = [allowed(smallest) for smallest in steps[:60]]

    assert limits[:14] == [0.02] * 14
    assert limits[40] == pytest.approx(0.06)
    differences = [after - before for before, after in itertools.pairwise(limits)]
    assert min(differences) >= 0 and max(differences) < 0.0021


def test_without_a_choice_in_the_band_dice_decides_among_those_that_come_about_as_near() -> None:
    candidates = [
        _choice("blurred", 0.5, gap=0.01, dice=0.30, predicted=0.300),
        _choice("sharp", 0.5, gap=0.01, dice=0.82, predicted=0.299),
        _choice("far", 0.5, gap=0.01, dice=0.90, predicted=0.200),
    ]

    chosen, why = _select(candidates, SelectionConfig(band=(0.4, 0.5)))

    assert chosen.checkpoint == "sharp"
    assert "within the band of 40.00% to 50.00%; this one is off by 10.10%." in why


def test_a_band_comes_first() -> None:
    candidates = [
        _choice("best", 0.5, gap=0.0, dice=0.9, predicted=0.10),
        _choice("best", 0.3, gap=0.2, dice=0.6, predicted=0.30),
    ]

    inside, why_inside = _select(candidates, SelectionConfig(band=(0.2, 0.4)))
    nearest, why_nearest = _select(candidates, SelectionConfig(band=(0.5, 0.7)))

    assert inside.threshold == nearest.threshold == 0.3
    assert "Choices within the band of 20.00% to 40.00%: 1 of 2." in why_inside
    assert "No choice predicts within the band of 50.00% to 70.00%" in why_nearest


def test_a_fraction_above_the_band_lies_outside_as_one_below_it_does() -> None:
    candidates = [
        _choice("above", 0.5, gap=0.0, dice=0.9, predicted=0.45),
        _choice("below", 0.5, gap=0.0, dice=0.8, predicted=0.10),
        _choice("inside", 0.5, gap=0.2, dice=0.6, predicted=0.40),
    ]

    ranking = rank(candidates, SelectionConfig(band=(0.2, 0.4)))

    assert [choice.checkpoint for choice in ranking] == ["inside", "above", "below"]


def test_equal_choices_prefer_the_middle_threshold_then_the_first_checkpoint() -> None:
    candidates = [
        _choice("best", 0.3, 0.01, 0.8),
        _choice("best", 0.6, 0.01, 0.8),
        _choice("swa", 0.6, 0.01, 0.8),
    ]

    chosen, _ = _select(candidates, SelectionConfig())

    assert (chosen.checkpoint, chosen.threshold) == ("best", 0.6)


def test_several_classes_are_chosen_by_checkpoint_alone() -> None:
    chosen, why = _select(
        [_choice("best", None, 0.01, 0.7), _choice("ema", None, 0.01, 0.8)], SelectionConfig()
    )

    assert chosen.checkpoint == "ema"
    assert why.startswith("ema: the highest Dice")


def test_the_objective_distribution_takes_the_smallest_gap_whatever_its_dice() -> None:
    candidates = [_choice("best", 0.5, 0.010, 0.9), _choice("best", 0.6, 0.001, 0.5)]

    chosen, why = _select(candidates, SelectionConfig(objective="distribution"))

    assert chosen.threshold == 0.6
    assert "the smallest error of the foreground fraction among 2 choices" in why


def test_the_objective_leaderboard_ranks_by_that_score_within_the_tolerance() -> None:
    candidates = [
        Choice("best", 0.5, 0.01, 0.9, 0.1, 0.1, leaderboard=0.50),
        Choice("best", 0.4, 0.01, 0.8, 0.1, 0.1, leaderboard=0.60),
        Choice("best", 0.3, 0.05, 0.8, 0.1, 0.1, leaderboard=0.99),
    ]

    order = rank(candidates, SelectionConfig(objective="leaderboard_exact"))
    _, why = _select(candidates, SelectionConfig(objective="leaderboard_exact"))

    assert [choice.threshold for choice in order] == [0.4, 0.5, 0.3]
    assert "the highest leaderboard score, 0.6000, of the choices (2 of 3)" in why


def test_a_choice_is_named_with_its_steps_and_written_without_missing_scores() -> None:
    chain = read_chain(
        [
            {"name": "hysteresis", "low": 0.3, "high": 0.85},
            {"name": "closing", "radius": [1, 2, 2]},
        ],
        "test",
    )

    choice = Choice("ema", None, 0.0, 0.5, 0.1, 0.1, postprocess=chain)

    assert str(choice) == "ema at hysteresis 0.3/0.85, closing 1x2x2 voxels"
    assert choice.plain()["postprocess"][1] == {"name": "closing", "radius": [1, 2, 2]}
    assert "leaderboard" not in choice.plain()
    assert choice.candidate == Candidate("ema", None, postprocess=chain)


def test_what_selection_cannot_mean_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"pairs are \[low, high\], found \[0.8, 0.3\]"):
        SelectionConfig(hysteresis=((0.8, 0.3),))
    with pytest.raises(ValidationError, match=r"band is \[low, high\]"):
        SelectionConfig(band=(0.5, 0.2))
    with pytest.raises(ValidationError, match="thresholds needs at least one value"):
        SelectionConfig(thresholds=())
