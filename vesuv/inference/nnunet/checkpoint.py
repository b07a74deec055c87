"""Checkpoints of nnU-Net: pickles, of which only tensors and plain numbers are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar
from torch import Tensor

from vesuv.errors import InputError
from vesuv.runs.checkpoint_file import is_dense, verify_file
from vesuv.types import Shape

_SCALAR = "numpy._core.multiarray.scalar"
_FORMER_SCALAR = "numpy.core.multiarray.scalar"
_NAMES = (_SCALAR, _FORMER_SCALAR, "numpy.dtype", "_codecs.encode", "torch.device")
"""What a checkpoint may name beside tensors: numbers of NumPy, and the device of the training."""
_GLOBALS: list[Any] = [
    (scalar, _SCALAR),
    (scalar, _FORMER_SCALAR),
    np.dtype,
    *(type(np.dtype(name)) for name in ("float16", "float32", "float64", "int32", "int64", "bool")),
]
_COMPILED, _DISTRIBUTED = "_orig_mod.", "module."
"""Prefixes of names in checkpoints of compiled and of distributed networks."""
_ALIASES = (
    (re.compile(r"^decoder\.encoder\."), "encoder."),
    (re.compile(r"\.conv\.(weight|bias)$"), r".all_modules.0.\1"),
    (re.compile(r"\.norm\.(weight|bias)$"), r".all_modules.1.\1"),
)
"""nnU-Net names each tensor two to four times: a further name, and the one that is read."""


@dataclass(frozen=True)
class NnunetCheckpoint:
    """A checkpoint of nnU-Net.

    Args:
        path: The file.
        weights: Tensors by nnU-Net's names.
        configuration: Name of the configuration in plans.json.
        trainer: Name of the trainer's class.
        epoch: Number of epochs of training.
        mirror_axes: Axes of the network that predictions may reverse.
    """

    path: Path
    weights: dict[str, Tensor]
    configuration: str
    trainer: str
    epoch: int
    mirror_axes: tuple[int, ...]


def read_nnunet_checkpoint(path: Path) -> NnunetCheckpoint:
    """Read a checkpoint of nnU-Net; no code of the file is executed.

    Raises:
        InputError: It is missing or damaged, or holds objects other than tensors and numbers.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; name a finished fold, or --checkpoint best")
    try:
        content = read_content(path)
        axes = content.get("inference_allowed_mirroring_axes") or ()
        return NnunetCheckpoint(
            path=path,
            weights=dense_weights(content["network_weights"]),
            configuration=str(content["init_args"]["configuration"]),
            trainer=str(content["trainer_name"]),
            epoch=max(int(content["current_epoch"]), 0),
            mirror_axes=tuple(sorted({int(axis) for axis in axes} & {0, 1, 2})),
        )
    except Exception as fault:  # a damaged file can raise any exception
        reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise InputError(
            f"{path}: is no checkpoint of nnU-Net v2 that can be read without executing code "
            f"({reason:.160}); only tensors and numbers are read"
        ) from None


def read_content(path: Path) -> dict[str, Any]:
    """Read a file of PyTorch with tensors, plain values and NumPy's numbers; run no code of it.

    Raises:
        Exception: Any, where it is damaged or holds other objects.
    """
    verify_file(path, also_named=_NAMES)
    with torch.serialization.safe_globals(_GLOBALS):
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def dense_weights(tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return tensors without the prefixes of compiled and of distributed networks.

    Raises:
        ValueError: One is no dense tensor.
    """
    weights = {}
    for name, value in tensors.items():
        if type(value) is not Tensor or value.layout != torch.strided or not is_dense(value):
            raise ValueError(f"{name!s:.80} is no dense tensor")
        weights[name.removeprefix(_DISTRIBUTED).removeprefix(_COMPILED)] = value
    return weights


def own_weights(
    checkpoint: NnunetCheckpoint, expected: Mapping[str, Tensor], axes: Shape
) -> dict[str, Tensor]:
    """Return the weights of a network of vesuv.

    Args:
        checkpoint: A checkpoint.
        expected: State of the network.
        axes: Axis of nnU-Net's network that each axis of the files is; convolution kernels are
            transposed to the order of the files.

    Raises:
        InputError: A tensor is missing, unknown, or of another shape.
    """
    weights = {own_name(name): value for name, value in checkpoint.weights.items()}
    weights = {name: _transposed(value, axes) for name, value in weights.items()}
    unused = re.compile(r"^decoder\.seg_layers\.\d+\.(weight|bias)$")  # of deep supervision
    for name, tensor in expected.items():
        value = weights.get(name)
        if value is None or value.shape != tensor.shape:
            found = "none" if value is None else str(tuple(value.shape))
            raise InputError(
                f"{checkpoint.path}: {name} must have shape {tuple(tensor.shape)} for the network "
                f"of plans.json, found {found}; use checkpoint and plans.json of one training"
            )
    unknown = [name for name in weights if name not in expected and not unused.match(name)]
    if unknown:
        raise InputError(
            f"{checkpoint.path}: {unknown[0]:.120} is no weight of the network of plans.json; use "
            "checkpoint and plans.json of one training"
        )
    return {name: weights[name].to(expected[name].dtype) for name in expected}


def own_name(name: str) -> str:
    """Return the one name that vesuv gives a tensor of nnU-Net's networks."""
    for pattern, replacement in _ALIASES:
        name = pattern.sub(replacement, name)
    return name


def _transposed(value: Tensor, axes: Shape) -> Tensor:
    if value.ndim != 5 or axes == (0, 1, 2):
        return value
    return value.permute(0, 1, *(2 + axis for axis in axes)).contiguous()
