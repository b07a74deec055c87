"""Checkpoints: written whole or not at all, read without executing code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from vesuv.config import Config, check
from vesuv.errors import InputError
from vesuv.io.atomic import atomic_replace, catch_write_errors
from vesuv.migrations import CHECKPOINT
from vesuv.runs.checkpoint_file import FileFault, is_dense, verify_file
from vesuv.runs.fields import MAX_EPOCH
from vesuv.runs.folder import RESUME_HINT
from vesuv.runs.records import NormalizerRecord

_TRAINING_OUTPUTS = (".distance_weight", ".distance_bias")
"""Names of the parameters of outputs that a network has in training only."""


@dataclass(frozen=True)
class Checkpoint:
    """A network's weights with configuration and normalizer."""

    path: Path
    model: dict[str, Tensor]
    config: Config
    normalizer: NormalizerRecord
    epoch: int
    measure: float | None
    training: dict[str, Any] | None
    """Optimizer, schedule, averages, policies and position: in last.pt only."""


def write_checkpoint(
    path: Path,
    *,
    model: dict[str, Tensor],
    config: Config,
    normalizer: NormalizerRecord,
    epoch: int,
    measure: float | None,
    training: dict[str, Any] | None = None,
    keep_previous: bool = False,
) -> None:
    """Write a checkpoint and flush it to disk before it replaces the former one.

    With `keep_previous` the former file is kept at `previous_path(path)`.

    Raises:
        InputError: The disk is full or the folder cannot be written; `path` is unchanged.
    """
    content = {
        "version": CHECKPOINT.version,
        "model": {name: value.detach().cpu().contiguous() for name, value in model.items()},
        "config": config.model_dump(mode="json"),
        "normalizer": normalizer.model_dump(mode="json"),
        "epoch": epoch,
        "measure": measure,
        "training": training,
    }
    save_content(path, content, keep_previous=keep_previous)


def save_content(path: Path, content: dict[str, Any], *, keep_previous: bool = False) -> None:
    """Write tensors and plain values, flushed to disk before they replace the former file.

    Raises:
        InputError: The disk is full or the folder cannot be written; `path` is unchanged.
    """
    former = previous_path(path) if keep_previous else None
    with (
        catch_write_errors(path, RESUME_HINT),
        atomic_replace(path, flush=True, previous=former, make_folder=False) as temporary,
        temporary.open("wb") as file,
    ):
        try:
            torch.save(content, file)
        except RuntimeError as fault:  # torch raises it for a failed write
            cause = fault.__context__
            raise (cause if isinstance(cause, OSError) else OSError(str(fault))) from None


def previous_path(path: Path) -> Path:
    """Return the path of the checkpoint before the one at `path`."""
    return path.with_name(f"{path.name}.previous")


def stored_epoch(path: Path) -> int | None:
    """Return the epoch of a checkpoint without reading its weights; None: it cannot be read."""
    try:
        verify_file(path)
        epoch = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["epoch"]
    except Exception:  # a damaged file can raise any exception
        return None
    return epoch if type(epoch) is int else None


def read_newest(path: Path) -> tuple[Checkpoint, str | None]:
    """Read a checkpoint, or the one before it if the newest is damaged.

    Returns:
        The checkpoint, and the fault of the newest one.

    Raises:
        InputError: Neither can be read; the message is the newest one's.
    """
    try:
        return read_checkpoint(path), None
    except InputError as fault:
        try:
            return read_checkpoint(previous_path(path)), str(fault)
        except InputError:
            raise fault from None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and verify its checksums; no code of the file is executed.

    Raises:
        InputError: The file is missing, damaged, or not a checkpoint of vesuv.
    """
    return _checkpoint(path, read_content(path))


def read_content(path: Path) -> dict[str, Any]:
    """Read what `save_content` wrote, in the present version; other keys are not checked.

    Raises:
        InputError: The file is missing, damaged, or of a newer version.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; train first, or name one that is there")
    try:
        verify_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        _check_tensors("", content, set())
    except Exception as fault:  # a damaged file can raise any exception
        reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise InputError(f"{path}: damaged or no checkpoint ({reason}); use another one") from None
    return CHECKPOINT.migrated(content, path)


