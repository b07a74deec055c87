"""vesuv curves train: one fold of the wells into one run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from vesuv.cli.console import console
from vesuv.cli.options import Changes, ConfigFile, DryRun, Switch
from vesuv.cli.progress import epoch_progress, line_printer
from vesuv.curves.config import load_curves_config
from vesuv.curves.train import default_folder, fold_logs, train_curves
from vesuv.curves.validation import epoch_text
from vesuv.errors import InputError, command
from vesuv.report.page import NAME as PAGE
from vesuv.runs.folder import RunFolder
from vesuv.runtime.distributed import join_processes
from vesuv.runtime.machine import resolve
from vesuv.training.reporting import Listener, MetricsRow
from vesuv.training.run_start import check_folder


def train(
    *,
    config: ConfigFile,
    fold: int,
    changes: Changes = (),
    output: Path | None = None,
    resume: Switch = False,
    overwrite: Switch = False,
    dry_run: DryRun = False,
) -> None:
    """Train a detector on one fold; the fold's wells are validated on.

    Args:
        config: Configuration file (YAML), or the name of a shipped one: geobfdt.
        fold: Fold number.
        changes: Changes to the configuration: section.key=value …
        output: Folder of the run (default log/<config>/fold_<k>).
        resume: Go on from checkpoints/last.pt with the run's own --set; train.epochs,
            picking.threshold, logs.root and runtime may change, nothing else.
        overwrite: Start again where a run lies already.
        dry_run: Check everything, say what would be read and written, and write nothing.
    """
    check_single_process()
    settings = load_curves_config(config, changes)
    run = RunFolder(output or default_folder(settings, fold))
    check_folder(run, resume=resume, overwrite=overwrite)
    if resume:
        changes = (*run.facts.overrides, *changes)
        settings = load_curves_config(config, changes)
    out = console()
    if dry_run:
        logs = fold_logs(settings, fold)
        for name, part in {"training": logs.train, "validation": logs.validation}.items():
            for log in part:
                out.print(f"{name}: {log.id}, {log.num_rows} rows, {len(log.picks)} picks")
        out.print(f"would write: {run.path}")
        return
    machine = resolve(settings.runtime.shared())
    torch.set_num_threads(machine.threads)
    origin = {"config_file": config, "overrides": changes}
    with _listener() as listener:
        train_curves(
            settings,
            fold,
            run,
            machine,
            listener,
            resume=resume,
            overwrite=overwrite,
            origin=origin,
        )
    out.print(f"page: {run.path / PAGE}")


def check_single_process() -> None:
    """Refuse several processes that torchrun started; one of them says so.

    Raises:
        InputError: There are several.
    """
    with join_processes() as group:
        if group.size > 1:
            raise InputError(
                f"{command('curves', 'train')}: trains in one process, found {group.size}; start "
                "it without torchrun, and other folds beside it"
            )


@contextmanager
def _listener() -> Iterator[Listener]:
    """Print a line for each epoch, and notices; on a terminal show a bar for the steps.

    The listener raises the OSError of a standard output that cannot be written any more.
    """
    out = console()
    line = line_printer(out)

    def epoch(number: int, row: MetricsRow) -> None:
        line(f"Epoch {number} {epoch_text(row)}, {row['seconds']:.0f} s")

    def rate(strips_per_second: float) -> str:
        return f"{strips_per_second:.1f} strips/s"

    with epoch_progress(out, line, epoch, rate) as listener:
        yield listener
