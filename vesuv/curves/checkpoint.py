"""Checkpoints of a detector, in the files and with the checks of all checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vesuv.config.load import check_sections
from vesuv.curves.config import CurvesConfig
from vesuv.curves.detector import Detector
from vesuv.errors import InputError
from vesuv.migrations import CHECKPOINT
from vesuv.runs.checkpoints import first_difference, read_content, save_content
from vesuv.runs.folder import RunFolder

_TASK = "curves"


@dataclass(frozen=True)
class DetectorCheckpoint:
    """A detector's weights with its configuration."""

    path: Path
    model: dict[str, Tensor]
    config: CurvesConfig
    epoch: int
    training: dict[str, Any] | None
    """State of the run: in last.pt only."""


def save_detector(
    path: Path,
    detector: Detector,
    config: CurvesConfig,
    epoch: int,
    *,
    measure: float | None = None,
    training: dict[str, Any] | None = None,
) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        InputError: The folder cannot be written; `path` is unchanged.
    """
    weights = detector.state_dict()
    content = {
        "version": CHECKPOINT.version,
        "task": _TASK,
        "model": {name: value.detach().cpu().contiguous() for name, value in weights.items()},
        "config": config.model_dump(mode="json"),
        "epoch": epoch,
        "measure": measure,
        "training": training,
    }
    save_content(path, content)


def read_detector(path: Path) -> DetectorCheckpoint:
    """Read a checkpoint; no code of the file is executed.

    Raises:
        InputError: It is missing, damaged, or not of a detector of curves.
    """
    content = read_content(path)
    model, training = content.get("model"), content.get("training")
    is_valid = (
        content.get("task") == _TASK
        and isinstance(content.get("epoch"), int)
        and isinstance(model, dict)
        and all(isinstance(value, Tensor) for value in model.values())
        and isinstance(training, (dict, type(None)))
    )
    if not is_valid:
        raise InputError(f"{path}: is no checkpoint of curves; name the run of one")
    assert isinstance(model, dict)
    config = check_sections(content.get("config", {}), CurvesConfig, str(path))
    return DetectorCheckpoint(path, model, config, content["epoch"], training)


def load_detector(run: RunFolder, name: str = "best") -> tuple[Detector, CurvesConfig]:
    """Return the detector of a run, in evaluation mode, and its configuration.

    Raises:
        InputError: The run has no such checkpoint, or its weights belong to another network.
    """
    checkpoint = read_detector(run.existing_checkpoint(name))
    config = checkpoint.config
    detector = Detector(config.detector, config.strips)
    difference = first_difference(detector.state_dict(), checkpoint.model)
    if difference is not None:
        raise InputError(f"{checkpoint.path}: does not fit its configuration ({difference})")
    detector.load_state_dict(checkpoint.model)
    return detector.eval(), config
