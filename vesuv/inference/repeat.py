"""Repetition of a recorded prediction: networks and settings from its provenance.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from vesuv.config.labels import Targets
from vesuv.config.postprocess import read_chain
from vesuv.config.training import InferenceConfig
from vesuv.errors import InputError
from vesuv.inference.bundle import open_bundle
from vesuv.inference.chosen_mask import ChosenMask
from vesuv.inference.masks import ClassCut, MaskSettings
from vesuv.inference.members import Member, check_compatible, file_digest, open_selected
from vesuv.inference.prediction_settings import (
    PredictionSettings,
    RunSettings,
    StepsSettings,
    ThresholdSettings,
)
from vesuv.inference.predictor import Predictor
from vesuv.inference.provenance import provenance
from vesuv.io.tables import read_json
from vesuv.migrations import RECORD
from vesuv.runs.fields import first_fault
from vesuv.runs.folder import RunFolder
from vesuv.runs.software import software


class _RecordedRun(RunSettings):
    run: str
    """A run's folder, or a bundle."""
    checkpoint: str
    bundle_files: dict[str, str] | None = None
    """Name -> SHA-256 of the files of a network in a bundle; None: of a run."""


class _RecordedThreshold(ThresholdSettings):
    why: str


class _RecordedSteps(StepsSettings):
    why: str


class _Recorded(PredictionSettings):
    """The parts of a provenance.json that a repetition reads."""

    version: Literal[1]
    runs: tuple[_RecordedRun, ...] = Field(min_length=1)
    threshold: _RecordedThreshold
    postprocess: _RecordedSteps
    threads: int | None = None
    software: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class RecordedPrediction:
    """Networks and settings of a recorded prediction.

    Args:
        members: Networks.
        mask: Threshold and post-processing.
        predictor: The networks.
        probabilities: Whether probabilities were written.
        uncertainty: Whether uncertainty was written.
        calibrated: Whether the written probabilities were calibrated.
        blocks: How large volumes were predicted in blocks, see `BlockSettings.repeating`.
        notes: Messages about what may give other bits: versions of software.
    """

    members: tuple[Member, ...]
    mask: ChosenMask
    predictor: Predictor
    probabilities: bool
    uncertainty: bool
    calibrated: bool
    blocks: Mapping[str, Any]
    notes: tuple[str, ...]


def open_recorded(path: Path) -> RecordedPrediction:
    """Open the networks and settings that a provenance.json records.

    Raises:
        InputError: The file is missing or invalid, a run is missing, a file has another
            digest, or a setting cannot be repeated here, such as the device.
    """
    recorded = _read(path)
    changes = _changes(recorded)
    members = _open_all(path, recorded.runs, changes)
    check_compatible(members)
    mask = _mask(recorded, members[0].config.labels.targets, path)
    weights = [one.weight for one in recorded.runs]
    predictor = Predictor.of_members(
        members,
        mask.settings,
        weights=weights,
        temperatures=recorded.temperature,
    )
    outputs = {key: getattr(recorded, key) for key in ("probabilities", "uncertainty")}
    settings = provenance(members, predictor, mask, calibrated=recorded.calibrated, **outputs)
    settings["blocks"] = recorded.blocks
    difference = PredictionSettings.of(read_json(path)).difference(PredictionSettings.of(settings))
    if difference is not None:
        raise InputError(
            f"--from: {path} was predicted with {difference}; restore it, or predict anew with "
            "--run"
        )
    return RecordedPrediction(
        tuple(members),
        mask,
        predictor,
        calibrated=recorded.calibrated,
        blocks=recorded.blocks,
        notes=tuple(_software_notes(recorded.software)),
        **outputs,
    )


def _read(path: Path) -> _Recorded:
    content = RECORD.migrated(read_json(path), path)
    try:
        return _Recorded.model_validate(content)
    except ValidationError as fault:
        raise InputError(
            f"--from: {path} is not what predict writes ({first_fault(fault)}); name the "
            "provenance.json of a prediction"
        ) from None


