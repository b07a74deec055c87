"""Pretrained weights: a run starts from those of a bundle, of a run or of a checkpoint file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vesuv.config import Config
from vesuv.errors import InputError, command
from vesuv.inference.bundle import is_bundle, open_bundle
from vesuv.inference.members import file_digest, open_selected
from vesuv.runs.checkpoints import Checkpoint, read_checkpoint
from vesuv.runs.folder import RunFolder

_MAX_NAMES = 5
"""Names of tensors in a sentence."""


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights of a trained network.

    Args:
        checkpoint: The weights with their configuration.
        sha256: Digest of their file.
    """

    checkpoint: Checkpoint
    sha256: str


@dataclass(frozen=True)
class LoadedWeights:
    """How pretrained weights fitted a network.

    Args:
        pretrained: The weights.
        loaded: Tensors that were loaded.
        missing: Tensors of the network that the file does not have; they keep random weights.
        unknown: Tensors of the file that the network does not have.
        other_shape: Tensors of another shape, such as an output layer of other classes; they keep
            random weights.
    """

    pretrained: PretrainedWeights
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    other_shape: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Return the entry of run.json."""
        return {
            "file": str(self.pretrained.checkpoint.path.absolute()),
            "sha256": self.pretrained.sha256,
            "loaded": len(self.loaded),
            "missing": self.missing,
            "unknown": self.unknown,
            "other_shape": self.other_shape,
        }

    def lines(self, config: Config) -> list[str]:
        """Return sentences for the log of a run with this configuration."""
        checkpoint = self.pretrained.checkpoint
        total = len(self.loaded + self.missing + self.other_shape)
        lines = [f"pretrained: {len(self.loaded)} of {total} tensors from {checkpoint.path}"]
        reasons = {
            "missing in the file": self.missing,
            "not in this network": self.unknown,
            "of another shape": self.other_shape,
        }
        for reason, names in reasons.items():
            if names:
                more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
                lines.append(f"pretrained: {reason}: {', '.join(names[:_MAX_NAMES])}{more}")
        theirs, ours = checkpoint.config.data, config.data
        for key in ("spacing", "normalize"):
            if getattr(theirs, key) != getattr(ours, key):
                values = [_plain(getattr(data, key)) for data in (theirs, ours)]
                lines.append(
                    f"note: data.{key} of the pretrained weights is {values[0]}, of this run "
                    f"{values[1]}"
                )
        return lines


def read_pretrained(path: Path) -> PretrainedWeights:
    """Read the weights of a bundle, of one of its files, of a run, or of a checkpoint file.

    Raises:
        InputError: There is nothing of the kind, or it is damaged.
    """
    checkpoint = _checkpoint(path)
    return PretrainedWeights(checkpoint, file_digest(checkpoint.path))


def _checkpoint(path: Path) -> Checkpoint:
    if path.suffix == ".safetensors":
        for member in open_bundle(path.parent):
            if member.checkpoint.path == path:
                return member.checkpoint
    if is_bundle(path):
        members = open_bundle(path)
        if len(members) > 1:
            files = ", ".join(str(member.checkpoint.path) for member in members)
            raise InputError(
                f"train.pretrained: {path} holds {len(members)} networks; name the file of one: "
                f"{files}"
            )
        return members[0].checkpoint
    if path.is_dir():
        return open_selected(RunFolder.open(path), None).checkpoint
    if path.suffix == ".pth":
        raise InputError(
            f"train.pretrained: {path} is no checkpoint of vesuv; import a model of nnU-Net with "
            f"{command('import_nnunet')} first"
        )
    if not path.is_file():
        raise InputError(
            f"train.pretrained: {path} is no bundle, no run and no checkpoint file; check the path"
        )
    return read_checkpoint(path)


def load_pretrained(network: nn.Module, pretrained: PretrainedWeights) -> LoadedWeights:
    """Copy the weights whose name and shape are those of the network.

    Raises:
        InputError: None fits.
    """
    state, weights = network.state_dict(), pretrained.checkpoint.model
    fitting = [name for name in state if name in weights and _fits(state[name], weights[name])]
    if not fitting:
        theirs = pretrained.checkpoint.config.model
        raise InputError(
            f"train.pretrained: no tensor of {pretrained.checkpoint.path} (model.name="
            f"{theirs.name}) fits this network; write its section model into the configuration"
        )
    network.load_state_dict(state | {name: weights[name] for name in fitting})
    return LoadedWeights(
        pretrained,
        loaded=tuple(fitting),
        missing=tuple(name for name in state if name not in weights),
        unknown=tuple(name for name in weights if name not in state),
        other_shape=tuple(
            name for name in state if name in weights and not _fits(state[name], weights[name])
        ),
    )


def _fits(ours: Tensor, theirs: Tensor) -> bool:
    return ours.shape == theirs.shape


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "name") else value
