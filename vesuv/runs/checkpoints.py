"""Checkpoints: what they hold, written whole or not at all, read without running code."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from torch import Tensor, nn

from vesuv.config import Config, check
from vesuv.errors import InputError
from vesuv.models import build_model
from vesuv.runs.folder import writing
from vesuv.transforms.normalize import Normalizer

VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """A network with everything needed to use it elsewhere.

    `training` (optimizer, schedule, averages, policies, position) is there in last.pt only.
    """

    path: Path
    model: dict[str, Tensor]
    config: Config
    normalizer: Normalizer
    epoch: int
    measure: float | None
    training: dict[str, Any] | None


def write_checkpoint(
    path: Path,
    *,
    model: dict[str, Tensor],
    config: Config,
    normalizer: Normalizer,
    epoch: int,
    measure: float | None,
    training: dict[str, Any] | None = None,
    keep_previous: bool = False,
) -> None:
    """Write to a temporary name beside `path`, flush to disk, rename.

    With `keep_previous` the file that was there stays as `previous(path)`.

    Raises:
        InputError: The disk is full or the folder cannot be written; `path` is as it was.
    """
    content = {
        "version": VERSION,
        "model": {name: value.detach().cpu().contiguous() for name, value in model.items()},
        "config": config.model_dump(mode="json"),
        "normalizer": normalizer.state(),
        "epoch": epoch,
        "measure": measure,
        "training": training,
    }
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with writing(path):
            _save(content, temporary)
            if keep_previous and path.is_file():
                path.replace(previous(path))
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _save(content: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as fault:  # how torch passes a failed write on
            cause = fault.__context__
            raise (cause if isinstance(cause, OSError) else OSError(str(fault))) from None
        file.flush()
        os.fsync(file.fileno())


def previous(path: Path) -> Path:
    """Return where the checkpoint before the one at `path` is kept."""
    return path.with_name(f"{path.name}.previous")


def read_newest(path: Path) -> tuple[Checkpoint, str | None]:
    """Read a checkpoint, or the one before it where the newest is damaged.

    Returns:
        The checkpoint, and what was wrong with the newer one.

    Raises:
        InputError: Neither can be read; says what is wrong with the newer one.
    """
    try:
        return read_checkpoint(path), None
    except InputError as fault:
        try:
            return read_checkpoint(previous(path)), str(fault)
        except InputError:
            raise fault from None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; its checksums are verified and nothing in the file is executed.

    Raises:
        InputError: No such file, damaged, or not a checkpoint of ours.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; train first, or name one that is there")
    try:
        _verify(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as fault:  # a damaged file makes its readers fail in any way
        reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise InputError(f"{path}: damaged or no checkpoint ({reason}); use another one") from None
    found = content.get("version") if isinstance(content, dict) else content
    if type(found) is not int or found != VERSION:
        found = found if isinstance(found, (int, NoneType)) else type(found).__name__
        raise InputError(f"{path}: checkpoint version must be {VERSION}, found {found}")
    return _checkpoint(path, content)


def _checkpoint(path: Path, content: dict[str, Any]) -> Checkpoint:
    """The content part by part: a good checksum says nothing of who wrote it."""
    kinds: dict[str, Any] = {
        "epoch": int,
        "measure": (float, NoneType),
        "training": (dict, NoneType),
    }
    wrong = [key for key, kind in kinds.items() if not isinstance(content.get(key, ...), kind)]
    weights = content.get("model")
    if not isinstance(weights, dict) or not all(isinstance(w, Tensor) for w in weights.values()):
        wrong.append("model")
    if wrong:
        raise InputError(f"{path}: {', '.join(wrong)}: not as vesuv writes them; use another one")
    try:
        normalizer = Normalizer.from_state(content["normalizer"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{path}: normalizer: not as vesuv writes it; use another one") from None
    kept = {key: content[key] for key in ("model", *kinds)}
    config = check(content.get("config", {}), str(path))
    return Checkpoint(path=path, config=config, normalizer=normalizer, **kept)


def _verify(path: Path) -> None:
    """Compare every record with the CRC-32 that was written with it; PyTorch itself does not.

    Records that are packed are not ours: a few bytes could stand for all memory there is.
    """
    with zipfile.ZipFile(path) as archive:
        if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
            raise zipfile.BadZipFile("its records are packed")
        broken = archive.testzip()
    if broken is not None:
        raise zipfile.BadZipFile(f"checksum of {broken} does not match")


def restore_network(checkpoint: Checkpoint, device: torch.device) -> nn.Module:
    """Build the checkpoint's network with its weights, on `device`, in evaluation mode.

    Raises:
        InputError: The weights are another network's.
    """
    with torch.device("meta"):  # before memory is taken for whatever the file says
        load_weights(_built(checkpoint), checkpoint, assign=True)
    network = _built(checkpoint)
    load_weights(network, checkpoint)
    return network.to(device).eval()


def _built(checkpoint: Checkpoint) -> nn.Module:
    try:
        return build_model(checkpoint.config.model)
    except InputError as fault:
        raise InputError(f"{checkpoint.path}: {fault}") from None


def load_weights(network: nn.Module, checkpoint: Checkpoint, *, assign: bool = False) -> None:
    """Put a checkpoint's weights into a network.

    Raises:
        InputError: The weights are another network's.
    """
    try:
        network.load_state_dict(checkpoint.model, assign=assign)
    except (RuntimeError, AttributeError, TypeError) as fault:
        detail = " ".join(str(fault).split())[:160]
        raise InputError(
            f"{checkpoint.path}: its weights do not fit model.name={checkpoint.config.model.name} "
            f"of this version ({detail}…); train anew or use the version that wrote it"
        ) from None
