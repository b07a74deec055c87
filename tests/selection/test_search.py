from __future__ import annotations

import numpy as np
import pytest

from vesuv.config.postprocess import read_chain
from vesuv.selection.search import search
from vesuv.selection.summary import group_scores, margin, nested_estimate, selection_summary

SPECKS = read_chain([{"name": "remove_small", "voxels": 3}], "test")
# thresholds 0.3 and 0.7 cut two voxels and one; A has two in truth, B one
LABELS = {"A": [1, 1, 0, 0], "B": [1, 0, 0, 0]}
PROBS = {"A": [0.9, 0.5, 0.1, 0.1], "B": [0.9, 0.5, 0.1, 0.1]}


def test_hysteresis_wins_where_a_sheet_fades_and_noise_does_not_reach_as_high(
    make_problem,
) -> None:
    #      a sheet that fades to 0.35      noise at 0.6, a sheet-less patch at 0.4
    sheet = [0.95, 0.9, 0.35, 0.35, 0.0, 0.6, 0.6, 0.0, 0.4, 0.4]
    truth = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    problem = make_problem(
        {"A": truth},
        {"best": {"A": sheet}},
        thresholds=(0.3, 0.5, 0.7),
        hysteresis=((0.3, 0.85), (0.2, 0.5)),
        tolerance=1.0,
    )

    result = search(problem)

    assert str(result.chosen) == "best at hysteresis 0.3/0.85"
    assert result.chosen.dice == 1.0 and result.chosen.gap == 0.0
    # the best threshold, 0.7, finds two of four: 2 * 2 / (2 + 4)
    assert max(c.dice for c in result.competing if not c.postprocess) == pytest.approx(2 / 3)
    # the lower pair keeps the noise as well: 2 * 4 / (6 + 4)
    lower = next(c for c in result.competing if "0.2/0.5" in str(c))
    assert lower.dice == pytest.approx(0.8)
    # 0.7 without the sheet's end is closest in Dice after the pairs
    assert str(result.ranking[1]) == "best at hysteresis 0.2/0.5"


def test_a_chain_wins_where_specks_are_as_sure_as_the_sheet(make_problem) -> None:
    probs = [0.9, 0.9, 0.9, 0.9, 0.0, 0.9, 0.0, 0.9, 0.9, 0.0]
    truth = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    problem = make_problem(
        {"A": truth},
        {"best": {"A": probs}},
        thresholds=(0.5,),
        postprocess=(SPECKS,),
        tolerance=0.1,
    )

    result = search(problem)

    assert str(result.chosen) == "best at threshold 0.5, remove small 3 voxels"
    assert (result.chosen.dice, result.chosen.gap) == (1.0, 0.0)
    second = result.ranking[1]  # 7 of 10 for 4 of 10: outside the tolerance
    assert (second.gap, second.dice) == (pytest.approx(0.3), pytest.approx(8 / 11))
    assert margin(result) == {
        "over": "best at threshold 0.5",
        "within_tolerance": False,
        "dice": pytest.approx(3 / 11),
        "gap": pytest.approx(-0.3),
    }


def test_the_chain_of_the_configuration_is_tried_too(make_problem) -> None:
    problem = make_problem(
        {"A": [1, 1, 1, 0, 0]},
        {"best": {"A": [0.9, 0.9, 0.9, 0.0, 0.9]}},
        thresholds=(0.5,),
        default_chain=SPECKS,
    )

    assert search(problem).chosen.postprocess == SPECKS


def test_a_chain_with_a_cut_of_its_own_replaces_every_threshold(make_problem) -> None:
    chain = read_chain([{"name": "threshold", "value": 0.62}], "test")
    problem = make_problem(
        {"A": [1, 0, 0]},
        {"best": {"A": [0.65, 0.61, 0.1]}},
        thresholds=(0.5, 0.7),
        hysteresis=((0.6, 0.64),),
        postprocess=(chain,),
    )

    result = search(problem)

    assert str(result.chosen) == "best at threshold 0.62"
    assert result.chosen.threshold is None
    assert len(result.competing) == 2 + 1 + 1


