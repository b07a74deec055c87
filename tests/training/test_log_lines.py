from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch

from vesuv.config import Config, check
from vesuv.config.labels import Targets
from vesuv.evaluation.class_scores import overlap_row
from vesuv.models import build_model
from vesuv.training.log_lines import (
    absent_classes_lines,
    epoch_line,
    reconstruction_summary,
    start_line,
    summary_line,
    train_line,
    validation_lines,
    volume_lines,
)
from vesuv.training.validation import TileScores

RUN = Path("log/tiny/fold_0")
TWO = Targets.of_classes(("background", "sheet"))


def test_a_run_says_what_it_trains_on_what_and_for_how_long(tiny_config: Config) -> None:
    class Data:
        train = "abc"
        validation = "d"

    network = build_model(tiny_config.model)
    count = sum(parameter.numel() for parameter in network.parameters())

    assert start_line(tiny_config, RUN, network, cast("Any", Data), 6) == (
        f"tiny into log/tiny/fold_0: {count:,} parameters, 3 training, 1 validation case, "
        "4 epochs of 6 steps"
    )


@pytest.mark.parametrize(
    ("fractions", "absent"), [((0.9, 0.1), None), ((1.0, 0.0), "sheet"), ((0.0, 1.0), "background")]
)
def test_a_class_that_no_training_case_holds_is_named_at_the_start(
    tiny_config: Config, fractions: tuple[float, float], absent: str | None
) -> None:
    class Data:
        class_fractions = fractions

    lines = absent_classes_lines(tiny_config, cast("Any", Data))

    assert (
        lines == []
        if absent is None
        else lines[0].startswith(
            f"No training case of this fold holds {absent}, which is not learned then; move a case"
        )
    )


@pytest.mark.parametrize(("most_seconds", "minutes"), [(1e9, 0.6), (12.0, 0.2), (-1.0, 0.0)])
def test_time_left_is_what_the_steps_take_or_what_there_is(
    tiny_config: Config, most_seconds: float, minutes: float
) -> None:
    row = {"train/loss": 0.5, "lr": 1e-3, "patches_per_second": 1.0}

    line = train_line(tiny_config, (1, 0), row, 6, most_seconds)

    # 3 epochs of 6 steps with 2 patches each are 36 s.
    assert line == (f"Epoch 1 Train - Loss: 0.5000 lr: 0.001 1.00 patches/s, {minutes} min left")


def test_an_epoch_is_one_line_of_the_numbers_that_matter(tiny_config: Config) -> None:
    trained = {"train/loss": 0.41957, "lr": 8.87e-4, "patches_per_second": 3.915}
    validated = {"val/dice": 0.83684, "val/precision": 0.85, "val/recall": 0.8, "val/iou": 0.7}

    assert epoch_line(tiny_config, 2, trained, 150.0) == (
        "epoch 2  loss 0.4196  lr 0.000887  3.92 patches/s  2.5 min left"
    )
    assert epoch_line(tiny_config, 3, trained | validated | {"val/full_dice": 0.81}, 0.0) == (
        "epoch 3  loss 0.4196  dice 0.8368  precision 0.8500  recall 0.8000  whole volumes 0.8100  "
        "lr 0.000887  3.92 patches/s"
    )


def test_an_epoch_names_the_first_of_several_classes(tiny_config: Config) -> None:
    names = {"background": 0, **{f"c{k}": k for k in range(1, 9)}}
    labels = tiny_config.labels.model_copy(update={"classes": names, "ignore": None})
    config = tiny_config.model_copy(update={"labels": labels})
    row = {"val/dice": 0.5, **{f"val/dice[c{k}]": k / 10 for k in range(1, 9)}}

    line = epoch_line(config, 0, row | {"val/dice[c2]": None}, 0.0)

    assert line == (
        "epoch 0  mean dice 0.5000  Dice of c1 0.100, c2 –, c3 0.300, c4 0.400, c5 0.500, "
        "c6 0.600, … 2 more"
    )


