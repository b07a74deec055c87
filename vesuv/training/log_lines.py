"""Lines of train.log about start, epochs and end of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from vesuv.config import Config
from vesuv.config.labels import Targets
from vesuv.errors import command
from vesuv.evaluation.class_scores import Row
from vesuv.evaluation.measure import class_column
from vesuv.io.printable import number_of, printable
from vesuv.report.formats import duration
from vesuv.training.fold_data import FoldData
from vesuv.training.validation import TileScores

_MAX_CLASSES = 6
"""Classes that an epoch's short line names."""


def start_line(
    config: Config, run: Path, network: nn.Module, data: FoldData, steps_per_epoch: int
) -> str:
    """Return the line at the start: parameters, cases, epochs and steps."""
    num_parameters = sum(p.numel() for p in network.parameters())
    cases = f"{len(data.train)} training, {number_of(len(data.validation), 'validation case')}"
    return (
        f"{config.name} into {run}: {num_parameters:,} parameters, {cases}, "
        f"{number_of(config.train.epochs, 'epoch')} of {number_of(steps_per_epoch, 'step')}"
    )


def absent_classes_lines(config: Config, data: FoldData) -> list[str]:
    """Name the classes that no training case of the fold holds, in one line; [] without such."""
    shares = zip(config.labels.names, data.class_fractions, strict=True)
    absent = [printable(name) for name, share in shares if share == 0.0]
    if not absent:
        return []
    return [
        f"No training case of this fold holds {', '.join(absent)}, which is not learned then; move "
        "a case with it out of validation (folds.yaml in the store), or declare fewer classes"
    ]


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


def epoch_line(
    config: Config,
    epoch: int,
    row: Mapping[str, float | int | None],
    seconds_left: float,
) -> str:
    """Return an epoch's few numbers for a person who watches.

    Args:
        config: The run's configuration.
        epoch: Number of the epoch.
        row: Its columns of metrics.csv.
        seconds_left: Estimated time until the end of the run.
    """
    targets, measure = config.labels.targets, config.validation.measure
    named = {
        "loss": row.get("train/loss"),
        "explained variance": row.get("val/explained_variance"),
        _measure_name(measure, targets): row.get(f"val/{measure}"),
        "precision": row.get("val/precision"),
        "recall": row.get("val/recall"),
        "whole volumes": row.get("val/full_dice"),
    }
    parts = [f"{name} {value:.4f}" for name, value in named.items() if value is not None]
    if targets.has_several and row.get(f"val/{measure}") is not None:
        parts.append(f"Dice of {_dice_by_class(row, targets)}")
    if row.get("patches_per_second"):
        parts += [f"lr {row['lr']:.3g}", f"{row['patches_per_second']:.2f} patches/s"]
    if seconds_left > 0:
        parts.append(f"{duration(seconds_left)} left")
    return "  ".join([f"epoch {epoch:>{len(str(config.train.epochs - 1))}}", *parts])


def _dice_by_class(row: Mapping[str, float | int | None], targets: Targets) -> str:
    scores = {
        name: row.get(printable(f"val/{class_column('dice', name)}")) for name in targets.names
    }
    texts = [f"{name} {'–' if dice is None else f'{dice:.3f}'}" for name, dice in scores.items()]
    more = [f"… {len(texts) - _MAX_CLASSES} more"] if len(texts) > _MAX_CLASSES else []
    return ", ".join([*texts[:_MAX_CLASSES], *more])


def validation_lines(
    epoch: int,
    scores: TileScores,
    weights: dict[str, float],
    measure: str,
    targets: Targets,
) -> list[str]:
    """Return `Epoch 6 Val - Loss: 0.4024 (dice: 0.4024, …)` with the measures.

    With several classes the measures are means, and a line for each foreground class follows.
    """
    total = sum(weights[name] * value for name, value in scores.components.items())
    terms = ", ".join(f"{name}: {value:.4f}" for name, value in scores.components.items())
    overlap, mean = scores.overlap, "mean " if targets.has_several else ""
    mean_measure = _measure_name(measure, targets)
    line = (
        f"Epoch {epoch} Val - Loss: {total:.4f} ({terms}) {mean_measure}: {scores.measure:.4f} "
        f"{mean}precision: {overlap['precision']:.4f} {mean}recall: {overlap['recall']:.4f} "
        f"foreground: {overlap['predicted_fraction']:.4f} "
        f"labelled: {overlap['labelled_fraction']:.4f}"
    )
    return [line, *_class_lines(f"Epoch {epoch} Val", overlap, targets)]


def volume_lines(epoch: int, overlap: Row, targets: Targets) -> list[str]:
    """Return `Epoch 9 Full volumes - Dice: 0.8123`, and a line for each of several classes."""
    mean = "mean " if targets.has_several else ""
    start = f"Epoch {epoch} Full volumes"
    line = f"{start} - {mean}Dice: {overlap['dice']:.4f}"
    return [line, *_class_lines(start, overlap, targets)]


def _class_lines(start: str, overlap: Row, targets: Targets) -> list[str]:
    """Return a line for each of several foreground classes or regions."""
    kind = "region" if targets.overlap else "class"
    return [
        f"{start}, {kind} {name} - {_class_text(overlap, name)}"
        for name in (targets.names if targets.has_several else ())
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
        best: Best validation measure; None: it ended before its first regular validation.
        best_epoch: Epoch of the best measure.
        held_out: Whether the fold has held-out cases.
    """
    if best is None and not (run / "checkpoints" / "best.pt").exists():
        return "No validation took place"
    verb = command("validate_distribution" if held_out else "predict", "--run", run)
    if best is None:
        return (
            "The run ended before its first regular validation; best.pt holds the last weights; "
            f"next: {verb}"
        )
    name = _measure_name(config.validation.measure, config.labels.targets)
    return f"Best {name} {best:.4f} at epoch {best_epoch}; next: {verb}"


def reconstruction_summary(config: Config, run: Path, best: float | None, best_epoch: int) -> str:
    """Return the line at the end of a pre-training: the best measure and how to train from it."""
    if best is None:
        return "No validation took place"
    line = (
        f"Best explained variance {best:.4f} at epoch {best_epoch}; next: "
        f"{command('train', '--pretrained', run)}"
    )
    if config.optimizer.name == "muon":  # its rate is the length of a step: a tenth learns nothing
        return line
    return (
        f"{line}; as a fine-tuning with a tenth of the rate and a long warm-up: add "
        f"{' '.join(['--set', *fine_tuning_changes(config)])}"
    )


def fine_tuning_changes(config: Config) -> list[str]:
    """Return changes for training from pre-trained weights: a tenth of the learning rate, and a
    warm-up over a fifth of the epochs.

    Source:
        Wald et al. 2025, Revisiting MAE pre-training for 3D medical image segmentation, which
        fine-tunes with a tenth of the rate after a long warm-up.
    """
    warmup = max(config.train.epochs // 5, 1)
    return [f"optimizer.lr={config.optimizer.lr / 10:.3g}", f"scheduler.warmup_epochs={warmup}"]


def _measure_name(measure: str, targets: Targets) -> str:
    """Name a measure as a mean where it is one over several foreground classes or regions."""
    is_mean = targets.has_several and measure != "accuracy"
    return f"mean {measure}" if is_mean else measure
