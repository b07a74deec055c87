"""Members of an ensemble: checkpoints with the selections of their runs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vesuv.config import Config
from vesuv.config.data import PROBABILITY_STEPS
from vesuv.config.postprocess import Chain, begins_with_cut
from vesuv.config.training import InferenceConfig
from vesuv.errors import InputError, command
from vesuv.inference.masks import MaskSettings
from vesuv.inference.precision import with_judged_precision
from vesuv.runs.checkpoints import Checkpoint, read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import SelectedInference, SelectedModel, TrainingImages

_COMMON_KEYS: dict[str, Callable[[Config], object]] = {
    "labels.classes": lambda config: list(config.labels.classes.items()),
    "model.in_channels": lambda config: config.model.in_channels,
    "model.out_channels": lambda config: config.model.out_channels,
    "data.spacing": lambda config: config.data.spacing,
}
"""Keys that must be equal in networks whose probabilities are averaged."""
_CHANGEABLE_KEYS = ("selection.", "inference.", "runtime.", "data.store=", "data.root=")


@dataclass(frozen=True)
class Member:
    """One run's checkpoint in an ensemble."""

    run: RunFolder
    name: str
    checkpoint: Checkpoint
    config: Config
    """Configuration of the run with the changes of the caller."""
    selected: SelectedModel | None = None
    """Selection of the run; None where it did not select this checkpoint."""
    precision_note: str | None = None
    """Message where the precision is not that of the selection."""

    @property
    def inference(self) -> InferenceConfig:
        return self.config.inference

    @property
    def threshold(self) -> float | None:
        """The selected threshold; None without a selection of this checkpoint."""
        return self.selected.threshold if self.selected else None

    @property
    def postprocess(self) -> Chain:
        """The selected post-processing, else that of the configuration."""
        if self.selected and self.selected.postprocess is not None:
            return self.selected.postprocess
        return self.config.inference.postprocess

    @property
    def is_outdated(self) -> bool:
        """Whether the checkpoint has changed since its selection."""
        digest = self.selected.checkpoint_sha256 if self.selected else None
        return digest is not None and digest != self.sha256

    @property
    def training_images(self) -> TrainingImages | None:
        """Grids and intensities of the training cases; None where the run does not record them."""
        try:
            return self.run.facts.training_images
        except InputError:  # predictions do not depend on run.json
            return None

    @cached_property
    def sha256(self) -> str:
        """Digest of the checkpoint file."""
        return file_digest(self.checkpoint.path)


def open_members(
    runs: Sequence[Path], checkpoint: str | None = None, changes: Sequence[str] = ()
) -> list[Member]:
    """Read one checkpoint of each run: the given one, else the selected one, else the best.

    A selected checkpoint predicts with the inference settings and precision of its selection.

    Args:
        runs: Run folders.
        checkpoint: Name of the checkpoint.
        changes: `section.key=value`, see `trained_config`.

    Raises:
        InputError: No run, no such checkpoint, or runs that cannot be averaged.
    """
    if not runs:
        raise InputError("--run: needs at least one run folder, found none; name log/<config>/fold")
    members = [_open_selected(RunFolder.open(path), checkpoint, changes) for path in runs]
    check_compatible(members)
    return members


def _open_selected(run: RunFolder, requested: str | None, changes: Sequence[str]) -> Member:
    selected = run.selected_model()
    name = requested or (selected.checkpoint if selected else "best")
    chosen = selected if selected and selected.checkpoint == name else None
    return open_member(run, name, chosen, changes)


def open_member(
    run: RunFolder, name: str, selected: SelectedModel | None, changes: Sequence[str] = ()
) -> Member:
    """Read a checkpoint of a run, with its selection."""
    judged = (selected.inference if selected else None) or SelectedInference()
    checkpoint = read_checkpoint(run.existing_checkpoint(name))
    config = trained_config(run, [*_inference_changes(judged), *changes])
    config, note = with_judged_precision(config, judged.precision, changes)
    return Member(run, name, checkpoint, config, selected, note)


def _inference_changes(inference: SelectedInference) -> list[str]:
    """Return the inference settings of a selection as changes of the configuration."""
    values = inference.model_dump(mode="json", exclude={"precision"}, exclude_none=True)
    return [f"inference.{key}={str(value).lower()}" for key, value in values.items()]


def trained_config(run: RunFolder, changes: Sequence[str]) -> Config:
    """Return a run's configuration with changes that a trained run can take.

    Raises:
        InputError: A change of another key, which would need new training.
    """
    for change in changes:
        if not change.startswith(_CHANGEABLE_KEYS):
            raise InputError(
                f"--set {change}: a trained run takes changes of selection, inference, runtime, "
                "data.root and data.store; train anew for others"
            )
    return run.config_with(changes)


