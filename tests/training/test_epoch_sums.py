import pytest
import torch

from vesuv.data.labels import IGNORE
from vesuv.training.epoch_sums import EpochSums
from vesuv.training.step import StepResult


def result(loss: float, *, skipped: bool = False) -> StepResult:
    value = torch.tensor(loss)
    fine = torch.ones(2, dtype=torch.bool)
    return StepResult(
        value, {"dice": value / 2}, torch.tensor(1.0), torch.tensor(float(skipped)), fine, fine
    )


def test_skipped_steps_are_left_out_of_the_means() -> None:
    sums = EpochSums(torch.device("cpu"))
    for one in (result(1.0), result(float("nan"), skipped=True), result(3.0)):
        sums.add(one)

    assert sums.row() == {
        "train/loss": 2.0, "train/gradient_norm": 1.0, "train/loss_dice": 1.0,
    }  # fmt: skip


def test_what_patches_hold_is_counted_over_judged_voxels() -> None:
    sums = EpochSums(torch.device("cpu"))
    label = torch.zeros((2, 2, 2, 2), dtype=torch.uint8)
    label[0, 0] = 1
    label[0, 1] = IGNORE
    sums.see(label)
    sums.see(torch.zeros((2, 2, 2, 2), dtype=torch.uint8))

    row = sums.row()

    assert row["train/foreground_share"] == pytest.approx(4 / 28)
    assert row["train/ignored_share"] == pytest.approx(4 / 32)
    assert row["train/patches_with_foreground"] == pytest.approx(1 / 4)


def test_an_epoch_goes_on_from_its_saved_sums() -> None:
    whole, half = EpochSums(torch.device("cpu")), EpochSums(torch.device("cpu"))
    label = torch.ones((1, 2, 2, 2), dtype=torch.uint8)
    for sums in (whole, half):
        sums.add(result(0.1))
        sums.see(label)
    rest = EpochSums(torch.device("cpu"))
    rest.restore(half.state())
    for sums in (whole, rest):
        sums.add(result(0.7))
        sums.see(label)

    assert rest.row() == whole.row()
