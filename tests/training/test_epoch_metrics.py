from dataclasses import replace

import pytest
import torch

from vesuv.data.labels import IGNORE
from vesuv.training.epoch_metrics import EpochMetrics
from vesuv.training.step import StepResult


def result(loss: float, *, skipped: bool = False) -> StepResult:
    value = torch.tensor(loss)
    fine = torch.ones(2, dtype=torch.bool)
    return StepResult(
        value, {"dice": value / 2}, torch.tensor(1.0), torch.tensor(float(skipped)), fine, fine
    )


def test_skipped_steps_are_left_out_of_the_means() -> None:
    metrics = EpochMetrics(torch.device("cpu"))
    for step_result in (result(1.0), result(float("nan"), skipped=True), result(3.0)):
        metrics.add_step(step_result)

    assert metrics.row() == {
        "train/loss": 2.0, "train/gradient_norm": 1.0, "train/loss_dice": 1.0,
    }  # fmt: skip


def test_a_loss_that_is_computed_in_some_steps_is_averaged_over_those() -> None:
    metrics = EpochMetrics(torch.device("cpu"))
    for number in range(4):
        values = {"dice": torch.tensor(0.5), "betti_matching": torch.tensor(6.0 + number)}
        computed = values if number % 2 == 0 else {"dice": values["dice"]}
        metrics.add_step(replace(result(1.0), components=computed))

    assert metrics.row()["train/loss_dice"] == 0.5
    assert metrics.row()["train/loss_betti_matching"] == (6.0 + 8.0) / 2


def test_patch_contents_are_counted_over_valid_voxels() -> None:
    metrics = EpochMetrics(torch.device("cpu"))
    label = torch.zeros((2, 2, 2, 2), dtype=torch.uint8)
    label[0, 0] = 1
    label[0, 1] = IGNORE
    metrics.add_patches(label)
    metrics.add_patches(torch.zeros((2, 2, 2, 2), dtype=torch.uint8))

    row = metrics.row()

    assert row["train/foreground_share"] == pytest.approx(4 / 28)
    assert row["train/ignored_share"] == pytest.approx(4 / 32)
    assert row["train/patches_with_foreground"] == pytest.approx(1 / 4)


def test_an_epoch_continues_from_its_saved_metrics() -> None:
    whole, half = EpochMetrics(torch.device("cpu")), EpochMetrics(torch.device("cpu"))
    label = torch.ones((1, 2, 2, 2), dtype=torch.uint8)
    for metrics in (whole, half):
        metrics.add_step(result(0.1))
        metrics.add_patches(label)
    rest = EpochMetrics(torch.device("cpu"))
    rest.restore(half.state())
    for metrics in (whole, rest):
        metrics.add_step(result(0.7))
        metrics.add_patches(label)

    assert rest.row() == whole.row()
