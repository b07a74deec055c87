"""Options of several verbs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter

from vesuv.config import load_config
from vesuv.config.former_keys import renamed_change
from vesuv.config.labels import LabelsConfig
from vesuv.config.training import Views
from vesuv.errors import InputError
from vesuv.evaluation.label_values import parse_classes
from vesuv.inference.members import trained_config
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import resolve

_OPTION_KEYS = {
    "--overlap": "inference.overlap",
    "--views": "inference.views",
    "--device": "runtime.device",
    "--pretrained": "train.pretrained",
}


def several(name: str) -> Parameter:
    """Return an option that takes one value or more, and may be repeated."""
    return Parameter(name, consume_multiple=1, negative=(), show_default=False)


def _keys(changes: Sequence[str]) -> list[str]:
    return [renamed_change(change).partition("=")[0] for change in changes]


def _check_keys(_type: object, changes: Sequence[str]) -> None:
    keys = _keys(changes)
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(f"--set: {key} is given twice; give it once")


Switch = Annotated[bool, Parameter(negative=(), show_default=False)]
ConfigFile = Annotated[str, Parameter("--config")]
DryRun = Annotated[bool, Parameter("--dry-run", negative=(), show_default=False)]
Changes = Annotated[tuple[str, ...], several("--set"), Parameter(validator=_check_keys)]
Runs = Annotated[tuple[Path, ...], several("--run")]
Checkpoints = Annotated[tuple[str, ...] | None, several("--checkpoint")]


def with_option_changes(
    changes: Sequence[str],
    overlap: str | None = None,
    views: Views | None = None,
    device: str | None = None,
    pretrained: str | None = None,
) -> list[str]:
    """Return the changes of --set and of the options that stand for a key.

    Raises:
        InputError: --set and an option change the same key.
    """
    values = {
        "--overlap": overlap,
        "--views": views,
        "--device": device,
        "--pretrained": None if pretrained is None else json.dumps(pretrained),
    }
    all_changes = list(changes)
    for option, value in values.items():
        key = _OPTION_KEYS[option]
        if value is None:
            continue
        if key in _keys(changes):
            raise InputError(f"{option}: --set gives {key} too; give it once")
        all_changes.append(f"{key}={value}")
    return all_changes


def use_threads(runs: Sequence[Path], changes: Sequence[str]) -> None:
    """Set the number of PyTorch threads to that of the first run."""
    for path in runs[:1]:
        runtime = trained_config(RunFolder.open(path), changes).runtime
        torch.set_num_threads(resolve(runtime).threads)


def named_labels(
    run: Path | None, config: Path | None, classes: Sequence[str], ignore: int | None
) -> dict[str, LabelsConfig]:
    """Return the label values that the call names, with the option that does; at most one.

    Raises:
        InputError: Several options name label values, or --ignore stands without --classes.
    """
    given = {"--run": run is not None, "--config": config is not None, "--classes": bool(classes)}
    options = [option for option, is_given in given.items() if is_given]
    if len(options) > 1:
        raise InputError(f"{', '.join(options)}: all name label values; give one of them")
    if ignore is not None and not classes:
        raise InputError("--ignore: belongs to --classes; give both or neither")
    if run is not None:
        return {f"--run {run}": RunFolder.open(run).config.labels}
    if config is not None:
        return {f"--config {config}": load_config(config).labels}
    return {"--classes": parse_classes(classes, ignore)} if classes else {}
