import math

import pytest
import torch

from vesuv.evaluation.fraction import fraction_error
from vesuv.evaluation.overlap import scores


def of(matrix: list[list[int]]) -> tuple[float, float]:
    error = fraction_error(scores(torch.tensor(matrix)))
    return error.absolute, error.relative


def test_twice_the_foreground_is_an_error_of_its_share_and_of_one() -> None:
    assert of([[6, 2], [0, 2]]) == pytest.approx((0.2, 1.0))


def test_too_little_is_negative() -> None:
    assert of([[6, 0], [4, 0]]) == pytest.approx((-0.4, -1.0))


def test_empty_labels_have_defined_answers() -> None:
    assert of([[10, 0], [0, 0]]) == (0.0, 0.0)
    assert of([[5, 5], [0, 0]]) == (0.5, math.inf)
    assert all(math.isnan(value) for value in of([[0, 0], [0, 0]]))
