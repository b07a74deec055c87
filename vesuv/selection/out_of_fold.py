"""What runs predict on the cases that they were trained without, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vesuv.cli.progress import windows_progress
from vesuv.config import Config, load_config
from vesuv.config.training import InferenceConfig
from vesuv.data.builder import open_prepared
from vesuv.data.store import Store, StoredCase
from vesuv.errors import InputError
from vesuv.inference.predictor import (
    Predictor,
    checkpoint_path,
    file_digest,
    inference_settings,
    runtime_settings,
)
from vesuv.runs.checkpoints import Checkpoint, read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import Machine, resolve
from vesuv.selection.cache import ProbabilityCache
from vesuv.selection.source import Source

_CHANGEABLE = ("selection.", "inference.", "runtime.", "data.store=", "data.root=")


@dataclass(frozen=True)
class FoldOptions:
    """What the command line may say; None leaves it to the runs."""

    checkpoints: Sequence[str] | None = None
    """Names of checkpoints to try; None: every one that all runs have."""
    overlap: float | None = None
    """Instead of inference.overlap."""
    mirror: bool | None = None
    """Instead of inference.mirror."""
    device: str | None = None
    """Instead of runtime.device."""
    changes: tuple[str, ...] = ()
    """Changes to the runs' configurations, key=value, as of --set."""


@dataclass(frozen=True)
class Fold:
    """A run and the cases that it was trained without."""

    run: RunFolder
    config: Config
    cases: tuple[StoredCase, ...]
    settings: InferenceConfig
    machine: Machine

    def cache(self, checkpoint: str) -> ProbabilityCache:
        """Open the probabilities of a checkpoint."""
        depends_on = {
            "checkpoint_sha256": file_digest(checkpoint_path(self.run, checkpoint)),
            "data_fingerprint": self.run.fingerprint,
            **self.described,
        }
        return ProbabilityCache.open(self.run.path, checkpoint, depends_on)

    @property
    def described(self) -> dict[str, Any]:
        """What probabilities depend on beside weights and data."""
        return {
            "overlap": self.settings.overlap,
            "mirror": self.settings.mirror,
            "precision": self.machine.precision,
        }


def open_folds(runs: Sequence[Path], options: FoldOptions) -> list[Fold]:
    """Open runs with their held-out cases.

    Raises:
        InputError: No run, no held-out cases, other data than trained on, or a case that two of
            the runs hold out.
    """
    folds: list[Fold] = []
    stores: dict[str, Store] = {}
    for path in runs:
        run = RunFolder.open(path)
        config = _configuration(run, options.changes)
        machine = resolve(runtime_settings(config.runtime, options.device))
        torch.set_num_threads(machine.threads)
        if run.fingerprint not in stores:
            stores[run.fingerprint] = open_prepared(config)
        cases = _held_out(run, stores[run.fingerprint])
        settings = inference_settings(config.inference, options.overlap, options.mirror)
        folds.append(Fold(run, config, tuple(cases), settings, machine))
    _check_disjoint(folds)
    return folds


def common_checkpoints(folds: Sequence[Fold], asked: Sequence[str] | None) -> list[str]:
    """Return the names to try: those asked for, else those that all runs have, best first.

    Raises:
        InputError: A run lacks one that was asked for, or there is none that all have.
    """
    if asked:
        names = list(dict.fromkeys(asked))
        for fold in folds:
            for name in names:
                checkpoint_path(fold.run, name)
        return names
    for fold in folds:
        if not fold.run.available():
            raise InputError(f"{fold.run.path}: holds no checkpoint yet; train it first")
    names = folds[0].run.available()
    common = [name for name in names if all(name in fold.run.available() for fold in folds)]
    if not common:
        paths = ", ".join(str(fold.run.path) for fold in folds)
        raise InputError(f"{paths}: have no checkpoint of the same name; select them one by one")
    return common


def distinct(
    folds: Sequence[Fold], names: Sequence[str], console: Console
) -> tuple[list[str], dict[str, str]]:
    """Drop checkpoints that hold the same weights as an earlier one in every run.

    Returns:
        The names that are left, and dropped name -> the name that it equals.
    """
    kept: dict[tuple[str, ...], str] = {}
    twins = {}
    for name in names:
        digests = tuple(
            _weights_digest(read_checkpoint(checkpoint_path(fold.run, name))) for fold in folds
        )
        if digests in kept:
            twins[name] = kept[digests]
            console.print(
                f"{name}: the same weights as {kept[digests]}, not measured again", markup=False
            )
        else:
            kept[digests] = name
    return list(kept.values()), twins


def predicted(folds: Sequence[Fold], name: str, title: str, console: Console) -> Source:
    """Predict what is not on disk yet with one checkpoint of each run.

    Args:
        folds: Runs of one configuration.
        name: The checkpoint.
        title: What the source is called.
        console: For progress.
    """
    caches: dict[str, tuple[ProbabilityCache, ...]] = {}
    for fold in folds:
        cache = fold.cache(name)
        missing = [case for case in fold.cases if not cache.holds(case)]
        if len(missing) < len(fold.cases):
            console.print(
                f"{fold.run.path}: {name}: {len(fold.cases) - len(missing)} of {len(fold.cases)} "
                "cases were predicted before",
                markup=False,
            )
        if missing:
            checkpoint = read_checkpoint(checkpoint_path(fold.run, name))
            predictor = Predictor([checkpoint], fold.settings, fold.machine)
        for number, case in enumerate(missing, start=1):
            shown = f"{fold.run.path.name} {name} {number}/{len(missing)} {case.id}"
            with windows_progress(console, shown) as progress:
                cache.store(case, predictor(case.image, case.statistics, progress))
        caches |= {case.id: (cache,) for case in fold.cases}
    return Source(title, caches)


def _configuration(run: RunFolder, changes: tuple[str, ...]) -> Config:
    for change in changes:
        if not change.startswith(_CHANGEABLE):
            raise InputError(
                f"--set {change}: a trained run takes changes of selection, inference, runtime, "
                "data.root and data.store; train anew for others"
            )
    return load_config(run.config_file, changes)


def _held_out(run: RunFolder, store: Store) -> list[StoredCase]:
    """The cases that the run was trained without, in the data that it was trained on."""
    if run.fingerprint != store.fingerprint:
        raise InputError(
            f"{run.path}: was trained on other data than {store.path} holds now; name the store "
            "of its training in data.store of its config.yaml"
        )
    cases = [store.cases[name] for name in run.validation_cases]
    if not cases:
        raise InputError(
            f"{run.path}: was trained on every case (--fold {run.fold}), none is left to validate "
            "on; select with the runs of the single folds"
        )
    if all(not case.block_counts[-1].any() for case in cases):
        raise InputError(f"{run.path}: every voxel of its validation cases is ignored; add labels")
    return cases


def _check_disjoint(folds: Sequence[Fold]) -> None:
    holder: dict[str, RunFolder] = {}
    for fold in folds:
        for case in fold.cases:
            if case.id in holder:
                raise InputError(
                    f"{fold.run.path}: holds out case {case.id} as {holder[case.id].path} does; "
                    "name the runs of different folds of one split"
                )
            holder[case.id] = fold.run


def _weights_digest(checkpoint: Checkpoint) -> str:
    """Tell weights apart without keeping them: best and last are often the same."""
    digest = hashlib.sha256()
    for key, value in sorted(checkpoint.model.items()):
        digest.update(key.encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
