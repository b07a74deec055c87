from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vesuv.config.training import SelectionConfig
from vesuv.evaluation import distribution
from vesuv.evaluation.distribution import Choice, choices, select, threshold_curve


def _choice(checkpoint: str, threshold: float | None, gap: float, dice: float, predicted=0.1):
    return Choice(checkpoint, threshold, gap, dice, predicted, labelled_fraction=0.1)


def test_counts_at_each_threshold_of_a_hand_made_volume() -> None:
    probs = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9, 0.9]).reshape(1, 1, 1, 6)
    label = torch.tensor([0, 1, 0, 1, 1, 255]).reshape(1, 1, 6)

    curve = threshold_curve(probs, label, label != 255, [0.8, 0.5], num_classes=2)

    assert curve.thresholds == (0.5, 0.8)
    assert curve.matrices.tolist() == [[[1, 1], [1, 2]], [[2, 0], [2, 1]]]
    assert curve.histogram.sum(dim=1).tolist() == [2, 3]
    assert curve.histogram[:, 25].tolist() == [1, 0]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_a_threshold_counts_exactly_what_comparing_the_tensor_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    thresholds = sorted(set(rng.choice(np.arange(1, 20) * 0.05, 6).tolist()))
    # probabilities that sit on thresholds and one float32 step beside them
    at = np.float32(rng.choice(thresholds, 90))
    beside = np.nextafter(at, np.float32(rng.integers(0, 2, 90)))
    probs = torch.from_numpy(np.where(rng.random(90) < 0.5, at, beside)).reshape(1, 3, 5, 6)
    label = torch.from_numpy(rng.integers(0, 2, (3, 5, 6)))
    valid = torch.from_numpy(rng.random((3, 5, 6)) < 0.8)

    curve = threshold_curve(probs, label, valid, thresholds, num_classes=2)

    for threshold, matrix in zip(thresholds, curve.matrices.tolist(), strict=True):
        mask = probs[0] >= threshold
        expected = [[int(((label == i) & (mask == bool(j)) & valid).sum()) for j in (0, 1)]
                    for i in (0, 1)]  # fmt: skip
        assert matrix == expected


def test_a_volume_larger_than_one_chunk_counts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    probs = torch.rand(1, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    label = (probs[0] > 0.4).long()
    valid = probs[0] < 0.9

    whole = threshold_curve(probs, label, valid, (0.2, 0.6), 2)
    monkeypatch.setattr(distribution, "_CHUNK", 11)
    pieces = threshold_curve(probs, label, valid, (0.2, 0.6), 2)

    assert torch.equal(whole.matrices, pieces.matrices)
    assert torch.equal(whole.histogram, pieces.histogram)


def test_several_classes_predict_the_likeliest() -> None:
    probs = torch.tensor([[0.5, 0.1], [0.3, 0.2], [0.2, 0.7]]).reshape(3, 1, 1, 2)
    label = torch.tensor([[[0, 1]]])

    curve = threshold_curve(probs, label, label != 255, [0.5], num_classes=3)

    assert curve.thresholds == (None,)
    assert curve.matrices.tolist() == [[[1, 0, 0], [0, 0, 1], [0, 0, 0]]]
    assert curve.histogram[0, 25] == 1  # half the probability is foreground
    assert curve.histogram[1, 45] == 1


def test_curves_of_two_volumes_pool() -> None:
    probs = torch.tensor([0.2, 0.8]).reshape(1, 1, 1, 2)
    label = torch.tensor([[[0, 1]]])
    curve = threshold_curve(probs, label, label != 255, [0.5], num_classes=2)

    assert (curve + curve).matrices.tolist() == [[[2, 0], [0, 2]]]


def test_gap_and_dice_are_means_over_cases_and_unjudged_cases_are_left_out() -> None:
    def volume(prob: list[float], label: list[int]):
        truth = torch.tensor(label).reshape(1, 1, -1)
        return threshold_curve(
            torch.tensor(prob).reshape(1, 1, 1, -1), truth, truth != 255, [0.5], 2
        )

    # too much in one case and too little in the other: pooled fractions agree, cases do not
    over = volume([0.9, 0.9, 0.1, 0.1], [1, 0, 0, 0])
    under = volume([0.9, 0.1, 0.1, 0.1], [1, 1, 0, 0])
    unjudged = volume([0.9], [255])

    (choice,) = choices("best", [over, unjudged, under])

    assert choice.predicted_fraction == choice.labelled_fraction == pytest.approx(3 / 8)
    assert choice.gap == pytest.approx(0.25)
    assert choice.dice == pytest.approx(2 / 3)


def test_the_best_dice_wins_among_choices_within_the_tolerance() -> None:
    candidates = [
        _choice("best", 0.5, gap=0.001, dice=0.70),
        _choice("best", 0.4, gap=0.019, dice=0.75),
        _choice("swa", 0.3, gap=0.021, dice=0.90),
    ]

    chosen, why = select(candidates, SelectionConfig(tolerance=0.02))

    assert (chosen.checkpoint, chosen.threshold) == ("best", 0.4)
    assert why.startswith(
        "best at threshold 0.4: the highest Dice, 0.7500, of the choices (2 of 3)"
    )


def test_the_smallest_gap_wins_when_none_is_within_the_tolerance() -> None:
    candidates = [_choice("best", 0.5, 0.30, 0.9), _choice("last", 0.9, 0.10, 0.5)]

    chosen, why = select(candidates, SelectionConfig(tolerance=0.02))

    assert chosen.checkpoint == "last"
    assert "none is within the tolerance of 2.00%" in why


def test_a_band_comes_first() -> None:
    candidates = [
        _choice("best", 0.5, gap=0.0, dice=0.9, predicted=0.10),
        _choice("best", 0.3, gap=0.2, dice=0.6, predicted=0.30),
    ]

    inside, why_inside = select(candidates, SelectionConfig(band=(0.2, 0.4)))
    nearest, why_nearest = select(candidates, SelectionConfig(band=(0.5, 0.7)))

    assert inside.threshold == nearest.threshold == 0.3
    assert "Choices within the band of 20.00% to 40.00%: 1 of 2." in why_inside
    assert "No choice predicts within the band of 50.00% to 70.00%" in why_nearest


def test_equal_choices_prefer_the_middle_threshold_then_the_first_checkpoint() -> None:
    candidates = [
        _choice("best", 0.3, 0.01, 0.8),
        _choice("best", 0.6, 0.01, 0.8),
        _choice("swa", 0.6, 0.01, 0.8),
    ]

    chosen, _ = select(candidates, SelectionConfig())

    assert (chosen.checkpoint, chosen.threshold) == ("best", 0.6)


def test_several_classes_are_chosen_by_checkpoint_alone() -> None:
    chosen, why = select(
        [_choice("best", None, 0.01, 0.7), _choice("ema", None, 0.01, 0.8)], SelectionConfig()
    )

    assert chosen.checkpoint == "ema"
    assert why.startswith("ema: the highest Dice")