def _checkpoint(path: Path, content: dict[str, Any]) -> Checkpoint:
    """Check type and range of each entry, which a checksum does not."""
    config = check(content.get("config", {}), str(path))
    epoch, measure = content.get("epoch"), content.get("measure", ...)
    is_valid = {
        "epoch": type(epoch) is int and 0 <= epoch <= MAX_EPOCH,
        "measure": measure is None or (type(measure) is float and math.isfinite(measure)),
        "training": isinstance(content.get("training", ...), (dict, NoneType)),
    }
    invalid_keys = [key for key, valid in is_valid.items() if not valid]
    weights = content.get("model")
    if not isinstance(weights, dict) or not all(isinstance(w, Tensor) for w in weights.values()):
        invalid_keys.append("model")
    if invalid_keys:
        raise InputError(
            f"{path}: {', '.join(invalid_keys)}: not as vesuv writes them; use another one"
        )
    try:
        normalizer = NormalizerRecord.model_validate(content.get("normalizer"))
    except ValidationError:
        raise InputError(f"{path}: normalizer: not as vesuv writes it; use another one") from None
    fields = {key: content[key] for key in ("model", *is_valid)}
    return Checkpoint(path=path, config=config, normalizer=normalizer, **fields)


def _check_tensors(place: str, content: Any, checked: set[int]) -> None:
    """Refuse tensors that compiled code would not expect, anywhere in a checkpoint.

    A file may hold one list in many places, or in itself: each object is looked at once.
    """
    if id(content) in checked:
        return
    checked.add(id(content))
    if isinstance(content, Tensor):
        is_plain = type(content) is Tensor and content.layout == torch.strided
        if not is_plain or content.device.type != "cpu" or not is_dense(content):
            kind = f"{content.layout}, on {content.device}, strides {content.stride()}"
            raise FileFault(f"{place} must be a dense tensor, found {kind}")
    elif isinstance(content, dict):
        for name, item in content.items():
            _check_tensors(f"{place}.{name}" if place else str(name), item, checked)
    elif isinstance(content, (list, tuple)):
        for index, item in enumerate(content):
            _check_tensors(f"{place}.{index}", item, checked)


def first_difference(expected: Mapping[str, Tensor], tensors: Mapping[str, Any]) -> str | None:
    """Return how a checkpoint's tensors differ from those they are copied into, or None.

    Names, shapes and number types are compared, because `load_state_dict` copies what it can.
    """
    missing = [name for name in expected if name not in tensors]
    if missing:
        return f"{missing[0]} is missing"
    for name, value in tensors.items():
        if name not in expected:
            return f"{name!s:.80} is not known"
        wanted = expected[name]
        kind = (value.dtype, tuple(value.shape)) if isinstance(value, Tensor) else type(value)
        if kind != (wanted.dtype, tuple(wanted.shape)):
            value_text = (
                f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else kind
            )
            return f"{name} must be {wanted.dtype} {tuple(wanted.shape)}, found {value_text}"
    return None


def load_weights(network: nn.Module, checkpoint: Checkpoint, *, assign: bool = False) -> None:
    """Load a checkpoint's weights into a network; outputs of training alone may be left over.

    Raises:
        InputError: The weights belong to another network.
    """
    state, weights = network.state_dict(), checkpoint.model
    if mask_weights(state).keys() == state.keys():
        weights = mask_weights(weights)
    difference = first_difference(state, weights)
    if difference is not None:
        raise InputError(
            f"{checkpoint.path}: its weights do not fit model.name={checkpoint.config.model.name} "
            f"of this version ({difference}); train anew or use the version that wrote it"
        )
    network.load_state_dict(weights, assign=assign)


def mask_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights that masks are predicted with, without those of training alone."""
    return {name: value for name, value in weights.items() if not name.endswith(_TRAINING_OUTPUTS)}
