"""Train a detector of curves on one fold into one run folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vesuv.config.differences import changed_keys
from vesuv.curves.checkpoint import read_detector
from vesuv.curves.config import CurvesConfig, load_curves_config
from vesuv.curves.logs import ImageLog, folds_of, read_logs
from vesuv.curves.trainer import CurvesTrainer
from vesuv.curves.validation import FoldLogs
from vesuv.errors import InputError
from vesuv.io.places import contains
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import Machine
from vesuv.training.reporting import SILENT, Listener
from vesuv.training.run_start import (
    check_folder,
    check_unchanged,
    machine_facts,
    record_start,
)

_CHANGEABLE_KEYS = {"name", "logs.root", "train.epochs", "picking.threshold"}
"""Keys that may change when a run is resumed, beside those of runtime without its seed."""


def default_folder(config: CurvesConfig, fold: int) -> Path:
    """Return the default folder of a run."""
    return Path("log") / config.name / f"fold_{fold}"


def fold_logs(config: CurvesConfig, fold: int) -> FoldLogs:
    """Read the logs of a configuration and return those of a fold.

    Raises:
        InputError: The logs cannot be read, the fold is none, or its training wells have no pick.
    """
    if not 0 <= fold < config.logs.folds:
        raise InputError(f"--fold: must be from 0 to {config.logs.folds - 1}, found {fold}")
    logs = read_logs(Path(config.logs.root), config.strips.columns, config.logs.missing)
    folds = folds_of(logs, config.logs.folds, config.logs.seed)
    train = tuple(log for number, part in enumerate(folds) if number != fold for log in part)
    if not any(log.picks for log in train):
        raise InputError(
            f"{config.logs.root}: the training wells of fold {fold} have no pick; add wells, or "
            "take another logs.seed"
        )
    return FoldLogs(train, folds[fold])


def train_curves(
    config: CurvesConfig,
    fold: int,
    run: RunFolder,
    machine: Machine,
    listener: Listener = SILENT,
    *,
    resume: bool = False,
    overwrite: bool = False,
    origin: Mapping[str, Any] | None = None,
) -> CurvesTrainer:
    """Train one fold.

    Args:
        config: The whole configuration.
        fold: Fold number.
        run: The run's folder.
        machine: Device and precision.
        listener: Receives the lines of train.log and the progress.
        resume: Continue from checkpoints/last.pt.
        overwrite: Replace an existing run.
        origin: Facts about the origin of the configuration, added to run.json.

    Returns:
        The trainer after training.

    Raises:
        InputError: The logs are wrong, or the folder holds a run.
        Interrupted: SIGTERM or Ctrl-C was received; the run is saved.
    """
    if contains(run.path, Path(config.logs.root)):
        raise InputError(
            f"--output: {run.path} must not hold the logs, found logs.root {config.logs.root} in "
            "it; name a folder of its own"
        )
    check_folder(run, resume=resume, overwrite=overwrite)
    with run.lock():
        logs = fold_logs(config, fold)
        trainer = CurvesTrainer(config, logs, run, machine, listener)
        fingerprint = _fingerprint([*logs.train, *logs.validation])
        if resume:
            check_unchanged(run, _changed_keys(run, config), fold, fingerprint, config.logs.root)
            trainer.resume(read_detector(run.checkpoint("last")))
        facts = {
            "fold": fold,
            **machine_facts(machine, config.runtime.seed),
            "data_fingerprint": fingerprint,
            "train_cases": [log.id for log in logs.train],
            "validation_cases": [log.id for log in logs.validation],
            **(origin or {}),
        }
        root = str(Path(config.logs.root).absolute())
        logs_section = config.logs.model_copy(update={"root": root})
        record_start(run, config.model_copy(update={"logs": logs_section}), facts, resume=resume)
        trainer.fit()
    return trainer


def open_run(path: Path) -> tuple[RunFolder, CurvesConfig]:
    """Open a run of curves.

    Raises:
        InputError: The folder holds no run, or one of segmentation.
    """
    run = RunFolder.open(path)
    text = run.config_file.read_text(encoding="utf-8", errors="replace")
    if "task: curves" not in text.splitlines():
        raise InputError(f"{path}: is a run of segmentation, not of curves; use it without curves")
    return run, load_curves_config(run.config_file)


def _fingerprint(logs: Sequence[ImageLog]) -> str:
    """Return a digest of images and picks."""
    total = hashlib.sha256()
    for log in sorted(logs, key=lambda log: log.id):
        total.update(repr((log.id, log.image.shape, log.hole, log.picks)).encode())
        total.update(log.image.tobytes())
    return total.hexdigest()[:16]


def _changed_keys(run: RunFolder, config: CurvesConfig) -> list[str]:
    """Return the keys that a run must keep and that have other values now."""
    _, recorded = open_run(run.path)
    return [
        key
        for key in changed_keys(recorded, config)
        if key not in _CHANGEABLE_KEYS and (not key.startswith("runtime.") or key == "runtime.seed")
    ]
