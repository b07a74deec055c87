"""Which folder a prediction in blocks may write, and whether it starts or goes on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vesuv.errors import InputError
from vesuv.inference.blocks.journal import FOLDER, Journal, first_difference, plain_json
from vesuv.inference.blocks.source import Source
from vesuv.io.places import check_no_links, contains
from vesuv.io.urls import is_url

_ZARR_FILES = ("zarr.json", ".zgroup", ".zarray")
JOB_KEYS = ("settings", "input", "blocks")
"""Parts of the job in which a run that goes on must not differ."""


def check_target(output: Path, source: Source, job: Mapping[str, Any], *, overwrite: bool) -> None:
    """Check that an output may be written or continued; nothing is written.

    Args:
        output: Folder of the image.
        source: The input, which is never replaced.
        job: What the output would be, see `JOB_KEYS`.
        overwrite: Whether an earlier output may be replaced.

    Raises:
        InputError: It holds the input, something else, or another prediction.
    """
    check_no_links([output])
    for file in source.files:
        if not is_url(file) and (contains(output, Path(file)) or contains(Path(file), output)):
            raise InputError(f"--output: {output} holds the input {file}; name another folder")
    if not _has_content(output):
        return
    if overwrite:
        if not output.is_dir() or not (_is_zarr(output) or (output / FOLDER).is_dir()):
            raise InputError(f"--output: {output} is no Zarr folder; name another, or remove it")
        return
    journal = Journal.of(output)
    if not journal.exists:
        raise InputError(
            f"--output: {output} exists already and is no unfinished prediction; name another "
            "folder, or replace it with --overwrite"
        )
    earlier = journal.job()
    for key in JOB_KEYS:
        difference = first_difference(
            earlier.get(key), plain_json(job[key]), "" if key == "settings" else key
        )
        if difference is not None:
            raise InputError(
                f"--output: {output} exists already (predicted with {difference}); name another "
                "folder, or replace it with --overwrite"
            )


def clear_target(output: Path) -> None:
    """Remove an earlier output, see `check_target`."""
    if output.is_dir():
        shutil.rmtree(output)


def _has_content(output: Path) -> bool:
    if not output.is_dir():
        return output.exists()
    names = {path.name for path in output.iterdir()}
    is_begun = names <= {FOLDER} and not Journal.of(output).exists
    return bool(names) and not is_begun


def _is_zarr(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _ZARR_FILES)
