"""vesuv curves predict: picks of logs, as tables and pictures."""

from __future__ import annotations

from pathlib import Path

import torch

from vesuv.cli.console import console
from vesuv.cli.options import Changes, DryRun, Switch
from vesuv.cli.progress import shown_progress
from vesuv.curves.checkpoint import load_detector
from vesuv.curves.config import load_curves_config
from vesuv.curves.folders import read_inputs, write_picked
from vesuv.curves.picking import pick_log
from vesuv.curves.train import open_run
from vesuv.runtime.machine import resolve


def predict(
    *,
    run: Path,
    input: Path,  # noqa: A002 - the option's name
    output: Path,
    checkpoint: str = "best",
    changes: Changes = (),
    pictures: Switch = False,
    overwrite: Switch = False,
    dry_run: DryRun = False,
) -> None:
    """Pick logs: picks/<id>.csv and, with --pictures, <id>.png of log, reference and picks.

    Args:
        run: Run of `curves train`.
        input: Folder of logs with wells.csv and images/; picks/ is drawn where it is there.
        output: Folder of the results.
        checkpoint: Checkpoint of the run.
        changes: Changes to picking, logs.missing or runtime: picking.threshold=0.4 …
        pictures: Draw each log.
        overwrite: Replace earlier results.
        dry_run: Check everything, say what would be read and written, and write nothing.
    """
    folder, _ = open_run(run)
    settings = load_curves_config(folder.config_file, changes)
    logs = read_inputs(input, output, settings, overwrite=overwrite)
    detector, trained = load_detector(folder, checkpoint)
    out = console()
    if dry_run:
        for log in logs:
            out.print(f"would read: {log.id}, {log.num_rows} rows")
        out.print(f"would write: {output}")
        return
    machine = resolve(settings.runtime.shared())
    torch.set_num_threads(machine.threads)
    detector.to(machine.device)
    for log in logs:
        with shown_progress(out, log.id, "strips") as progress:
            picks = pick_log(
                detector, log, trained.strips, settings.picking, machine, progress=progress
            )
        write_picked(output, log, picks, pictures=pictures)
        out.print(f"{log.id}: {len(picks)} picks")
    out.print(f"written: {output}")
