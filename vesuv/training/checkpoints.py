"""Checkpoints: what they hold, written whole or not at all, read without running code."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vesuv.config import Config, check
from vesuv.data.normalize import Normalizer
from vesuv.errors import InputError
from vesuv.models import build_model

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
) -> None:
    """Write to a temporary name beside `path`, flush to disk, rename."""
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
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; nothing in the file is executed.

    Raises:
        InputError: No such file, damaged, or not a checkpoint of ours.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; train first, or name one that is there")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, ValueError, KeyError) as fault:
        reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise InputError(f"{path}: damaged or no checkpoint ({reason}); use another one") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        found = content.get("version") if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path}: checkpoint version must be {VERSION}, found {found}")
    return Checkpoint(
        path=path,
        model=content["model"],
        config=check(content["config"], str(path)),
        normalizer=Normalizer.from_state(content["normalizer"]),
        epoch=content["epoch"],
        measure=content["measure"],
        training=content["training"],
    )


def restore_network(checkpoint: Checkpoint, device: torch.device) -> nn.Module:
    """Build the checkpoint's network with its weights, on `device`, in evaluation mode.

    Raises:
        InputError: The weights are another network's.
    """
    network = build_model(checkpoint.config.model)
    load_weights(network, checkpoint)
    return network.to(device).eval()


def load_weights(network: nn.Module, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into a network.

    Raises:
        InputError: The weights are another network's.
    """
    try:
        network.load_state_dict(checkpoint.model)
    except RuntimeError as fault:
        detail = " ".join(str(fault).split())[:160]
        raise InputError(
            f"{checkpoint.path}: its weights do not fit model.name={checkpoint.config.model.name} "
            f"of this version ({detail}…); train anew or use the version that wrote it"
        ) from None
