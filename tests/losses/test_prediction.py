import pytest
import torch

from vesuv.losses.prediction import Prediction, ratio

LABEL = torch.tensor([0, 1, 2, 255]).view(1, 1, 1, 4)
VALID = LABEL != 255


def test_a_target_channel_for_each_foreground_class_without_ignored_voxels() -> None:
    prediction = Prediction(torch.zeros(1, 3, 1, 1, 4), LABEL, VALID)

    assert prediction.target.shape == (1, 2, 1, 1, 4)
    assert prediction.target[0, :, 0, 0].long().tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]


def test_sums_leave_ignored_voxels_out() -> None:
    logits = torch.tensor([0.1, 0.2, 0.4, 0.9]).logit().view(1, 1, 1, 1, 4)
    prediction = Prediction(logits, LABEL, VALID)

    assert prediction.num_valid.item() == 3
    assert prediction.num_labelled.item() == 1
    assert prediction.probs_sum.item() == pytest.approx(0.7)
    assert prediction.overlap.item() == pytest.approx(0.2)


def test_half_precision_logits_are_taken_in_float32() -> None:
    prediction = Prediction(torch.zeros(1, 1, 1, 1, 4, dtype=torch.bfloat16), LABEL, VALID)

    assert prediction.probs.dtype == torch.float32


def test_an_empty_ratio_has_the_given_value_and_no_gradient() -> None:
    numerator = torch.tensor([1.0, 0.0], requires_grad=True)
    denominator = torch.tensor([2.0, 0.0], requires_grad=True)

    result = ratio(numerator, denominator, empty=7.0)
    result.sum().backward()

    assert result.tolist() == [0.5, 7.0]
    assert numerator.grad is not None
    assert denominator.grad is not None
    assert numerator.grad.tolist() == [0.5, 0.0]
    assert denominator.grad.tolist() == [-0.25, 0.0]


def test_the_mean_of_nothing_is_zero() -> None:
    prediction = Prediction(torch.zeros(1, 1, 1, 1, 4), LABEL, VALID)
    values = torch.tensor([3.0, 5.0])

    assert prediction.mean_where(values, torch.tensor([False, True])) == 5
    assert prediction.mean_where(values, torch.tensor([False, False])) == 0


class Twins:
    """Two processes that hold the same patches."""

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return 2 * values

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values, values])


def test_what_the_processes_hold_is_added_up_or_joined() -> None:
    logits = torch.randn(1, 3, 1, 1, 4, generator=torch.Generator().manual_seed(0))
    prediction = Prediction(logits, LABEL, VALID, Twins())

    assert prediction.total_valid == 2 * prediction.num_valid.sum()
    assert prediction.mean_where(torch.tensor([3.0, 4.0]), torch.tensor([True, True])) == 3.5
    assert torch.equal(prediction.whole_batch.logits, torch.cat([logits, logits]))
    assert prediction.whole_batch.total_valid == prediction.total_valid


def test_alone_the_whole_batch_is_the_prediction_itself() -> None:
    prediction = Prediction(torch.zeros(1, 3, 1, 1, 4), LABEL, VALID)

    assert prediction.whole_batch is prediction
    assert prediction.total_valid == prediction.num_valid.sum()
