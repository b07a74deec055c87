from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vesuv.evaluation import distribution
from vesuv.evaluation.distribution import (
    Step,
    likeliest_curve,
    step_matrices,
    target_curve,
    threshold_curve,
)
from vesuv.evaluation.overlap import confusion


def test_counts_at_each_threshold_of_a_hand_made_volume() -> None:
    probs = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9, 0.9]).reshape(1, 1, 1, 6)
    label = torch.tensor([0, 1, 0, 1, 1, 255]).reshape(1, 1, 6)

    curve = threshold_curve(probs[0], label, label != 255, [0.8, 0.5])

    assert curve.thresholds == (0.5, 0.8)
    assert curve.matrices.tolist() == [[[1, 1], [1, 2]], [[2, 0], [2, 1]]]
    assert curve.histogram.sum(dim=1).tolist() == [2, 3]
    assert curve.histogram[:, 25].tolist() == [1, 0]


@settings(max_examples=25)
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

    curve = threshold_curve(probs[0], label, valid, thresholds)

    for threshold, matrix in zip(thresholds, curve.matrices.tolist(), strict=True):
        mask = probs[0] >= threshold
        expected = [[int(((label == i) & (mask == bool(j)) & valid).sum()) for j in (0, 1)]
                    for i in (0, 1)]  # fmt: skip
        assert matrix == expected


def test_a_volume_larger_than_one_chunk_counts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    probs = torch.rand(1, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    label = (probs[0] > 0.4).long()
    valid = probs[0] < 0.9

    whole = threshold_curve(probs[0], label, valid, (0.2, 0.6))
    monkeypatch.setattr(distribution, "_CHUNK", 11)
    pieces = threshold_curve(probs[0], label, valid, (0.2, 0.6))

    assert torch.equal(whole.matrices, pieces.matrices)
    assert torch.equal(whole.histogram, pieces.histogram)


def test_several_classes_predict_the_likeliest() -> None:
    probs = torch.tensor([[0.5, 0.1], [0.3, 0.2], [0.2, 0.7]]).reshape(3, 1, 1, 2)
    label = torch.tensor([[[0, 1]]])

    curve = likeliest_curve(1 - probs[0], probs.argmax(dim=0), label, 3)

    assert curve.thresholds == (None,)
    assert curve.matrices.tolist() == [[[1, 0, 0], [0, 0, 1], [0, 0, 0]]]
    assert curve.histogram[0, 25] == 1  # half the probability is foreground
    assert curve.histogram[1, 45] == 1


def test_curves_of_two_volumes_pool() -> None:
    probs = torch.tensor([0.2, 0.8]).reshape(1, 1, 1, 2)
    label = torch.tensor([[[0, 1]]])
    curve = threshold_curve(probs[0], label, label != 255, [0.5])

    assert (curve + curve).matrices.tolist() == [[[2, 0], [0, 2]]]


def test_a_class_replaces_others_where_its_score_reaches_the_threshold() -> None:
    score = torch.tensor([0.2, 0.6, 0.9, -1.0, 0.6]).reshape(1, 1, 5)
    below = torch.tensor([0, 1, 1, 1, 0]).reshape(1, 1, 5)
    label = torch.tensor([0, 2, 1, 1, 255]).reshape(1, 1, 5)

    matrices = step_matrices(Step(score, below, 2), label, label != 255, [0.5, 0.7], 3)

    # at 0.5 the second and third voxel are class 2, at 0.7 only the third
    assert matrices.tolist() == [
        [[1, 0, 0], [0, 1, 1], [0, 0, 1]],
        [[1, 0, 0], [0, 1, 1], [0, 1, 0]],
    ]


def test_many_classes_and_thresholds_count_as_masks_do() -> None:
    generator = torch.Generator().manual_seed(1)
    score = torch.rand(4, 5, 6, generator=generator)
    below = torch.randint(0, 20, score.shape, generator=generator)
    label = torch.randint(0, 20, score.shape, generator=generator)
    cuts = [k / 100 for k in range(1, 100)]

    matrices = step_matrices(Step(score, below, 7), label, label < 19, cuts, 20)

    for cut, matrix in list(zip(cuts, matrices, strict=True))[::17]:
        predicted = torch.where(score >= cut, 7, below)
        assert torch.equal(matrix, confusion(predicted, label, label < 19, 20))


def test_the_curve_of_one_class_counts_it_against_all_others() -> None:
    score = torch.tensor([0.2, 0.6, 0.9]).reshape(1, 1, 3)
    label = torch.tensor([3, 2, 255]).reshape(1, 1, 3)
    matrices = step_matrices(Step(score, torch.zeros(1, 1, 3), 2), label, label != 255, [0.5], 4)

    curve = target_curve(score, label, matrices, (2, 3), [0.5])

    assert curve.matrices.tolist() == [[[0, 0], [1, 1]]]
    assert curve.histogram[1].sum() == 2
