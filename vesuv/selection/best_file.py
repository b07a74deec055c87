"""The file that find_best writes, as the networks and the masking that it stands for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vesuv.config.postprocess import read_chain
from vesuv.errors import InputError
from vesuv.inference.predictor import Member, check_agreement, checkpoint_path
from vesuv.io.tables import VERSION
from vesuv.runs.checkpoints import read_checkpoint
from vesuv.runs.folder import RunFolder, Selected


def open_best(path: Path) -> list[Member]:
    """Read the networks of a best.json, each with the threshold and the steps of the whole.

    Raises:
        InputError: No such file, not one of find_best, or runs that are not there any more.
    """
    content = _read(path)
    try:
        threshold = content["threshold"]
        cut = None if threshold is None else float(threshold)
        named = [
            (Path(member["run"]), str(member["checkpoint"]), str(member["checkpoint_sha256"]))
            for member in content["members"]
        ]
        steps = content["postprocess"]
    except (KeyError, TypeError, ValueError):
        raise _not_ours(path) from None
    chain = read_chain(steps, f"{path}: postprocess")
    if not named:
        raise _not_ours(path)
    if cut is not None and not 0.0 <= cut <= 1.0:
        raise InputError(f"{path}: threshold must be from 0 to 1 or null, found {cut}")
    members = [
        _member(run, name, Selected(name, cut, digest, chain)) for run, name, digest in named
    ]
    check_agreement(members)
    return members


def _member(path: Path, name: str, selected: Selected) -> Member:
    run = RunFolder.open(path)
    return Member(run, name, selected, read_checkpoint(checkpoint_path(run, name)))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"--best: {path} cannot be read as JSON: {fault}") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise _not_ours(path)
    return content


def _not_ours(path: Path) -> InputError:
    return InputError(
        f"--best: {path} needs version {VERSION}, members, threshold and postprocess; write it "
        "anew with find_best"
    )
