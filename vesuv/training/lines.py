"""The lines of train.log that people watch a run by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from vesuv.config import Config
from vesuv.errors import command
from vesuv.training.fold_data import FoldData
from vesuv.training.validation import TileScores


def start_line(
    config: Config, run: Path, network: nn.Module, data: FoldData, steps_per_epoch: int
) -> str:
    """Say what is going to be trained, on what, for how long."""
    count = sum(p.numel() for p in network.parameters())
    cases = f"{len(data.train)} training, {len(data.validation)} validation cases"
    return (
        f"{config.name} into {run}: {count:,} parameters, {cases}, {config.train.epochs} epochs of "
        f"{steps_per_epoch} steps"
    )


def train_line(
    config: Config,
    position: tuple[int, int],
    row: Mapping[str, float | int | None],
    steps_per_epoch: int,
    most_seconds: float,
) -> str:
    """Say what an epoch's training gave, and how long the rest may take, `most_seconds` at most."""
    epoch, step = position
    left = config.train.epochs * steps_per_epoch - epoch * steps_per_epoch - step
    rate = row["patches_per_second"]
    assert rate, "only an epoch that trained has this line"
    seconds = min(left * config.sampling.batch_size / rate, most_seconds)
    return (
        f"Epoch {epoch} Train - Loss: {row['train/loss']:.4f} "
        f"lr: {row['lr']:.3g} {rate:.2f} patches/s, {max(0.0, seconds) / 60:.1f} min left"
    )


def validation_line(epoch: int, scored: TileScores, weights: dict[str, float], measure: str) -> str:
    """`Epoch 6 Val - Loss: 0.4024 (dice: 0.4024, …)`, then what the loss does not say."""
    total = sum(weights[name] * value for name, value in scored.components.items())
    parts = ", ".join(f"{name}: {value:.4f}" for name, value in scored.components.items())
    overlap = scored.overlap
    return (
        f"Epoch {epoch} Val - Loss: {total:.4f} ({parts}) {measure}: {scored.measure:.4f} "
        f"precision: {overlap.precision:.4f} recall: {overlap.recall:.4f} foreground: "
        f"{overlap.predicted_fraction:.4f} labelled: {overlap.labelled_fraction:.4f}"
    )


def summary_line(
    config: Config, run: Path, best: float | None, best_epoch: int, *, held_out: bool
) -> str:
    """Say what came of the run and what to do next.

    Args:
        config: The run's configuration.
        run: Its folder.
        best: Best watched measure; None: no validation took place.
        best_epoch: Its epoch.
        held_out: Whether there are cases that training never saw.
    """
    if best is None:
        return "No validation took place"
    verb = command("validate_distribution" if held_out else "predict", "--run", run)
    return f"Best {config.validation.measure} {best:.4f} at epoch {best_epoch}; next: {verb}"
