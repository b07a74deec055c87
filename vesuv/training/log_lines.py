"""Lines of train.log about start, epochs and end of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from vesuv.config import Config
from vesuv.errors import command
from vesuv.evaluation.class_scores import Row
from vesuv.evaluation.measure import class_column
from vesuv.training.fold_data import FoldData
from vesuv.training.validation import TileScores


def start_line(
    config: Config, run: Path, network: nn.Module, data: FoldData, steps_per_epoch: int
) -> str:
    """Return the line at the start: parameters, cases, epochs and steps."""
    num_parameters = sum(p.numel() for p in network.parameters())
    cases = f"{len(data.train)} training, {len(data.validation)} validation cases"
    return (
        f"{config.name} into {run}: {num_parameters:,} parameters, {cases}, "
        f"{config.train.epochs} epochs of {steps_per_epoch} steps"
    )


def train_line(
    config: Config,
    position: tuple[int, int],
    row: Mapping[str, float | int | None],
    steps_per_epoch: int,
    max_seconds: float,
) -> str:
    """Return the line after an epoch's training, with the time left, `max_seconds` at most."""
    epoch, step = position
    num_steps_left = config.train.epochs * steps_per_epoch - epoch * steps_per_epoch - step
    rate = row["patches_per_second"]
    assert rate, "only an epoch with steps has this line"
    seconds = min(num_steps_left * config.sampling.batch_size / rate, max_seconds)
    return (
        f"Epoch {epoch} Train - Loss: {row['train/loss']:.4f} "
        f"lr: {row['lr']:.3g} {rate:.2f} patches/s, {max(0.0, seconds) / 60:.1f} min left"
    )


def validation_lines(
    epoch: int,
    scores: TileScores,
    weights: dict[str, float],
    measure: str,
    class_names: Sequence[str],
) -> list[str]:
    """Return `Epoch 6 Val - Loss: 0.4024 (dice: 0.4024, …)` with the measures.

    With several classes the measures are means, and a line for each foreground class follows.
    """
    total = sum(weights[name] * value for name, value in scores.components.items())
    terms = ", ".join(f"{name}: {value:.4f}" for name, value in scores.components.items())
    overlap, mean = scores.overlap, "mean " if len(class_names) > 2 else ""
    mean_measure = _measure_name(measure, len(class_names))
    line = (
        f"Epoch {epoch} Val - Loss: {total:.4f} ({terms}) {mean_measure}: {scores.measure:.4f} "
        f"{mean}precision: {overlap['precision']:.4f} {mean}recall: {overlap['recall']:.4f} "
        f"foreground: {overlap['predicted_fraction']:.4f} "
        f"labelled: {overlap['labelled_fraction']:.4f}"
    )
    return [line, *_class_lines(f"Epoch {epoch} Val", overlap, class_names)]


def volume_lines(epoch: int, overlap: Row, class_names: Sequence[str]) -> list[str]:
    """Return `Epoch 9 Full volumes - Dice: 0.8123`, and a line for each of several classes."""
    mean = "mean " if len(class_names) > 2 else ""
    start = f"Epoch {epoch} Full volumes"
    line = f"{start} - {mean}Dice: {overlap['dice']:.4f}"
    return [line, *_class_lines(start, overlap, class_names)]


def _class_lines(start: str, overlap: Row, class_names: Sequence[str]) -> list[str]:
    """Return a line for each foreground class; none for two classes."""
    return [
        f"{start}, class {name} - {_class_text(overlap, name)}"
        for name in (class_names[1:] if len(class_names) > 2 else [])
    ]


def _class_text(overlap: Row, name: str) -> str:
    if math.isnan(overlap[class_column("dice", name)]):
        return "neither labelled nor predicted"
    columns = {
        "dice": "dice",
        "precision": "precision",
        "recall": "recall",
        "predicted": "predicted_fraction",
        "labelled": "labelled_fraction",
    }
    return " ".join(
        f"{word}: {overlap[class_column(column, name)]:.4f}" for word, column in columns.items()
    )


def summary_line(
    config: Config, run: Path, best: float | None, best_epoch: int, *, held_out: bool
) -> str:
    """Return the line at the end: the best measure and the next command.

    Args:
        config: The run's configuration.
        run: The run's folder.
        best: Best validation measure; None: no epoch that is validated was completed.
        best_epoch: Epoch of the best measure.
        held_out: Whether the fold has held-out cases.
    """
    if best is None and not (run / "checkpoints" / "best.pt").exists():
        return "No validation took place"
    verb = command("validate_distribution" if held_out else "predict", "--run", run)
    if best is None:
        return f"No validated epoch was completed; best.pt holds the last weights; next: {verb}"
    name = _measure_name(config.validation.measure, config.labels.num_classes)
    return f"Best {name} {best:.4f} at epoch {best_epoch}; next: {verb}"


def _measure_name(measure: str, num_classes: int) -> str:
    """Name a measure as a mean where it is one over several foreground classes."""
    is_mean = num_classes > 2 and measure != "accuracy"
    return f"mean {measure}" if is_mean else measure
