"""Logs as flat images and masks, on which a network of segmentation trains; and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vesuv.curves.geometry import Borehole
from vesuv.curves.hough import Probs
from vesuv.curves.logs import ImageLog
from vesuv.curves.picks import KINDS, Pick
from vesuv.errors import InputError
from vesuv.io import formats
from vesuv.io.tables import Cell, write_csv, write_text

IMAGES, LABELS, LIST, FOLDS = "train_images", "train_labels", "train.csv", "splits_final.json"
THICKNESS = 3
"""Rows of a sinusoid in a mask."""


def draw_mask(
    picks: Sequence[Pick], hole: Borehole, shape: tuple[int, int], thickness: int = THICKNESS
) -> npt.NDArray[np.uint8]:
    """Return a mask of picks (row, column): 0 background, then the kinds; fractures on top."""
    mask = np.zeros(shape, dtype=np.uint8)
    rows = np.arange(shape[0])[:, None]
    for pick in sorted(picks, key=lambda pick: pick.kind):
        line = hole.rows(pick.row, pick.dip, pick.azimuth, shape[1])
        # A steep line is as thick across itself as a flat one.
        slope = np.hypot(1.0, np.gradient(line))
        mask[np.abs(rows - line) <= thickness / 2 * slope] = 1 + pick.kind
    return mask


def write_masks(
    output: Path, folds: Sequence[Sequence[ImageLog]], rows: int | None = None
) -> dict[str, int]:
    """Write train_images/, train_labels/, train.csv and the folds, each log a case or in pieces.

    Args:
        output: Folder of the data set.
        folds: The logs of each fold; their groups are the column `scroll_id`.
        rows: Rows of a piece; None: whole logs. A rest of less than half a piece is left out.

    Returns:
        The census: numbers of `cases`, of those `with_picks`, and of `picks`.

    Raises:
        InputError: The folder holds a data set, or cannot be written.
    """
    if (output / LIST).exists():
        raise InputError(f"{output}: holds {LIST} already; give another --output")
    logs = [log for fold in folds for log in fold]
    lines: list[dict[str, Cell]] = []
    cases: dict[str, list[str]] = {log.id: [] for log in logs}
    num_with_picks = 0
    for log in logs:
        shape = (log.num_rows, int(log.image.shape[1]))
        mask = draw_mask(log.picks, log.hole, shape)
        for number, first in enumerate(_starts(log.num_rows, rows)):
            name = log.id if rows is None else f"{log.id}_{number:04d}"
            part = slice(first, None if rows is None else first + rows)
            num_with_picks += bool(mask[part].any())
            formats.write(output / IMAGES / f"{name}.png", grey(log.image[part])[None])
            formats.write(output / LABELS / f"{name}.png", mask[part][None])
            lines.append({"id": name, "scroll_id": log.group})
            cases[log.id].append(name)
    write_csv(output / LIST, lines)
    held_out = [[name for log in fold for name in cases[log.id]] for fold in folds]
    splits = [
        {"train": [name for other in held_out if other is not fold for name in other], "val": fold}
        for fold in held_out
    ]
    write_text(output / FOLDS, json.dumps(splits, indent=1) + "\n")
    num_picks = sum(len(log.picks) for log in logs)
    return {"cases": len(lines), "with_picks": num_with_picks, "picks": num_picks}


def _starts(num_rows: int, rows: int | None) -> range:
    if rows is None or num_rows <= rows:
        return range(1)
    return range(0, num_rows - rows // 2, rows)


def grey(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return grey values from 1 to 255, stretched where they are no bytes; 0 where missing."""
    measured = np.isfinite(image)
    values = image[measured]
    low, high = (0.0, 255.0) if _is_bytes(values) else np.percentile(values, (0.1, 99.9))
    scaled = (np.where(measured, image, low) - low) / max(high - low, 1e-6)
    result: npt.NDArray[np.uint8] = np.clip(np.rint(255 * scaled), 1, 255).astype(np.uint8)
    result[~measured] = 0
    return result


def _is_bytes(values: npt.NDArray[np.float32]) -> bool:
    return bool(len(values)) and float(values.min()) >= 0 and float(values.max()) <= 255


def read_probs(folder: Path, log: ImageLog) -> Probs:
    """Read what a network of segmentation predicted for a log, (kinds, rows, columns).

    Args:
        folder: Holds <id>.<ending>, a mask of class values 0, 1, 2 or probabilities of background
            and kinds, or of the kinds alone.
        log: The log.

    Raises:
        InputError: There is no such file, or it has another size.
    """
    names = {formats.stem(path): path for path in formats.volumes_in(folder)}
    if log.id not in names:
        raise InputError(f"{folder / log.id}: no volume of this name; predict this log too")
    array = formats.read(names[log.id]).array
    size = (log.num_rows, int(log.image.shape[1]))
    if array.shape[-2:] != size or array.shape[-3] != 1:
        raise InputError(
            f"{names[log.id]}: must have {size[0]} x {size[1]} pixels as the log, found "
            f"{tuple(array.shape)}; predict the log anew"
        )
    if array.ndim == 3:
        kinds = [array[0] == kind for kind in range(1, len(KINDS) + 1)]
        return np.stack(kinds).astype(np.float32)
    if array.shape[0] not in (len(KINDS), len(KINDS) + 1):
        raise InputError(
            f"{names[log.id]}: must have {len(KINDS)} or {len(KINDS) + 1} channels, found "
            f"{array.shape[0]}; predict with classes background, bedding, fracture"
        )
    scale = 255.0 if array.dtype == np.uint8 else 1.0
    return np.asarray(array[-len(KINDS) :, 0] / scale, dtype=np.float32)