def test_the_validation_line_adds_the_weighted_losses_up() -> None:
    overlap = overlap_row(torch.tensor([[4, 1], [2, 3]]), TWO)
    scored = TileScores(overlap["dice"], {"dice": 0.4, "focal": 0.2}, overlap)

    assert validation_lines(6, scored, {"dice": 0.5, "focal": 2.0}, "dice", TWO) == [
        "Epoch 6 Val - Loss: 0.6000 (dice: 0.4000, focal: 0.2000) dice: 0.6667 precision: 0.7500 "
        "recall: 0.6000 foreground: 0.4000 labelled: 0.5000"
    ]
    assert volume_lines(9, overlap, TWO) == ["Epoch 9 Full volumes - Dice: 0.6667"]


def test_each_of_several_classes_has_a_line_of_its_own() -> None:
    names = Targets.of_classes(("background", "sheet", "ink", "fibre"))
    # sheet: 3 of 4 predicted and 6 labelled; ink: nowhere; fibre: 1 of 4 predicted and 1 labelled
    matrix = torch.tensor([[10, 1, 0, 2], [2, 3, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1]])
    overlap = overlap_row(matrix, names)
    scored = TileScores(overlap["dice"], {}, overlap)

    means, *by_class = validation_lines(6, scored, {}, "dice", names)

    assert means.endswith(
        "mean dice: 0.5000 mean precision: 0.5000 mean recall: 0.7500 foreground: 0.4000 "
        "labelled: 0.3500"
    )
    assert by_class == [
        "Epoch 6 Val, class sheet - dice: 0.6000 precision: 0.7500 recall: 0.5000 "
        "predicted: 0.2000 labelled: 0.3000",
        "Epoch 6 Val, class ink - neither labelled nor predicted",
        "Epoch 6 Val, class fibre - dice: 0.4000 precision: 0.2500 recall: 1.0000 "
        "predicted: 0.2000 labelled: 0.0500",
    ]
    assert volume_lines(9, overlap, names) == [
        "Epoch 9 Full volumes - mean Dice: 0.5000",
        *(line.replace("Epoch 6 Val,", "Epoch 9 Full volumes,") for line in by_class),
    ]


def test_accuracy_is_no_mean_over_classes() -> None:
    names = Targets.of_classes(("background", "sheet", "ink"))
    overlap = overlap_row(torch.eye(3, dtype=torch.int64), names)

    line = validation_lines(0, TileScores(1.0, {}, overlap), {}, "accuracy", names)[0]

    assert "() accuracy: 1.0000 mean precision: 1.0000" in line


def test_the_summary_names_the_best_and_the_next_command(tiny_config: Config) -> None:
    assert summary_line(tiny_config, RUN, None, 0, held_out=True) == "No validation took place"
    held_out = summary_line(tiny_config, RUN, 0.5, 3, held_out=True)
    assert held_out.startswith("Best dice 0.5000 at epoch 3; next: ")
    assert held_out.endswith("validate_distribution --run log/tiny/fold_0")
    every_case = summary_line(tiny_config, RUN, 0.5, 3, held_out=False)
    assert every_case.endswith("predict --run log/tiny/fold_0")


def test_the_summary_calls_the_measure_of_several_classes_a_mean(tiny_config: Config) -> None:
    tree = tiny_config.model_dump(mode="json")
    tree["labels"]["classes"] = {"background": 0, "sheet": 1, "fibre": 3}
    tree["model"]["out_channels"] = 3

    line = summary_line(check(tree, "several"), RUN, 0.5, 3, held_out=True)

    assert line.startswith("Best mean dice 0.5000 at epoch 3; next: ")


@pytest.mark.parametrize(
    ("optimizer", "has_hint"), [({"name": "adamw", "lr": 1e-3}, True), ({"name": "muon"}, False)]
)
def test_fine_tuning_with_a_tenth_of_the_rate_is_proposed_except_with_muon(
    tiny_config: Config, optimizer: dict[str, Any], has_hint: bool
) -> None:
    config = check(tiny_config.model_dump() | {"optimizer": optimizer}, "tiny.yaml")

    line = reconstruction_summary(config, RUN, 0.5, 3)

    assert "--pretrained log/tiny/fold_0" in line
    assert ("--set optimizer.lr=0.0001 scheduler.warmup_epochs=1" in line) == has_hint
