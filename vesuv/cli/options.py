"""Options that several verbs have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter

from vesuv.config.training import RuntimeConfig
from vesuv.errors import InputError
from vesuv.inference.members import trained_config
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import resolve

_SHORT_WORDS = {
    "--overlap": "inference.overlap",
    "--mirror": "inference.mirror",
    "--device": "runtime.device",
}


def several(name: str) -> Parameter:
    """Return an option that takes one value or more, and may be repeated."""
    return Parameter(name, consume_multiple=1, negative=(), show_default=False)


Switch = Annotated[bool, Parameter(negative=(), show_default=False)]
ConfigFile = Annotated[Path, Parameter("--config")]
Changes = Annotated[tuple[str, ...], several("--set")]
Runs = Annotated[tuple[Path, ...], several("--run")]
Checkpoints = Annotated[tuple[str, ...] | None, several("--checkpoint")]


def with_short_words(
    changes: Sequence[str],
    overlap: str | None = None,
    mirror: bool | None = None,
    device: str | None = None,
) -> list[str]:
    """Return the changes of --set with those that --overlap, --mirror and --device stand for.

    Raises:
        InputError: A key is given both ways.
    """
    values = {
        "--overlap": overlap,
        "--mirror": None if mirror is None else str(mirror).lower(),
        "--device": device,
    }
    all_changes = list(changes)
    for word, value in values.items():
        key = _SHORT_WORDS[word]
        if value is None:
            continue
        if any(change.partition("=")[0] == key for change in changes):
            raise InputError(f"{word}: --set gives {key} too; give it once")
        all_changes.append(f"{key}={value}")
    return all_changes


def use_threads(runtime: RuntimeConfig) -> None:
    """Give PyTorch as many threads as a run on this machine uses."""
    torch.set_num_threads(resolve(runtime).threads)


def use_threads_of(runs: Sequence[Path], changes: Sequence[str]) -> None:
    """Give PyTorch as many threads as the first of some runs uses."""
    for path in runs[:1]:
        use_threads(trained_config(RunFolder.open(path), changes).runtime)
