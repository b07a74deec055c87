"""vesuv train: one fold or several, each into its own run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vesuv.cli.console import console
from vesuv.cli.options import Changes, ConfigFile, Switch, several
from vesuv.cli.prepare import open_or_prepare
from vesuv.cli.streams import output_fault
from vesuv.config import dump_config, load_config
from vesuv.config.differences import base_differences
from vesuv.data.builder import open_matching_store
from vesuv.errors import InputError
from vesuv.runs.folder import RunFolder
from vesuv.runtime.distributed import join_processes
from vesuv.runtime.machine import for_training, resolve
from vesuv.training.fold_data import FoldName, TrainingData
from vesuv.training.reporting import Listener, StepProgress
from vesuv.training.train import check_apart, check_folder, default_folder, train_fold


def train(
    *,
    config: ConfigFile,
    fold: Annotated[tuple[str, ...], several("--fold")],
    changes: Changes = (),
    output: Path | None = None,
    resume: Switch = False,
    overwrite: Switch = False,
) -> None:
    """Train one fold or several in sequence; on several GPUs: torchrun … bin/train.py …

    Prepares the data when that was not done yet.

    Args:
        config: Configuration file (YAML).
        fold: Fold numbers …, or all.
        changes: Changes to the configuration: section.key=value …
        output: Folder of the run (default log/<config>/fold_<k>).
        resume: Go on from checkpoints/last.pt.
        overwrite: Start again where a run lies already.
    """
    folds = [_fold(word) for word in fold]
    if output is not None and len(folds) > 1:
        raise InputError(
            f"--output: holds one run, found folds {', '.join(fold)}; leave it out to write "
            "log/<config>/fold_<k>"
        )
    with join_processes() as group:
        settings = load_config(config, changes)
        runs = [RunFolder(output or default_folder(settings, one)) for one in folds]
        if group.is_main:
            for run in runs:
                check_apart(run, settings)
                check_folder(run, resume=resume, overwrite=overwrite)
        machine = for_training(resolve(settings.runtime, group), settings)
        torch.set_num_threads(machine.threads)
        store = None
        if group.is_main:
            for line in dump_config(settings).splitlines():
                console().print(line)
            store = open_or_prepare(settings)
        group.wait()
        data = TrainingData.of_store(store or open_matching_store(settings), settings)
        origin = {
            "config_file": str(config),
            "overrides": list(changes),
            "base_differences": base_differences(config, settings),
        }
        for one, run in zip(folds, runs, strict=True):
            with _listener(console()) as listener:
                train_fold(
                    settings,
                    data,
                    one,
                    run,
                    machine,
                    listener,
                    resume=resume,
                    overwrite=overwrite,
                    origin=origin,
                )


def _fold(word: str) -> FoldName:
    if word == "all":
        return "all"
    if not (word.isascii() and word.isdigit()):
        raise InputError(f"--fold: must be a number from 0, or all; found {word!r}")
    return int(word)


@contextmanager
def _listener(out: Console) -> Iterator[Listener]:
    """Print the lines of train.log; on a terminal show a bar for the epoch that runs.

    The listener raises the OSError of a standard output that cannot be written any more.
    """

    def line(text: str) -> None:
        out.print(text)
        fault = output_fault()
        if fault is not None:
            raise fault

    if not out.is_terminal:
        yield Listener(line=line)
        return
    columns = (
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task("", total=None, visible=False, epoch=0, epochs=0, rate="")

        def step(at: StepProgress) -> None:
            bar.update(
                task,
                completed=at.step,
                total=at.steps,
                visible=at.step < at.steps,
                epoch=at.epoch,
                epochs=at.epochs,
                rate=f"{at.patches_per_second:.2f} patches/s",
            )

        yield Listener(line=line, step=step)
