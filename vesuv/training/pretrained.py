"""Pretrained weights: a run starts from those of a bundle, of a run or of a checkpoint file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vesuv.config import Config
from vesuv.errors import InputError
from vesuv.inference.bundle import is_bundle, open_bundle
from vesuv.inference.members import file_digest
from vesuv.inference.nnunet.pretrained import read_nnssl_weights
from vesuv.io.printable import number_of
from vesuv.models.heads import coarse_output_layers, output_layer
from vesuv.runs.checkpoints import Checkpoint, read_checkpoint
from vesuv.runs.folder import RunFolder

_MAX_NAMES = 5
"""Names of tensors in a sentence."""


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights of a trained network.

    Args:
        path: Their file.
        tensors: The weights by name.
        sha256: Digest of the file.
        config: Configuration of the training; None: of another program.
    """

    path: Path
    tensors: dict[str, Tensor]
    sha256: str
    config: Config | None

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> PretrainedWeights:
        """Return the weights of a checkpoint."""
        path = checkpoint.path
        return cls(path, checkpoint.model, file_digest(path), checkpoint.config)

    @property
    def task(self) -> str:
        """What the network learnt; without a configuration it is no segmentation."""
        return "reconstruction" if self.config is None else self.config.train.task


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
        left_out: Tensors that fit and were not asked for: output layers of another task, and
            layers that are not in `train.pretrained_layers`; they keep random weights.
    """

    pretrained: PretrainedWeights
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    other_shape: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return the entry of run.json."""
        return {
            "file": str(self.pretrained.path.absolute()),
            "sha256": self.pretrained.sha256,
            "task": self.pretrained.task,
            "loaded": len(self.loaded),
            "missing": self.missing,
            "unknown": self.unknown,
            "other_shape": self.other_shape,
            "left_out": self.left_out,
        }

    def lines(self, config: Config) -> list[str]:
        """Return sentences for the log of a run with this configuration."""
        path, theirs = self.pretrained.path, self.pretrained.config
        total = len(self.loaded + self.missing + self.other_shape + self.left_out)
        lines = [f"pretrained: {len(self.loaded)} of {total} tensors from {path}"]
        reasons = {
            "missing in the file": self.missing,
            "not in this network": self.unknown,
            "of another shape": self.other_shape,
            "left out": self.left_out,
        }
        for reason, names in reasons.items():
            if names:
                more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
                lines.append(f"pretrained: {reason}: {', '.join(names[:_MAX_NAMES])}{more}")
        if theirs is None:
            return lines
        for key in ("spacing", "normalize"):
            if getattr(theirs.data, key) != getattr(config.data, key):
                values = [_plain(getattr(one.data, key)) for one in (theirs, config)]
                lines.append(
                    f"note: data.{key} of the pretrained weights is {values[0]}, of this run "
                    f"{values[1]}"
                )
        outputs = [", ".join(one.labels.targets.names) for one in (theirs, config)]
        if self.pretrained.task == config.train.task == "segmentation" and len(set(outputs)) > 1:
            lines.append(
                f"note: outputs of the pretrained weights are {outputs[0]}, of this run "
                f"{outputs[1]}"
            )
        return lines


def read_pretrained(path: Path) -> PretrainedWeights:
    """Read the weights of a bundle, of one of its files, of a run, or of a checkpoint file.

    A run may be one of `vesuv pretrain`; a .pth file may be one of nnssl.

    Raises:
        InputError: There is nothing of the kind, or it is damaged.
    """
    if path.suffix == ".pth":
        if not path.is_file():
            raise InputError(f"train.pretrained: {path}: no such file; check the path")
        return PretrainedWeights(path, read_nnssl_weights(path), file_digest(path), None)
    return PretrainedWeights.of(_checkpoint(path))


def held_out_notes(pretrained: PretrainedWeights, held_out: Sequence[str]) -> list[str]:
    """Return a warning where weights were trained on the labels of cases that a run holds out.

    Args:
        pretrained: The weights; only of a run it is known what they were trained on.
        held_out: Ids of the held-out cases.
    """
    run = RunFolder(pretrained.path.parent.parent)
    if pretrained.task != "segmentation" or not run.exists:
        return []
    try:
        names = sorted(set(run.facts.train_cases) & set(held_out))
    except InputError:  # weights do not depend on run.json
        return []
    if not names:
        return []
    more = " …" if len(names) > _MAX_NAMES else ""
    return [
        f"warning: {run.path} was trained on cases of the names of {len(names)} of "
        f"{number_of(len(held_out), 'held-out case')} ({', '.join(names[:_MAX_NAMES])}{more}): if "
        "they are the same, their scores are no test; start from the run of the same fold"
    ]


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
        run = RunFolder.open(path)
        selected = run.selected_model()
        name = selected.checkpoint if selected else "best"
        return read_checkpoint(run.existing_checkpoint(name))
    if not path.is_file():
        raise InputError(
            f"train.pretrained: {path} is no bundle, no run and no checkpoint file; check the path"
        )
    return read_checkpoint(path)


def load_pretrained(
    network: nn.Module,
    pretrained: PretrainedWeights,
    *,
    task: str = "segmentation",
    layers: Sequence[str] | None = None,
) -> LoadedWeights:
    """Copy the weights whose name and shape are those of the network.

    Args:
        network: The network.
        pretrained: The weights.
        task: What the network is to learn; output layers of another task are left out.
        layers: First parts of the names of parameters to load; None: all.

    Raises:
        InputError: None fits.
    """
    state, weights = network.state_dict(), pretrained.tensors
    fitting = [name for name in state if name in weights and _fits(state[name], weights[name])]
    outputs = set() if pretrained.task == task else _output_names(network)
    left_out = [
        name
        for name in fitting
        if name in outputs or not (layers is None or name.startswith(tuple(layers)))
    ]
    loaded = [name for name in fitting if name not in left_out]
    if not loaded:
        raise InputError(_nothing_fits(pretrained, fitting, layers))
    network.load_state_dict(state | {name: weights[name] for name in loaded})
    return LoadedWeights(
        pretrained,
        loaded=tuple(loaded),
        missing=tuple(name for name in state if name not in weights),
        unknown=tuple(name for name in weights if name not in state),
        other_shape=tuple(
            name for name in state if name in weights and not _fits(state[name], weights[name])
        ),
        left_out=tuple(left_out),
    )


def _nothing_fits(
    pretrained: PretrainedWeights, fitting: Sequence[str], layers: Sequence[str] | None
) -> str:
    if fitting and layers is not None:
        parts = ", ".join(sorted({name.partition(".")[0] for name in fitting}))
        return (
            f"train.pretrained_layers: no tensor of {pretrained.path} that fits begins with "
            f"{' or '.join(layers) or 'nothing'}; its names begin with {parts}"
        )
    config = pretrained.config
    if config is not None:
        return (
            f"train.pretrained: no tensor of {pretrained.path} (model.name={config.model.name}) "
            "fits this network; write its section model into the configuration"
        )
    return (
        f"train.pretrained: no tensor of {pretrained.path} fits this network; it was pre-trained "
        "for model.name=residual_encoder_unet or plain_conv_unet with the stages of its plan"
    )


def _output_names(network: nn.Module) -> set[str]:
    """Return the names of the parameters of the output layers."""
    layers = {id(layer) for layer in (output_layer(network), *coarse_output_layers(network))}
    return {
        f"{name}.{parameter}"
        for name, module in network.named_modules()
        if id(module) in layers
        for parameter, _ in module.named_parameters()
    }


def _fits(ours: Tensor, theirs: Tensor) -> bool:
    return ours.shape == theirs.shape


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "name") else value
