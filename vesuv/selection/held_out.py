"""Runs with the cases that they were trained without, and what they predict of those."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vesuv.config import Config
from vesuv.data.builder import open_or_prepare_store
from vesuv.data.fingerprint import fingerprint
from vesuv.data.store import Store, StoredCase
from vesuv.errors import InputError
from vesuv.inference.members import file_digest, trained_config
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.predictor import Predictor
from vesuv.runs.checkpoints import Checkpoint, read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import Machine, resolve
from vesuv.selection.cache import ProbabilityCache
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.types import Say, ShowProgress


@dataclass(frozen=True)
class HeldOutRun:
    """A run and the cases that it was trained without."""

    run: RunFolder
    config: Config
    """The run's, with the changes of the caller."""
    cases: tuple[StoredCase, ...]
    machine: Machine
    raw_data: str
    """Tells raw files and label values apart, whatever spacing they were prepared at."""

    @property
    def inference(self) -> dict[str, Any]:
        """How its volumes are predicted, as selected.json and best.json keep it."""
        settings = self.config.inference.model_dump(mode="json", exclude={"postprocess"})
        return {**settings, "precision": self.machine.precision}

    def digest(self, checkpoint: str) -> str:
        """Return the SHA-256 of a checkpoint's file."""
        return file_digest(self.run.existing_checkpoint(checkpoint))

    def network(self, checkpoint: str, device: torch.device) -> TrainedNetwork:
        """Build a checkpoint's network on a device."""
        file = read_checkpoint(self.run.existing_checkpoint(checkpoint))
        return TrainedNetwork.from_checkpoint(file, device)

    def cache(self, checkpoint: str) -> ProbabilityCache:
        """Open the probabilities of a checkpoint."""
        return self._cache(checkpoint, self.digest(checkpoint), {})

    def ensemble_cache(self, members: Sequence[tuple[HeldOutRun, str]]) -> ProbabilityCache:
        """Open the mean probabilities of checkpoints of several runs, this one's the first."""
        names = [f"{member.run.path.resolve()}/{name}" for member, name in members]
        weights = " ".join(member.digest(name) for member, name in members)
        place = hashlib.sha256("\n".join(names).encode()).hexdigest()[:8]
        return self._cache(f"ensemble_{place}", weights, {"members": names})

    def _cache(self, name: str, weights: str, more: Mapping[str, Any]) -> ProbabilityCache:
        data = {"data_fingerprint": self.run.facts.data_fingerprint}
        depends_on = {"checkpoint_sha256": weights, **data, **self.inference, **more}
        return ProbabilityCache.open(self.run.path, name, depends_on)


def open_held_out(runs: Sequence[Path], changes: Sequence[str] = ()) -> list[HeldOutRun]:
    """Open runs with their held-out cases.

    Args:
        runs: Run folders.
        changes: `section.key=value`, see `vesuv.inference.members.trained_config`.

    Raises:
        InputError: No run, no held-out cases, other data than trained on, or a case that two of
            the runs hold out.
    """
    opened: list[HeldOutRun] = []
    stores: dict[str, Store] = {}
    for path in runs:
        run = RunFolder.open(path)
        config = trained_config(run, changes)
        data = run.facts.data_fingerprint
        if data not in stores:
            stores[data] = open_or_prepare_store(config)
        store = stores[data]
        cases, machine = _held_out_cases(run, store), resolve(config.runtime)
        opened.append(HeldOutRun(run, config, tuple(cases), machine, _raw_data(store)))
    _check_disjoint(opened)
    return opened


def common_checkpoints(runs: Sequence[HeldOutRun], wanted: Sequence[str] | None) -> list[str]:
    """Return the names to try: the wanted ones, else those that all runs have, best first.

    Raises:
        InputError: A run lacks a wanted one, or there is none that all have.
    """
    if wanted:
        names = list(dict.fromkeys(wanted))
        for one in runs:
            for name in names:
                one.run.existing_checkpoint(name)
        return names
    for one in runs:
        if not one.run.checkpoints():
            raise InputError(f"{one.run.path}: holds no checkpoint yet; train it first")
    names = runs[0].run.checkpoints()
    common = [name for name in names if all(name in one.run.checkpoints() for one in runs)]
    if not common:
        paths = ", ".join(str(one.run.path) for one in runs)
        raise InputError(f"{paths}: have no checkpoint of the same name; select them one by one")
    return common


