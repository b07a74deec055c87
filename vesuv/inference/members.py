"""Members of an ensemble: trained networks with the selections of their runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vesuv.config import Config
from vesuv.config.postprocess import Chain
from vesuv.config.training import InferenceConfig
from vesuv.errors import InputError, command
from vesuv.inference.precision import with_judged_precision
from vesuv.runs.checkpoints import Checkpoint, read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import SelectedCut, SelectedInference, SelectedModel, TrainingImages

_COMMON_KEYS: dict[str, Callable[[Config], object]] = {
    "labels.classes": lambda config: list(config.labels.classes.items()),
    "labels.regions": lambda config: list((config.labels.regions or {}).items()),
    "model.in_channels": lambda config: config.model.in_channels,
    "model.out_channels": lambda config: config.model.out_channels,
    "data.spacing": lambda config: config.data.spacing,
}
"""Keys that must be equal in networks whose probabilities are averaged."""
_CHANGEABLE_KEYS = (
    "selection.",
    "inference.",
    "runtime.",
    "data.store=",
    "data.root=",
    "data.cubes=",
)


@dataclass(frozen=True)
class Member:
    """A trained network of an ensemble: a run's checkpoint, or a network of a bundle."""

    folder: Path
    """The run, or the bundle."""
    name: str
    """Name of the checkpoint, or of the bundle's network."""
    checkpoint: Checkpoint
    config: Config
    """Configuration of the run with the changes of the caller."""
    selected: SelectedModel | None = None
    """Selection of the run; None where it did not select this checkpoint."""
    precision_note: str | None = None
    """Message where the precision is not that of the selection."""
    training_images: TrainingImages | None = None
    """Grids and intensities of the training cases; None where they are not recorded."""
    weight: float = 1.0
    """Weight in the mean, unless the caller gives weights."""
    bundle_files: Mapping[str, str] | None = None
    """Name -> SHA-256 of the files of a bundle that this network is read from; None: of a run."""

    @property
    def inference(self) -> InferenceConfig:
        return self.config.inference

    def selected_cut(self, target: str) -> SelectedCut | None:
        """Return the selection for one class or region; None where the run did not select."""
        return self.selected.cut_of(target) if self.selected else None

    def threshold(self, target: str) -> float | None:
        """Return the selected threshold of a class or region; None without one."""
        cut = self.selected_cut(target)
        return cut.threshold if cut else None

    def postprocess(self, target: str) -> Chain:
        """Return the selected post-processing of a class, else that of the configuration."""
        cut = self.selected_cut(target)
        if cut is not None and cut.postprocess is not None:
            return cut.postprocess
        return self.config.inference.postprocess

    @property
    def is_outdated(self) -> bool:
        """Whether the checkpoint has changed since its selection."""
        digest = self.selected.checkpoint_sha256 if self.selected else None
        return digest is not None and digest != self.sha256

    @cached_property
    def sha256(self) -> str:
        """Digest of the file of the weights."""
        return file_digest(self.checkpoint.path)


def open_members(
    runs: Sequence[Path],
    checkpoints: Sequence[str] | None = None,
    changes: Sequence[str] = (),
) -> list[Member]:
    """Read checkpoints of each run: the given ones, else the selected one, else the best.

    A selected checkpoint predicts with the inference settings and precision of its selection.

    Args:
        runs: Run folders.
        checkpoints: Names of the checkpoints.
        changes: `section.key=value`, see `trained_config`.

    Raises:
        InputError: No run, no such checkpoint, or runs that cannot be averaged.
    """
    if not runs:
        raise InputError("--run: needs at least one run folder, found none; name log/<config>/fold")
    names = checkpoints or (None,)
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--checkpoint: {name} is given twice; use --weights for its weight")
    folders = [path.resolve() for path in runs]
    for path, folder in zip(runs, folders, strict=True):
        if folders.count(folder) > 1:
            raise InputError(f"--run: {path} is given twice; use --weights for its weight")
    members = [
        open_selected(RunFolder.open(path), name, changes) for path in runs for name in names
    ]
    check_compatible(members)
    return members


def open_selected(run: RunFolder, requested: str | None, changes: Sequence[str] = ()) -> Member:
    """Read a run's checkpoint, with its selection: the given one, else the selected, else best."""
    selected = run.selected_model()
    name = requested or (selected.checkpoint if selected else "best")
    chosen = selected if selected and selected.checkpoint == name else None
    return open_member(run, name, chosen, changes)


def open_member(
    run: RunFolder, name: str, selected: SelectedModel | None, changes: Sequence[str] = ()
) -> Member:
    """Read a checkpoint of a run, with its selection."""
    checkpoint = read_checkpoint(run.existing_checkpoint(name))
    _refuse_pretraining(run, checkpoint.config)
    config, note = predicting_config(run.config_with, selected, changes)
    return Member(run.path, name, checkpoint, config, selected, note, _training_images(run))


def predicting_config(
    config_with: Callable[[Sequence[str]], Config],
    selected: SelectedModel | None,
    changes: Sequence[str],
) -> tuple[Config, str | None]:
    """Return the configuration of a prediction: that of training, as selected, with changes.

    Args:
        config_with: Returns the configuration of training with changes.
        selected: Selection, whose inference settings and precision are taken.
        changes: Changes of the caller, which come last.

    Returns:
        The configuration, and a message where the precision is not that of the selection.

    Raises:
        InputError: A change that `trained_config` refuses.
    """
    judged = (selected.inference if selected else None) or SelectedInference()
    _check_changes(changes)
    config = config_with([*inference_changes(judged), *changes])
    return with_judged_precision(config, judged.precision, changes)


def _training_images(run: RunFolder) -> TrainingImages | None:
    try:
        return run.facts.training_images
    except InputError:  # predictions do not depend on run.json
        return None


def inference_changes(inference: SelectedInference) -> list[str]:
    """Return the inference settings of a selection as changes of the configuration."""
    values = inference.model_dump(mode="json", exclude={"precision"}, exclude_none=True)
    return [f"inference.{key}={str(value).lower()}" for key, value in values.items()]


def trained_config(run: RunFolder, changes: Sequence[str]) -> Config:
    """Return a run's configuration with changes that a trained run can take.

    Raises:
        InputError: A change of another key, which would need new training; or the run was
            pre-trained.
    """
    _check_changes(changes)
    config = run.config_with(changes)
    _refuse_pretraining(run, config)
    return config


def _refuse_pretraining(run: RunFolder, config: Config) -> None:
    if config.train.task != "segmentation":
        raise InputError(
            f"{run.path}: was pre-trained without labels and predicts none; train from it: "
            f"{command('train', '--pretrained', run.path)}"
        )


def _check_changes(changes: Sequence[str]) -> None:
    for change in changes:
        if not change.startswith(_CHANGEABLE_KEYS):
            raise InputError(
                f"--set {change}: a trained run takes changes of selection, inference, runtime, "
                "data.root, data.store and data.cubes; train anew for others"
            )


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
                f"{other.folder}: runs of an ensemble must agree in {key}, found {theirs} "
                f"and, in {first.folder}, {ours}; predict with them separately"
            )
        window = other.checkpoint.config.window_size(first.inference)
        try:
            other.checkpoint.config.check_patch("inference.patch_size", window)
        except ValueError as fault:
            raise InputError(f"{other.folder}: {fault}") from None


def differing_key(one: Config, other: Config) -> str | None:
    """Return a key in which two networks differ and cannot be averaged; None without one."""
    differing = (key for key, value in _COMMON_KEYS.items() if value(one) != value(other))
    return next(differing, None)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