def _changes(recorded: _Recorded) -> list[str]:
    """Return the recorded settings as changes of the runs' configuration."""
    settings = recorded.inference
    keys = [key for key in InferenceConfig.model_fields if key in settings]
    changes = [f"inference.{key}={json.dumps(settings[key])}" for key in keys]
    if "compile" not in settings:
        changes.append("inference.compile=off")
    if "patch_size" not in settings:
        changes.append("inference.patch_size=null")
    if "precision" in settings:
        changes.append(f"runtime.precision={settings['precision']}")
    if "device" in settings:
        changes.append(f"runtime.device={str(settings['device']).partition(':')[0]}")
    if recorded.threads is not None:
        changes.append(f"runtime.threads={recorded.threads}")
    return changes


def _open_all(path: Path, recorded: Sequence[_RecordedRun], changes: Sequence[str]) -> list[Member]:
    """Open each recorded checkpoint, and each bundle once."""
    folders = {one.run for one in recorded if one.bundle_files is not None}
    bundles = {
        (folder, member.name): member
        for folder in sorted(folders)
        for member in open_bundle(Path(folder), changes)
    }
    return [
        _open(path, one, changes)
        if one.bundle_files is None
        else _of_bundle(path, one, bundles.get((one.run, one.checkpoint)))
        for one in recorded
    ]


def _of_bundle(path: Path, recorded: _RecordedRun, member: Member | None) -> Member:
    """Return a network of a bundle, all of whose files must be the recorded ones."""
    if member is None or member.bundle_files != recorded.bundle_files:
        raise InputError(
            f"{recorded.run}: is another bundle than {path} records (files of other content); "
            "restore it, or predict anew with --model"
        )
    return member


def _open(path: Path, recorded: _RecordedRun, changes: Sequence[str]) -> Member:
    run = RunFolder.open(Path(recorded.run))
    file = run.existing_checkpoint(recorded.checkpoint)
    digest = file_digest(file)
    if digest != recorded.checkpoint_sha256:
        raise InputError(
            f"{file}: is another checkpoint than {path} records (SHA-256 {digest[:12]}…, recorded "
            f"{recorded.checkpoint_sha256[:12]}…); restore it, or predict anew with --run"
        )
    return open_selected(run, recorded.checkpoint, changes)


def _mask(recorded: _Recorded, targets: Targets, path: Path) -> ChosenMask:
    thresholds = _by_target(recorded.threshold.value, targets, path)
    chains = _by_target(recorded.postprocess.steps, targets, path)
    cuts = [
        ClassCut(threshold, read_chain(steps, "postprocess"))
        for threshold, steps in zip(thresholds, chains, strict=True)
    ]
    settings = MaskSettings(tuple(cuts), targets)
    return ChosenMask(settings, recorded.threshold.why, recorded.postprocess.why)


def _by_target(value: Any, targets: Targets, path: Path) -> list[Any]:
    """Return the value of each target; of several each is recorded by its name."""
    if not targets.has_several:
        return [value]
    if not isinstance(value, Mapping) or set(value) != set(targets.names):
        raise InputError(
            f"--from: {path} records other classes than {', '.join(targets.names)} of the run; "
            "predict anew with --run"
        )
    return [value[name] for name in targets.names]


def _software_notes(recorded: Mapping[str, Any]) -> list[str]:
    here = _versions(software())
    differing = [
        f"{name} {version}, now {here.get(name)}"
        for name, version in _versions(recorded).items()
        if version != here.get(name)
    ]
    if not differing:
        return []
    return [f"recorded with other software, so bits may differ: {'; '.join(differing)}"]


def _versions(content: Mapping[str, Any]) -> dict[str, Any]:
    packages = content.get("packages")
    own = {name: version for name, version in content.items() if name != "packages"}
    return own | (packages if isinstance(packages, dict) else {})
