"""Checkpoints: what they hold, written whole or not at all, read without running code."""

from __future__ import annotations

import zipfile
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
from vesuv.runs.folder import RESUME_HINT
from vesuv.runs.records import NormalizerRecord

VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """A network with everything needed to use it elsewhere."""

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
    """Write a checkpoint and flush it to disk before it takes the place of the former one.

    With `keep_previous` the file that was there stays as `previous(path)`.

    Raises:
        InputError: The disk is full or the folder cannot be written; `path` is as it was.
    """
    content = {
        "version": VERSION,
        "model": {name: value.detach().cpu().contiguous() for name, value in model.items()},
        "config": config.model_dump(mode="json"),
        "normalizer": normalizer.model_dump(mode="json"),
        "epoch": epoch,
        "measure": measure,
        "training": training,
    }
    former = previous(path) if keep_previous else None
    with (
        catch_write_errors(path, RESUME_HINT),
        atomic_replace(path, flush=True, previous=former, make_folder=False) as temporary,
        temporary.open("wb") as file,
    ):
        try:
            torch.save(content, file)
        except RuntimeError as fault:  # how torch passes a failed write on
            cause = fault.__context__
            raise (cause if isinstance(cause, OSError) else OSError(str(fault))) from None


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
        normalizer = NormalizerRecord.model_validate(content.get("normalizer"))
    except ValidationError:
        raise InputError(f"{path}: normalizer: not as vesuv writes it; use another one") from None
    found = {key: content[key] for key in ("model", *kinds)}
    config = check(content.get("config", {}), str(path))
    return Checkpoint(path=path, config=config, normalizer=normalizer, **found)


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
