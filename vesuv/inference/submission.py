"""Submission of a competition: a zip file of masks as TIFF."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vesuv.errors import InputError
from vesuv.io.atomic import atomic_replace, catch_write_errors, temporary_folder
from vesuv.io.formats import read, stem, write


def check_submission(path: Path) -> None:
    """Refuse a submission that would replace another file.

    Raises:
        InputError: Its name does not end in .zip, or another file has it.
    """
    if path.suffix != ".zip":
        raise InputError(f"--submission: must end in .zip, found {path}; submission.zip is usual")
    if path.exists() and not zipfile.is_zipfile(path):
        raise InputError(f"--submission: {path} is no zip file; give another name")


def write_submission(
    target: Path, masks: Sequence[Path], background: int, work_folder: Path
) -> None:
    """Write a zip of <id>.tif files, uint8, 1 where a mask is not background.

    The zip is not compressed, because the TIFF files are.

    Args:
        target: Zip file.
        masks: Masks in any format.
        background: Their label value of background.
        work_folder: Folder for temporary files.

    Raises:
        InputError: A mask cannot be read, or a file cannot be written.
    """
    with (
        catch_write_errors(target),
        temporary_folder(work_folder / "submission") as folder,
        atomic_replace(target) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for mask in masks:
            file = folder / f"{stem(mask)}.tif"
            write(file, (read(mask).array != background).astype(np.uint8))
            member = zipfile.ZipInfo(file.name)  # without the time: equal masks, equal zip
            member.external_attr = 0o644 << 16
            archive.writestr(member, file.read_bytes())
            file.unlink()
