from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.filters import apply_hysteresis_threshold

from vesuv.inference.postprocess.cuts import hysteresis, threshold

PROBS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
    elements=st.floats(0, 1, width=32),
)


def test_a_probability_equal_to_the_threshold_is_foreground() -> None:
    probs = np.array([[[0.0, 0.3, 0.31, 1.0]]], np.float32)

    assert threshold(probs, 0.3).tolist() == [[[False, True, True, True]]]
    assert np.array_equal(threshold(probs, 0.3), (torch.from_numpy(probs) >= 0.3).numpy())
    assert threshold(probs, 0.0).all()


def test_whole_numbers_count_255ths() -> None:
    counts = np.array([[[0, 50, 51, 52, 254, 255]]], np.uint8)

    assert threshold(counts, 0.2).tolist() == [[[False, False, True, True, True, True]]]
    assert threshold(counts, 1.0).tolist() == [[[False] * 5 + [True]]]
    assert threshold(counts, 0.0).all()


@given(st.integers(0, 255))
def test_each_of_255_steps_reaches_itself_and_no_more(count: int) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 256)

    assert np.count_nonzero(threshold(every, count / 255)) == 256 - count


def test_hysteresis_keeps_weak_voxels_that_lead_to_a_strong_one() -> None:
    probs = np.array([[[0.4, 0.9, 0.4, 0.1, 0.4, 0.4, 0.1, 0.85]]], np.float32)

    found = hysteresis(probs, 0.3, 0.85)

    assert found.astype(int).tolist() == [[[1, 1, 1, 0, 0, 0, 0, 1]]]


def test_hysteresis_passes_over_corners() -> None:
    probs = np.zeros((2, 2, 3), np.float32)
    probs[0, 0, 0], probs[1, 1, 1], probs[0, 0, 2] = 0.9, 0.4, 0.4

    assert np.array_equal(hysteresis(probs, 0.3, 0.8), probs > 0)


@given(PROBS)
def test_hysteresis_agrees_with_scikit_image_and_lies_between_its_thresholds(probs) -> None:
    found = hysteresis(probs, 0.25, 0.75)

    # scikit-image joins by faces: what it keeps is part of what corners keep too
    assert not (apply_hysteresis_threshold(probs, 0.25 - 1e-7, 0.75 - 1e-7) & ~found).any()
    assert not (threshold(probs, 0.75) & ~found).any()
    assert not (found & ~threshold(probs, 0.25)).any()
    assert np.array_equal(hysteresis(found.astype(np.float32), 0.25, 0.75), found)


def test_nothing_strong_leaves_nothing() -> None:
    assert not hysteresis(np.full((3, 3, 3), 0.5, np.float32), 0.3, 0.8).any()


@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_hysteresis_of_other_types(kind) -> None:
    one = 255 if kind == np.uint8 else 1.0
    probs = np.array([[[one, one // 2, 0, one // 2]]], kind)

    expected = [[[1, 1, 0, 0]]] if kind == np.uint8 else [[[1, 0, 0, 0]]]
    assert hysteresis(probs, 0.3, 0.9).astype(int).tolist() == expected