def without_twins(
    runs: Sequence[HeldOutRun], names: Sequence[str], say: Say
) -> tuple[list[str], dict[str, str]]:
    """Drop checkpoints that hold the same weights as an earlier one in every run.

    Returns:
        The names that are left, and dropped name -> the name that it equals.
    """
    names_by_weights: dict[tuple[str, ...], str] = {}
    twins = {}
    for name in names:
        weights = tuple(
            _weights_digest(read_checkpoint(one.run.existing_checkpoint(name))) for one in runs
        )
        if weights in names_by_weights:
            twins[name] = names_by_weights[weights]
            say(f"{name}: the same weights as {twins[name]}, not measured again")
        else:
            names_by_weights[weights] = name
    return list(names_by_weights.values()), twins


def predict_held_out(
    runs: Sequence[HeldOutRun], name: str, title: str, say: Say, show_progress: ShowProgress
) -> OofPredictions:
    """Predict the held-out cases with one checkpoint of each run, unless they are on disk.

    Args:
        runs: Runs of one configuration.
        name: The checkpoint.
        title: What the predictions are called.
        say: Told what was predicted before.
        show_progress: Told how far each case is.
    """
    caches: dict[str, ProbabilityCache] = {}
    for one in runs:
        cache = one.cache(name)
        missing = [case for case in one.cases if not cache.holds(case)]
        if len(missing) < len(one.cases):
            say(
                f"{one.run.path}: {name}: {len(one.cases) - len(missing)} of {len(one.cases)} "
                "cases were predicted before"
            )
        if missing:
            network = one.network(name, one.machine.device)
            predictor = Predictor([network], one.machine, one.config.inference)
        for number, case in enumerate(missing, start=1):
            label = f"{one.run.path.name} {name} {number}/{len(missing)} {case.id}"
            with show_progress(label, "windows") as progress:
                cache.store(case, predictor.predict_case(case, progress))
        caches |= {case.id: cache for case in one.cases}
    return OofPredictions(title, caches)


def _held_out_cases(run: RunFolder, store: Store) -> list[StoredCase]:
    """Return the cases that the run was trained without, of the data that it was trained on."""
    facts = run.facts
    if facts.data_fingerprint != store.fingerprint:
        raise InputError(
            f"{run.path}: was trained on other data than {store.path} holds now; name the store "
            "of its training in data.store of its config.yaml"
        )
    cases = [store.cases[name] for name in facts.validation_cases]
    if not cases:
        raise InputError(
            f"{run.path}: was trained on every case (--fold {facts.fold}), none is left to "
            "validate on; select with the runs of the single folds"
        )
    if all(not case.block_counts[-1].any() for case in cases):
        raise InputError(f"{run.path}: every voxel of its validation cases is ignored; add labels")
    return cases


def _raw_data(store: Store) -> str:
    settings = {key: value for key, value in store.settings.items() if key != "data.spacing"}
    return fingerprint(settings, store.sources)


def _check_disjoint(runs: Sequence[HeldOutRun]) -> None:
    holders: dict[str, RunFolder] = {}
    for one in runs:
        for case in one.cases:
            if case.id in holders:
                raise InputError(
                    f"{one.run.path}: holds out case {case.id} as {holders[case.id].path} does; "
                    "name the runs of different folds of one split"
                )
            holders[case.id] = one.run


def _weights_digest(checkpoint: Checkpoint) -> str:
    """Tell weights apart without keeping them: best and last are often the same."""
    digest = hashlib.sha256()
    for key, value in sorted(checkpoint.model.items()):
        digest.update(key.encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