def check_compatible(members: Sequence[Member]) -> None:
    """Refuse networks whose probabilities cannot be averaged.

    Raises:
        InputError: Two runs differ in a common key.
    """
    first = members[0]
    for other in members[1:]:
        key = differing_key(first.checkpoint.config, other.checkpoint.config)
        if key is not None:
            value = _COMMON_KEYS[key]
            ours, theirs = value(first.checkpoint.config), value(other.checkpoint.config)
            raise InputError(
                f"{other.run.path}: runs of an ensemble must agree in {key}, found {theirs} "
                f"and, in {first.run.path}, {ours}; predict with them separately"
            )


def differing_key(one: Config, other: Config) -> str | None:
    """Return a key in which two networks differ and cannot be averaged; None without one."""
    differing = (key for key, value in _COMMON_KEYS.items() if value(one) != value(other))
    return next(differing, None)


@dataclass(frozen=True)
class ChosenMask:
    """Threshold and post-processing of an ensemble, each with its origin in a sentence."""

    settings: MaskSettings
    threshold_reason: str
    chain_reason: str


def choose_mask(
    members: Sequence[Member], threshold: float | None = None, postprocess: str | None = None
) -> ChosenMask:
    """Choose threshold and post-processing: the user's, else the selected, else the configured.

    Args:
        members: Checkpoints. Their selected thresholds are averaged. Where their post-processing
            differs, that of most members counts; in a tie, that of the first run among them.
        threshold: Threshold of the user.
        postprocess: "none" to leave all steps out, from the user.

    Raises:
        InputError: The threshold or `postprocess` is invalid, or does not apply here.
    """
    chain, chain_reason = _chain(members, postprocess)
    if not begins_with_cut(chain):
        value, reason = _threshold(members, threshold)
        if value is not None and 0.0 < value < 1 / PROBABILITY_STEPS:
            raise InputError(
                f"{reason}: probabilities are cut in steps of {1 / PROBABILITY_STEPS:g}; give "
                f"--threshold 0, or a value from {1 / PROBABILITY_STEPS:g} up"
            )
        return ChosenMask(MaskSettings(value, chain), reason, chain_reason)
    first = chain[0].name
    if threshold is not None:
        raise InputError(
            f"--threshold: post-processing begins with a {first} of its own, found {threshold}; "
            "leave it out, or add --postprocess none"
        )
    reason = f"{first} of the post-processing"
    return ChosenMask(MaskSettings(None, chain), reason, chain_reason)


def _chain(members: Sequence[Member], requested: str | None) -> tuple[Chain, str]:
    if requested == "none":
        return (), "no post-processing, from the command line"
    if requested is not None:
        raise InputError(f"--postprocess: must be none, found {requested!r}; or leave it out")
    (chain, votes), *others = Counter(member.postprocess for member in members).most_common()
    names = ", ".join(step.name for step in chain)
    source = next(member for member in members if member.postprocess == chain)
    selected = source.selected is not None and source.selected.postprocess is not None
    reason = f"post-processing: {names}" if chain else "no post-processing"
    reason += ", as selected" if selected else ", as in inference.postprocess"
    if others:
        reason += f" for {source.run.path}; the runs differ, {votes} of {len(members)} have this"
    return chain, reason


def _threshold(members: Sequence[Member], requested: float | None) -> tuple[float | None, str]:
    """Return the threshold and its origin; None for several channels of probabilities."""
    config = members[0].config
    if config.model.out_channels > 1:
        if requested is not None:
            raise InputError(
                f"--threshold: with {config.model.out_channels} output channels the likeliest "
                f"class counts, not a threshold, found {requested}; leave it out"
            )
        return None, "the likeliest class"
    if requested is not None:
        if not 0.0 <= requested <= 1.0:
            raise InputError(f"--threshold: must be from 0 to 1, found {requested}")
        return requested, f"threshold {requested:g}, from the command line"
    thresholds = [member.threshold for member in members if member.threshold is not None]
    unselected = ", ".join(f"{m.run.path} ({m.name})" for m in members if m.threshold is None)
    note = f"; nothing was selected for {unselected}: {command('validate_distribution')} does"
    if not thresholds:
        default = config.validation.threshold
        return default, f"threshold {default:g}, from validation.threshold{note}"
    mean = thresholds[0]
    if len(set(thresholds)) > 1:
        mean = round(sum(thresholds) / len(thresholds), 6)
    origin = "selected for the run" if len(members) == 1 else "the mean of the runs' selected"
    return mean, f"threshold {mean:g}, {origin}{note if unselected else ''}"


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