def test_the_honest_estimate_by_hand(make_problem) -> None:
    problem = make_problem(LABELS, {"best": PROBS}, thresholds=(0.3, 0.7), tolerance=1.0)

    result = search(problem)
    estimate = nested_estimate(result.nested, "case")

    # either threshold is perfect on one case and scores 2 / 3 on the other
    assert result.chosen.dice == pytest.approx(5 / 6)
    # without A, 0.7 is chosen, and finds one of A's two; without B, 0.3, with one too many
    assert [(one.part, one.rest_scores.threshold) for one in result.nested] == [
        ("A", 0.7),
        ("B", 0.3),
    ]
    assert estimate is not None and estimate["left_out"] == "case"
    assert estimate["dice"] == pytest.approx(2 / 3)
    assert estimate["gap"] == pytest.approx(1 / 4)


def test_survivors_are_chosen_without_the_part_that_is_left_out_too(make_problem) -> None:
    # on A and A2 0.3 is perfect; on B 0.7 is better, and perfect without the speck at its end
    fading, speck = [0.5, 0.5, 0.9, 0.5, 0, 0, 0, 0], [0.9, 0.9, 0.9, 0.5, 0.5, 0, 0.8, 0]
    one = read_chain([{"name": "remove_small", "voxels": 2}], "test")
    problem = make_problem(
        {"A": [1] * 4 + [0] * 4, "A2": [1] * 4 + [0] * 4, "B": [1] * 3 + [0] * 5},
        {"best": {"A": fading, "A2": fading, "B": speck}},
        folds=(("A", "A2"), ("B",)),
        thresholds=(0.3, 0.7),
        postprocess=(one,),
        survivors=1,
        tolerance=1.0,
    )

    result = search(problem)

    # 0.3 survives on all cases, and without B; without A and A2 it is 0.7
    assert [str(choice) for choice in result.competing] == [
        "best at threshold 0.3",
        "best at threshold 0.7",
        "best at threshold 0.3, remove small 2 voxels",
    ]
    assert [str(one.rest_scores) for one in result.nested] == [
        "best at threshold 0.7, remove small 2 voxels",
        "best at threshold 0.3",
    ]


def test_folds_are_left_out_whole_and_count_by_their_cases(make_problem) -> None:
    labels = {"A": LABELS["A"], "A2": LABELS["A"], "B": LABELS["B"]}
    probs = {"A": PROBS["A"], "A2": PROBS["A"], "B": PROBS["B"]}
    problem = make_problem(
        labels, {"best": probs}, folds=(("A", "A2"), ("B",)), thresholds=(0.3, 0.7), tolerance=1.0
    )

    result = search(problem)
    estimate = nested_estimate(result.nested, problem.part_kind)

    assert result.chosen.threshold == 0.3
    assert [(one.part, one.num_cases) for one in result.nested] == [("0", 2), ("1", 1)]
    assert estimate is not None and estimate["dice"] == pytest.approx(2 / 3)
    assert estimate["left_out"] == "fold"


def test_the_margin_is_told_by_group(make_problem) -> None:
    labels = {"A": LABELS["A"], "A2": LABELS["A"], "B": LABELS["B"]}
    probs = {"A": PROBS["A"], "A2": PROBS["A"], "B": PROBS["B"]}
    problem = make_problem(
        labels,
        {"best": probs},
        groups={"A": "1", "A2": "1", "B": "2"},
        thresholds=(0.3, 0.7),
        tolerance=1.0,
    )

    result = search(problem)

    lead = margin(result)
    assert lead is not None and lead["dice"] == pytest.approx((2 + 2 / 3) / 3 - (4 / 3 + 1) / 3)
    assert problem.part_kind == "group"
    first, second = group_scores(result)
    assert (first["group"], first["cases"], first["dice"]) == ("1", 2, 1.0)
    assert first["margin"]["dice"] == pytest.approx(1 / 3)
    assert second["margin"]["dice"] == pytest.approx(-1 / 3)


