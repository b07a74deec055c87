"""What a run that goes on keeps, and what it may be given anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vesuv.config import Config, load_config
from vesuv.config.differences import changed_keys, config_differences
from vesuv.data.builder import check_recorded_store
from vesuv.errors import InputError
from vesuv.runs.folder import RunFolder
from vesuv.training.fold_data import FoldData, FoldName, TrainingData
from vesuv.training.run_start import check_unchanged

_CHANGEABLE_KEYS = (
    "train.epochs",
    "train.non_finite",
    "train.pretrained",
    "phases",
    "runtime.",
    "early_stopping",
    "checkpoint.",
    "diagnosis.",
    "data.root",
    "data.source",
    "data.store",
    "data.cubes",
)
"""Keys that may change when a run is resumed."""


def resumed_config(run: RunFolder, file: str | Path, changes: Sequence[str]) -> Config:
    """Return the configuration that a run goes on with.

    The run's own changes of the command line are made again before the new ones, and it stays with
    its data; `train_fold` refuses what may not change.

    Args:
        run: The run's folder.
        file: Configuration file, or the name of a shipped one.
        changes: Changes of the command line, each `section.key=value`.

    Raises:
        InputError: The configuration is wrong, or the run's prepared data are gone.
    """
    recorded = run.config
    config = load_config(file, [*run.facts.overrides, *changes])
    if config.model.written_channels is None:
        channels = {"in_channels": recorded.model.in_channels}
        model = config.model.model_copy(update=channels)
        config = config.model_copy(update={"model": model})
    paths = {key: getattr(recorded.data, key) for key in ("root", "store", "cubes")}
    own = {key: value for key, value in paths.items() if not _is_changed(f"data.{key}", changes)}
    config = config.model_copy(update={"data": config.data.model_copy(update=own)})
    if "store" in own:
        check_recorded_store(config, run.path)
    return config


def _is_changed(key: str, changes: Sequence[str]) -> bool:
    return any(change.startswith((f"{key}=", "data=")) for change in changes)


def check_same_settings(config: Config, runs: Iterable[tuple[FoldName, RunFolder]]) -> None:
    """Refuse to go on with other settings or another fold; the data are not looked at.

    It is for a dry run, and before any fold trains; `check_same_run` compares again with the data.

    Args:
        config: The whole configuration.
        runs: Each fold to train, and its folder.

    Raises:
        InputError: Names what differs, with both values.
    """
    for fold, run in runs:
        fingerprint = run.facts.data_fingerprint
        check_unchanged(run, _other_settings(config, run), fold, fingerprint, run.path)


def check_same_run(config: Config, data: TrainingData, fold: FoldName, run: RunFolder) -> None:
    """Refuse to go on with other settings, another fold or other data.

    Raises:
        InputError: Names what differs, with both values.
    """
    check_unchanged(run, _other_settings(config, run), fold, data.fingerprint, data)


def _other_settings(config: Config, run: RunFolder) -> list[str]:
    """Return the keys that a resumed run must keep and that differ, each with both values."""
    differences = {row["key"]: row for row in config_differences(run.config, config)}
    return [
        _difference(key, differences.get(key))
        for key in changed_keys(run.config, config)
        if not key.startswith(_CHANGEABLE_KEYS) and key != "name"
    ]


def check_same_cases(cases: FoldData, fold: FoldName, run: RunFolder) -> None:
    """Refuse to go on with other cases: what a run has trained on is not held out later.

    Args:
        cases: The fold's cases now; folds.yaml may have been edited since the start.
        fold: Fold to train.
        run: The run's folder.

    Raises:
        InputError: Names a case that changes its side.
    """
    facts = run.facts
    trained, held_out = set(facts.train_cases), set(facts.validation_cases)
    train = {case.id for case in cases.train}
    validation = set() if fold == "all" else {case.id for case in cases.validation}
    others = (train ^ trained if trained else set()) | (validation ^ held_out)  # none in old runs
    if others:
        name = min(others)
        now, before = _role(name, train, validation), _role(name, trained, held_out)
        raise InputError(
            f"{run.path}: a resumed run keeps its cases, found case {name} {now} now, {before} "
            "before; put folds.yaml of the prepared data (or runtime.seed) back, or start a new "
            "run with --output DIR"
        )


def _role(name: str, train: set[str], held_out: set[str]) -> str:
    if name in held_out:
        return "held out"
    return "in training" if name in train or not train else "left out"


def _difference(key: str, row: Mapping[str, Any] | None) -> str:
    return f"{key} ({row.get('base')!r:.40} -> {row['value']!r:.40})" if row else key
