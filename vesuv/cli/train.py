"""vesuv train: one fold or several, each into its own run folder."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from vesuv.cli.console import console
from vesuv.cli.options import Changes, ConfigFile, DryRun, Switch, several, with_option_changes
from vesuv.cli.prepare import fold_lines, open_or_prepare
from vesuv.cli.progress import epoch_progress, line_printer
from vesuv.cli.tables import difference_lines
from vesuv.config import Config, load_config
from vesuv.config.differences import base_differences, config_differences, default_differences
from vesuv.config.idle import idle_settings
from vesuv.config.shipped import config_path
from vesuv.data.builder import is_prepared, open_matching_store
from vesuv.data.folds import FILE as FOLDS
from vesuv.data.layouts import find_cases
from vesuv.data.store import Store, store_path
from vesuv.errors import InputError
from vesuv.report.page import NAME as PAGE
from vesuv.runs.folder import RunFolder
from vesuv.runtime.distributed import Group, join_processes
from vesuv.runtime.machine import Machine, for_training, resolve
from vesuv.training.fold_data import FoldName, TrainingData, check_fold_numbers
from vesuv.training.log_lines import epoch_line
from vesuv.training.pretrained import read_pretrained
from vesuv.training.reporting import Listener, MetricsRow
from vesuv.training.resumption import check_same_settings, resumed_config
from vesuv.training.run_length import (
    FIRST_SHARE,
    can_set_length_anew,
    epochs_within,
    minutes_changes,
)
from vesuv.training.run_start import check_folder
from vesuv.training.train import check_apart, default_folder, train_fold
from vesuv.training.trainer import Trainer

_RECENT = 5
"""Number of last epochs for the time left."""


def train(
    *,
    config: ConfigFile,
    fold: Annotated[tuple[str, ...], several("--fold")],
    changes: Changes = (),
    output: Path | None = None,
    pretrained: str | None = None,
    minutes: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    resume: Switch = False,
    overwrite: Switch = False,
    dry_run: DryRun = False,
) -> None:
    """Train one fold or several in sequence; on several GPUs: torchrun … bin/train.py …

    Prepares the data when that was not done yet.

    Args:
        config: Configuration file (YAML), or the name of a shipped one.
        fold: Fold numbers …, or all.
        changes: Changes to the configuration: section.key=value …
        output: Folder of the run (default log/<config>/fold_<k>).
        pretrained: Start from a bundle, run or checkpoint file: --set train.pretrained=…
        minutes: Train each fold for so long on this machine: steps are timed first, and epochs,
            phases and warm-up are scaled, so that the learning rate reaches its end. Where only the
            learning rate depends on them, the epochs are set again by the time of the first ones.
        resume: Go on from checkpoints/last.pt with the run's own --set; train.epochs,
            train.non_finite, phases, early_stopping, checkpoint, diagnosis, runtime, data.root and
            data.store may change, nothing else.
        overwrite: Start again where a run lies already.
        dry_run: Check everything, say what would be read and written, and write nothing.
    """
    folds = _folds(fold, output)
    changes = tuple(with_option_changes(changes, pretrained=pretrained))
    with join_processes() as group:
        settings = load_config(config, changes)
        if minutes is not None:
            _check_can_time(group, resume=resume)
        runs = [RunFolder(output or default_folder(settings, one)) for one in folds]
        if group.is_main:
            for run in runs:
                check_apart(run, settings)
                check_folder(run, resume=resume, overwrite=overwrite)
            if settings.train.pretrained is not None and not resume:
                read_pretrained(Path(settings.train.pretrained))  # refused before data are prepared
        if resume:
            settings = resumed_config(runs[0], config, changes)
            check_same_settings(settings, zip(folds, runs, strict=True))
        machine = for_training(resolve(settings.runtime, group), settings)
        torch.set_num_threads(machine.threads)
        store = None
        if group.is_main:
            _print_settings(config, settings, runs[0] if resume else None, in_full=dry_run)
            if dry_run:
                _print_plan(settings, folds, runs)
                return
            store = _open_store(settings, folds)
        if minutes is not None:
            changes = (*changes, *minutes_changes(config, changes, folds[0], minutes))
            settings = load_config(config, changes)
            _print_length(settings, minutes)
        group.wait()
        data = TrainingData.of_store(store or open_matching_store(settings), settings)
        origin = _origin(config, settings, runs[0] if resume else None, changes)
        for one, run in zip(folds, runs, strict=True):
            fit = partial(_fit, data=data, fold=one, run=run, machine=machine)
            if minutes is not None and can_set_length_anew(settings):
                _fit_in_time(fit, settings, origin, overwrite=overwrite)
            else:
                fit(settings, origin, resume=resume, overwrite=overwrite)
            if group.is_main:
                console().print(f"page: {run.path / PAGE}")


def _open_store(config: Config, folds: Sequence[FoldName]) -> Store:
    """Open the prepared data, or prepare them once the folds are known to be there."""
    if not is_prepared(config):
        check_fold_numbers(config, folds)
    return open_or_prepare(config)


def _folds(words: Sequence[str], output: Path | None) -> list[FoldName]:
    """Return the folds that --fold names, each once, and one alone for an output."""
    for word in words:
        if word != "all" and not (word.isascii() and word.isdigit()):
            raise InputError(f"--fold: must be a number from 0, or all; found {word!r}")
    folds: list[FoldName] = ["all" if word == "all" else int(word) for word in words]
    for fold in folds:
        if folds.count(fold) > 1:
            raise InputError(f"--fold: {fold} is given twice; give it once")
    if output is not None and len(folds) > 1:
        raise InputError(
            f"--output: holds one run, found folds {', '.join(words)}; leave it out to write "
            "log/<config>/fold_<k>"
        )
    return folds


def _origin(
    config: str, settings: Config, run_to_resume: RunFolder | None, changes: Sequence[str]
) -> dict[str, object]:
    """Return what run.json says of the origin of the configuration."""
    path = config_path(config)
    former_changes = () if run_to_resume is None else run_to_resume.facts.overrides
    return {
        "config_file": str(path),
        "overrides": [*former_changes, *changes],
        "base_differences": base_differences(path, settings),
    }


def _fit(
    settings: Config,
    origin: Mapping[str, Any],
    *,
    data: TrainingData,
    fold: FoldName,
    run: RunFolder,
    machine: Machine,
    **switches: Any,
) -> Trainer:
    """Train one fold and print its epochs."""
    with training_listener(console(), settings) as listener:
        return train_fold(settings, data, fold, run, machine, listener, origin=origin, **switches)


def _fit_in_time(
    fit: Callable[..., Trainer], settings: Config, origin: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Train the first epochs, set the number of all by their time, and train the others."""
    start = time.monotonic()
    seconds = 60 * (settings.runtime.max_minutes or 0.0)
    first = fit(settings, origin, overwrite=overwrite, pause_seconds=FIRST_SHARE * seconds)
    if not first.time_limit.is_paused:
        return
    taken = time.monotonic() - start
    epochs = epochs_within(seconds - taken, first.progress.epoch, taken)
    limit = (seconds - taken) / 60
    changes = [f"train.epochs={epochs}", f"runtime.max_minutes={limit:.3g}"]
    console().print(
        f"{epochs} epochs, planned were {settings.train.epochs}: one takes "
        f"{taken / first.progress.epoch:.2g} s, {limit:.2g} minutes are left"
    )
    origin = {**origin, "overrides": [*origin["overrides"], *changes]}
    fit(load_config(origin["config_file"], origin["overrides"]), origin, resume=True)


