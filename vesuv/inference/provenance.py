"""Every setting that a prediction depends on, so that it can be made again."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vesuv import __version__
from vesuv.config.postprocess import plain_chain
from vesuv.inference.masking import Masking
from vesuv.inference.predictor import Member, Predictor, file_digest

PROVENANCE = "provenance.json"

Inputs = Sequence[tuple[str, tuple[Path, ...]]]


def provenance(
    members: Sequence[Member], predictor: Predictor, masking: Masking, inputs: Inputs
) -> dict[str, Any]:
    """Return the content of provenance.json.

    Args:
        members: The networks.
        predictor: Their settings.
        masking: The way from their probabilities to masks.
        inputs: Id and files of each volume that was predicted.
    """
    config = members[0].checkpoint.config
    machine = predictor.machine
    return {
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "runs": [_member(member) for member in members],
        "threshold": {"value": masking.threshold, "why": masking.why},
        "postprocess": {"steps": plain_chain(masking.chain), "why": masking.chain_why},
        "inference": {
            **predictor.settings.model_dump(exclude={"postprocess"}),
            "window": "gaussian",
            "precision": machine.precision,
            "device": str(machine.device),
        },
        "spacing": config.data.spacing,
        "labels": config.labels.model_dump(mode="json"),
        "inputs": [{"id": name, "files": [_file(f) for f in files]} for name, files in inputs],
        "software": {
            "vesuv": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "monai", "numpy")},
        },
    }


def _member(member: Member) -> dict[str, Any]:
    checkpoint = member.checkpoint
    return {
        "run": member.run.path.resolve(),
        "checkpoint": member.name,
        "checkpoint_sha256": member.sha256,
        "epoch": checkpoint.epoch,
        "selected_threshold": member.threshold,
        "postprocess": plain_chain(member.postprocess),
        "patch_size": checkpoint.config.sampling.patch_size,
        "normalizer": checkpoint.normalizer.state(),
        "model": checkpoint.config.model.model_dump(mode="json"),
    }


def _file(path: Path) -> dict[str, Any]:
    """Name and digest; a .zarr folder is described by its size alone."""
    if path.is_dir():
        parts = [part for part in path.rglob("*") if part.is_file()]
        return {"path": path.resolve(), "bytes": sum(part.stat().st_size for part in parts)}
    return {
        "path": path.resolve(),
        "bytes": path.stat().st_size,
        "sha256": file_digest(path),
    }
