"""Train one fold or several, each into its own run folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vesuv.config import Config, dump_config
from vesuv.config.differences import base_differences
from vesuv.data.builder import open_fitting, open_prepared
from vesuv.data.store import Store
from vesuv.errors import InputError
from vesuv.runs.checkpoints import read_newest
from vesuv.runs.folder import RunFolder, differences
from vesuv.runtime.distributed import ALONE, Group
from vesuv.runtime.machine import Machine, for_training, resolve
from vesuv.training.fold_data import Fold, fold_data
from vesuv.training.trainer import Trainer

_MAY_CHANGE = (
    "train.epochs",
    "train.non_finite",
    "phases",
    "runtime.",
    "early_stopping",
    "checkpoint.",
    "diagnosis.",
    "data.root",
)
"""Keys that a resumed run may be given anew; anything else would make it another run."""
_OURS = ("checkpoints", "distribution")
_OUR_FILES = (
    "config.yaml",
    "run.json",
    "train.log",
    "metrics.csv",
    "events.jsonl",
    "evidence.jsonl",
    "diagnosis.json",
    "slices.npz",
    "report.html",
    "selected.json",
)


@dataclass(frozen=True)
class Source:
    """Where a configuration was read from; run.json tells."""

    config_file: Path
    changes: tuple[str, ...]

    def facts(self, config: Config) -> dict[str, Any]:
        """Return the file, the changes, and what both change against the base."""
        return {
            "config_file": str(self.config_file),
            "overrides": list(self.changes),
            "base_differences": base_differences(self.config_file, config),
        }


def train(
    config: Config,
    folds: Sequence[Fold],
    *,
    output: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    source: Source | None = None,
    group: Group = ALONE,
    open_store: Callable[[Config], Store] = open_prepared,
) -> list[RunFolder]:
    """Train each fold in turn; prepares the data when that was not done yet.

    Args:
        config: The whole configuration.
        folds: Fold numbers, or "all".
        output: The run's folder; log/<configuration>/fold_<k> when left out.
        resume: Go on from checkpoints/last.pt.
        overwrite: Start again where a run lies already.
        source: Where the configuration is from.
        group: The processes that train together; the first writes and speaks for all.
        open_store: Opens the store, or prepares it where there is none.

    Raises:
        InputError: Bad configuration or data, or a run in the way.
        Interrupted: SIGTERM or Ctrl-C came; the run is saved.
    """
    if output is not None and len(folds) > 1:
        raise InputError(
            f"--output: holds one run, found folds {', '.join(map(str, folds))}; "
            "leave it out to write log/<config>/fold_<k>"
        )
    runs = [RunFolder(output or Path("log") / config.name / f"fold_{fold}") for fold in folds]
    if group.leads:
        for run in runs:
            _check_way(run, resume=resume, overwrite=overwrite)
    machine = for_training(resolve(config.runtime, group), config)
    torch.set_num_threads(machine.threads)
    if group.leads:
        Console(highlight=False, soft_wrap=True).print(dump_config(config), markup=False)
    store = open_store(config) if group.leads else None
    group.wait()
    store = store or open_fitting(config)
    told = source.facts(config) if source else {}
    for fold, run in zip(folds, runs, strict=True):
        with run.lock() if group.leads else nullcontext():
            if group.leads:
                _check_way(run, resume=resume, overwrite=overwrite)
            group.wait()
            _train_fold(config, store, fold, run, machine, told, resume=resume, overwrite=overwrite)
    return runs


def _train_fold(
    config: Config,
    store: Store,
    fold: Fold,
    run: RunFolder,
    machine: Machine,
    told: dict[str, Any],
    *,
    resume: bool,
    overwrite: bool,
) -> None:
    data = fold_data(store, config, fold)
    trainer = Trainer(config, data, run, machine)
    if resume:
        _check_same_run(config, store, fold, run)
        _resume(trainer, run, machine.group)
    elif overwrite and machine.group.leads:
        _clear(run.path)
    facts = {
        "fold": fold,
        "seed": config.runtime.seed,
        "device": str(machine.device),
        "precision": machine.precision,
        "processes": machine.group.size,
        "data_fingerprint": store.fingerprint,
        "store": str(store.path),
        "train_cases": [case.id for case in data.train],
        "validation_cases": [case.id for case in data.validation] if fold != "all" else [],
        "started": (run.started if resume else None) or time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **told,
    }
    if machine.group.leads:
        run.create(config, facts)
    machine.group.wait()
    trainer.fit()


def _resume(trainer: Trainer, run: RunFolder, group: Group) -> None:
    checkpoint, fault = read_newest(run.checkpoint("last"))
    trainer.resume(checkpoint, *([f"{fault}; used the one before it"] if fault else []))
    if len(set(group.collect(trainer.position))) > 1:
        raise InputError(
            f"{run.path}: the processes found different checkpoints there; the run's folder must "
            "be on a file system that all machines share"
        )


def _check_way(run: RunFolder, *, resume: bool, overwrite: bool) -> None:
    there = (run.path / "run.json").is_file()
    if resume and not there:
        raise InputError(f"{run.path}: no run to resume; leave --resume out to start one")
    if there and not resume and not overwrite:
        raise InputError(
            f"{run.path}: holds a run already; --resume goes on with it, --overwrite starts again, "
            "--output DIR writes elsewhere"
        )


def _check_same_run(config: Config, store: Store, fold: Fold, run: RunFolder) -> None:
    changed = [
        key
        for key in differences(run.config, config)
        if not key.startswith(_MAY_CHANGE) and key != "name"
    ]
    if changed:
        raise InputError(
            f"{run.config_file}: a resumed run keeps its configuration, found other values for "
            f"{', '.join(changed)}; put them back, or start a new run with --output DIR"
        )
    if run.fold != fold:
        raise InputError(f"{run.path}: is a run of fold {run.fold}, asked to resume fold {fold}")
    if run.fingerprint != store.fingerprint:
        raise InputError(
            f"{run.path}: was trained on other data than {store.path} holds now; start a new run"
        )


def _clear(folder: Path) -> None:
    """Remove what an earlier run wrote, and nothing else."""
    for name in _OURS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for file in (*(folder / name for name in _OUR_FILES), *folder.glob("events.out.tfevents.*")):
        file.unlink(missing_ok=True)