def _check_can_time(group: Group, *, resume: bool) -> None:
    if resume:
        raise InputError("--minutes: a run that goes on keeps its length; leave --minutes out")
    if group.size > 1:
        raise InputError(
            f"--minutes: steps are timed in one process, found {group.size}; set train.epochs and "
            "runtime.max_minutes instead"
        )


def _print_length(settings: Config, minutes: float) -> None:
    epochs, steps = settings.train.epochs, settings.train.steps_per_epoch
    console().print(f"{epochs} epochs of {steps} steps take about {minutes:g} minutes here")


def _print_settings(
    config: str, settings: Config, run_to_resume: RunFolder | None, *, in_full: bool
) -> None:
    if in_full or run_to_resume is not None:
        _print_differences(run_to_resume, settings)
    else:
        _print_number_of_differences(config, settings)
    for sentence in idle_settings(settings):
        console().print(f"note: {sentence}")


def _print_differences(run: RunFolder | None, settings: Config) -> None:
    """Print what differs from the run that goes on, else from the defaults."""
    if run is None:
        title, rows = "differences to the defaults:", default_differences(settings)
    else:
        title, rows = f"differences to {run.config_file}:", config_differences(run.config, settings)
    for line in [title, *(f"  {line}" for line in difference_lines(rows))]:
        console().print(f"{line:.160}")


def _print_number_of_differences(config: str, settings: Config) -> None:
    number = len(default_differences(settings))
    keys = "1 key differs" if number == 1 else f"{number} keys differ"
    console().print(f"{config}: {keys} from the defaults; --dry-run and the page list them")


def _print_plan(settings: Config, folds: Sequence[FoldName], runs: Sequence[RunFolder]) -> None:
    """Print what would be read and written; the data are checked as far as their files' names."""
    out = console()
    store = open_matching_store(settings) if is_prepared(settings) else None
    check_fold_numbers(settings, folds, store)
    if store is not None:
        out.print(f"would read: {store.path}, {len(store.cases)} cases")
        if (store.path / FOLDS).is_file():  # else they are drawn, or read, when it trains
            for line in fold_lines(store, settings):
                out.print(line)
    else:
        cases = find_cases(settings.data)
        out.print(f"would read: {settings.data.root}, {len(cases)} cases")
        out.print(f"would write: {store_path(settings)}")
    for run in runs:
        out.print(f"would write: {run.path}")


@contextmanager
def training_listener(out: Console, settings: Config) -> Iterator[Listener]:
    """Print a line for each epoch, and notices; on a terminal show a bar for the epoch that runs.

    The listener raises the OSError of a standard output that cannot be written any more.
    """

    line = line_printer(out)
    clock = EpochClock(settings)

    def epoch(number: int, row: MetricsRow) -> None:
        line(epoch_line(settings, number, row, clock.seconds_left(number)))

    def rate(patches_per_second: float) -> str:
        return f"{patches_per_second:.2f} patches/s"

    with epoch_progress(out, line, epoch, rate) as listener:
        yield listener


class EpochClock:
    """Estimates the rest of a run from its last epochs, validation included."""

    def __init__(self, settings: Config) -> None:
        self.epochs = settings.train.epochs
        self.start = self.last = time.monotonic()
        self.deadline = self.start + 60 * (settings.runtime.max_minutes or float("inf"))
        self.durations: deque[float] = deque(maxlen=_RECENT)

    def seconds_left(self, epoch: int) -> float:
        """Return the estimate; call it at the end of each epoch."""
        now = time.monotonic()
        self.durations.append(now - self.last)
        self.last = now
        seconds = median(self.durations) * (self.epochs - epoch - 1)
        return min(seconds, self.deadline - now)
