"""Runs with their held-out cases, and out-of-fold predictions of these cases."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vesuv.config import Config
from vesuv.data.builder import check_recorded_store, open_or_prepare_store
from vesuv.data.content_digests import read_digests
from vesuv.data.fingerprint import contents_of, fingerprint
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
    """A run and its held-out cases."""

    run: RunFolder
    config: Config
    """Configuration of the run with the changes of the caller."""
    cases: tuple[StoredCase, ...]
    machine: Machine
    raw_fingerprints: frozenset[str]
    """Fingerprints of raw files and label values, equal at any spacing of the prepared data: by
    sizes and times, and by contents where the store has their digests. One in common is enough."""

    @property
    def inference(self) -> dict[str, Any]:
        """Inference settings with the precision, for selected.json and best.json."""
        settings = self.config.inference.model_dump(mode="json", exclude={"postprocess"})
        return {**settings, "precision": self.machine.precision}

    def digest(self, checkpoint: str) -> str:
        """Return the SHA-256 of a checkpoint's file."""
        return file_digest(self.run.existing_checkpoint(checkpoint))

    def network(self, checkpoint: str, device: torch.device) -> TrainedNetwork:
        """Load the network of a checkpoint onto a device."""
        file = read_checkpoint(self.run.existing_checkpoint(checkpoint))
        return TrainedNetwork.from_checkpoint(file, device)

    def cache(self, checkpoint: str) -> ProbabilityCache:
        """Open the cache of a checkpoint's probabilities."""
        return self._cache(checkpoint, self.digest(checkpoint), {})

    def ensemble_cache(self, members: Sequence[tuple[HeldOutRun, str]]) -> ProbabilityCache:
        """Open the cache of an ensemble's mean probabilities.

        Args:
            members: Run and name of each checkpoint; the first run is this one.
        """
        names = [f"{member.run.path.resolve()}/{name}" for member, name in members]
        weights = " ".join(member.digest(name) for member, name in members)
        names_digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:8]
        return self._cache(f"ensemble_{names_digest}", weights, {"members": names})

    def _cache(
        self, name: str, weights_digest: str, more_settings: Mapping[str, Any]
    ) -> ProbabilityCache:
        settings = {
            "checkpoint_sha256": weights_digest,
            "data_fingerprint": self.run.facts.data_fingerprint,
            **self.inference,
            **more_settings,
        }
        overlap = self.config.labels.targets.overlap
        return ProbabilityCache.open(self.run.path, name, settings, overlap=overlap)


def open_held_out(runs: Sequence[Path], changes: Sequence[str] = ()) -> list[HeldOutRun]:
    """Open runs with their held-out cases.

    Args:
        runs: Run folders.
        changes: `section.key=value`, see `vesuv.inference.members.trained_config`.

    Raises:
        InputError: No run, no held-out cases, other data than in training, a case that two of the
            runs hold out, or runs of different classes or regions.
    """
    opened: list[HeldOutRun] = []
    stores: dict[str, Store] = {}
    for path in runs:
        run = RunFolder.open(path)
        config = trained_config(run, changes)
        data = run.facts.data_fingerprint
        if data not in stores:
            if not any(change.startswith("data.store=") for change in changes):
                check_recorded_store(config, path)
            stores[data] = open_or_prepare_store(config)
        store = stores[data]
        cases, machine = _held_out_cases(run, store), resolve(config.runtime)
        opened.append(HeldOutRun(run, config, tuple(cases), machine, _raw_fingerprints(store)))
    _check_same_targets(opened)
    _check_disjoint(opened)
    return opened


def predict_held_out(
    runs: Sequence[HeldOutRun],
    checkpoints: Sequence[str] | None,
    say: Say,
    show_progress: ShowProgress,
    *,
    prefix: str = "",
) -> tuple[list[OofPredictions], dict[str, str]]:
    """Predict the held-out cases with checkpoints of each run, except cases in the cache.

    Checkpoints with the same weights in every run are predicted once.

    Args:
        runs: Runs of one configuration.
        checkpoints: Names of the checkpoints; None: all that every run has, best first.
        say: Called with each message.
        show_progress: Shows the progress of each case.
        prefix: Stands before the checkpoint in the name of its predictions.

    Returns:
        Predictions of each checkpoint, and checkpoint -> earlier checkpoint with equal weights.

    Raises:
        InputError: A run does not have a checkpoint, or no checkpoint is common to all runs.
    """
    names_by_weights: dict[tuple[str, ...], str] = {}
    equal_weights: dict[str, str] = {}
    for name in checkpoint_names(runs, checkpoints):
        weights = tuple(
            _weights_digest(read_checkpoint(one.run.existing_checkpoint(name))) for one in runs
        )
        if weights in names_by_weights:
            equal_weights[name] = names_by_weights[weights]
            say(f"{name}: the same weights as {equal_weights[name]}, not measured again")
        else:
            names_by_weights[weights] = name
    predictions = []
    for name in names_by_weights.values():
        caches: dict[str, ProbabilityCache] = {}
        for one in runs:
            cache = _predict_missing(one, name, say, show_progress)
            caches |= {case.id: cache for case in one.cases}
        predictions.append(OofPredictions(prefix + name, caches))
    return predictions, equal_weights


def checkpoint_names(runs: Sequence[HeldOutRun], requested: Sequence[str] | None) -> list[str]:
    """Return the requested names, or those that all runs have, best first."""
    if requested:
        names = list(dict.fromkeys(requested))
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


def _predict_missing(
    one: HeldOutRun, name: str, say: Say, show_progress: ShowProgress
) -> ProbabilityCache:
    """Predict the held-out cases of a run that a checkpoint's cache does not hold."""
    cache = one.cache(name)
    missing = [case for case in one.cases if not cache.holds(case)]
    num_cached = len(one.cases) - len(missing)
    if num_cached:
        say(f"{one.run.path}: {name}: {num_cached} of {len(one.cases)} cases were predicted before")
    if missing:
        network = one.network(name, one.machine.device)
        predictor = Predictor([network], one.machine, one.config.inference)
    for number, case in enumerate(missing, start=1):
        title = f"{one.run.path.name} {name} {number}/{len(missing)} {case.id}"
        with show_progress(title, "windows") as progress:
            cache.store(case, predictor.predict_case(case, progress))
    return cache


def _held_out_cases(run: RunFolder, store: Store) -> list[StoredCase]:
    """Return the held-out cases; refuse a store of other data than in training."""
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


def _raw_fingerprints(store: Store) -> frozenset[str]:
    settings = {key: value for key, value in store.settings.items() if key != "data.spacing"}
    contents = contents_of(store.sources, read_digests(store.path).digests)
    return frozenset(fingerprint(settings, one) for one in (store.sources, contents))


def _check_same_targets(runs: Sequence[HeldOutRun]) -> None:
    """Refuse runs whose channels mean different things: all are judged as those of the first."""
    first, *others = runs
    for one in others:
        if one.config.labels.targets != first.config.labels.targets:
            raise InputError(
                f"{one.run.path}: has other classes or regions than {first.run.path}, or the same "
                "ones in another order; folds of one configuration agree, select them separately"
            )


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
    """Return a digest of the weights alone: best and last often have the same."""
    digest = hashlib.sha256()
    for key, value in sorted(checkpoint.model.items()):
        digest.update(key.encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
