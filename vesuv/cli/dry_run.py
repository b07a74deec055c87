"""What --dry-run prints of selection: runs, checkpoints and cases that would be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from vesuv.selection.held_out import HeldOutRun, checkpoint_names


def print_selection_plan(
    out: Console,
    runs: Sequence[HeldOutRun],
    checkpoints: Sequence[str] | None,
    outputs: Iterable[Path],
) -> None:
    """Print what selection would read and write.

    Args:
        out: Where to.
        runs: Runs of one configuration.
        checkpoints: Names of checkpoints; None: all that every run has.
        outputs: Files and folders that would be written.

    Raises:
        InputError: A run does not have a checkpoint, or no checkpoint is common to all runs.
    """
    for name in checkpoint_names(runs, checkpoints):
        for one in runs:
            out.print(f"would read: {one.run.existing_checkpoint(name)}")
    for one in runs:
        for case in one.cases:
            out.print(f"would read: {case.location}")
    for path in outputs:
        out.print(f"would write: {path}")