def test_the_better_checkpoint_wins_and_a_case_without_judged_voxels_changes_nothing(
    make_problem,
) -> None:
    labels = {**LABELS, "C": [255, 255, 255, 255]}
    worse = {name: [0.1, 0.9, 0.9, 0.1] for name in labels}
    better = {"A": [0.9, 0.9, 0.1, 0.1], "B": [0.9, 0.1, 0.1, 0.1], "C": [0.9] * 4}
    problem = make_problem(labels, {"last": worse, "best": better}, thresholds=(0.5,))

    result = search(problem)

    assert result.chosen.checkpoint == "best" and result.chosen.dice == 1.0
    assert {one.part for one in result.nested} == {"A", "B"}


def test_a_single_case_has_no_honest_estimate(make_problem) -> None:
    problem = make_problem({"A": [1, 0]}, {"best": {"A": [0.9, 0.1]}}, thresholds=(0.5,))

    result = search(problem)

    assert nested_estimate(result.nested, "case") is None
    assert margin(result) is None
    assert group_scores(result) == []


@pytest.mark.parametrize("objective", ["leaderboard_bounds", "leaderboard_exact"])
def test_the_leaderboard_prefers_a_whole_sheet_over_a_better_dice(make_problem, objective) -> None:
    truth = np.zeros((8, 16, 16), np.uint8)
    truth[4] = 1
    # at 0.7 the sheet falls into stripes, at 0.3 it is whole and thick
    probs = np.zeros(truth.shape)
    probs[4, :, :] = 0.9
    probs[4, ::4, :] = 0.5
    probs[5] = 0.5
    problem = make_problem(
        {"A": truth}, {"best": {"A": probs}}, thresholds=(0.3, 0.7), tolerance=1.0,
        objective=objective,
    )  # fmt: skip

    result = search(problem)
    by_threshold = {choice.threshold: choice for choice in result.competing}

    assert result.chosen.threshold == 0.3
    assert by_threshold[0.7].dice == pytest.approx(2 * 192 / (192 + 256))
    assert by_threshold[0.3].dice == pytest.approx(2 * 256 / (512 + 256))
    assert by_threshold[0.3].leaderboard > by_threshold[0.7].leaderboard
    assert "the highest leaderboard score" in result.why


def test_progress_counts_up_to_all(make_problem) -> None:
    problem = make_problem(LABELS, {"best": PROBS}, thresholds=(0.3, 0.7))
    told: list[tuple[int, int]] = []

    search(problem, lambda done, total: told.append((done, total)))

    assert told == [(1, 2), (2, 2)]


def test_no_nested_choice_prefers_a_wrong_mask_for_hardly_less_error(make_problem) -> None:
    # Of 100 voxels 20 are labelled: "blurred" finds 10 of them among 32, "sharp" all among 33.
    label = [1] * 20 + [0] * 80
    blurred = [0.9] * 10 + [0.1] * 10 + [0.9] * 22 + [0.1] * 58
    sharp = [0.9] * 33 + [0.1] * 67
    problem = make_problem(
        {"A": label, "B": label},
        {
            name: {"A": probs, "B": probs}
            for name, probs in (("blurred", blurred), ("sharp", sharp))
        },
        thresholds=(0.5,),
    )

    result = search(problem)

    assert [choice.checkpoint for choice in result.ranking] == ["sharp", "blurred"]
    assert [one.rest_scores.checkpoint for one in result.nested] == ["sharp", "sharp"]
    estimate = nested_estimate(result.nested, "case")
    assert (estimate["dice"], estimate["gap"]) == pytest.approx((40 / 53, 0.13))
    assert "none is within the tolerance of 2.00%" in selection_summary(result)["why"]


def test_beside_groups_a_case_without_one_is_left_out_too(make_problem) -> None:
    voxels = {name: [0, 1] for name in "abcd"}
    groups = {"a": "north", "b": "south", "c": None, "d": "north"}

    problem = make_problem(voxels, {"best": voxels}, groups=groups)

    parts = {name: part.tolist() for name, part in problem.parts.items()}
    assert problem.part_kind == "group"
    assert parts == {
        "c": [False, False, True, False],
        "north": [True, False, False, True],
        "south": [False, True, False, False],
    }
