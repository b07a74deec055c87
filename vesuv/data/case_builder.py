"""One raw case -> one case of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vesuv.config import Config
from vesuv.data.labels import encode_counted
from vesuv.data.layouts import RawCase
from vesuv.data.resample import resample_image, resample_label
from vesuv.data.statistics import case_statistics
from vesuv.data.store import VERSION, case_path, count_blocks, write_case
from vesuv.errors import InputError
from vesuv.io.formats import Volume, read

Array = npt.NDArray[Any]

_SPACING_TOLERANCE = 0.01
"""Largest relative difference of spacings that counts as rounding in a header."""
_DIRECTION_TOLERANCE = 0.02
"""Largest difference of unit vectors that counts as rounding in a header."""


def prepare_case(case: RawCase, config: Config, store: Path) -> int:
    """Read, check, encode, resample, measure and write one case.

    Args:
        case: Its files; the label must be there.
        config: Sections data and labels are used.
        store: Folder of the store.

    Returns:
        Number of image channels.

    Raises:
        InputError: Names the file that cannot be used, and why.
    """
    if case.label is None:
        raise InputError(f"case {case.id}: has no label; training cases need one")
    first = read(case.images[0])
    image = _channels(case, first)
    label, values = _read_label(case.label, case.images[0], first, config)
    spacing, target = first.spacing, config.data.spacing
    del first
    try:
        statistics = case_statistics(image, label)
        if target is not None:
            image = resample_image(image, spacing, target)
            label = resample_label(label, spacing, target, config.labels.num_classes)
            spacing = target
            statistics = case_statistics(image, label)
    except InputError as fault:
        raise InputError(f"{', '.join(map(str, case.images))}: {fault}") from None
    attributes = {
        "version": VERSION,
        "id": case.id,
        "group": case.group,
        "shape": list(label.shape),
        "spacing": list(spacing),
        "num_channels": len(image),
        "num_classes": config.labels.num_classes,
        "dtype": image.dtype.name,
        "values": {str(value): number for value, number in values.items()},
        "statistics": statistics.state(),
    }
    blocks = count_blocks(label, config.labels.num_classes)
    arrays = {"image": image, "label": label, "blocks": blocks}
    write_case(case_path(store, case.id), arrays, attributes)
    return len(image)


def storable(image: Array) -> Array:
    """Return the image in a type that the store keeps and torch reads: at most 32 bits wide."""
    if image.dtype.kind == "b":
        return image.view(np.uint8)
    if image.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return image.astype(np.float32) if image.dtype.itemsize > 4 else image
    if image.dtype.itemsize < 8:
        return image
    bounds = np.iinfo(np.int32)
    fits = bounds.min <= image.min() and image.max() <= bounds.max
    return image.astype(np.int32 if fits else np.float32)


def _channels(case: RawCase, first: Volume) -> Array:
    """All channels of a case, (c, z, y, x), with one shape and type."""
    if len(case.images) == 1:
        return storable(first.channels)
    parts = [first.channels]
    for path in case.images[1:]:
        other = read(path)
        if other.shape != first.shape:
            raise InputError(
                f"{path}: channels of a case have one shape, found {other.shape} against "
                f"{first.shape} in {case.images[0].name}; export them on one grid"
            )
        parts.append(other.channels)
    return storable(np.concatenate(parts))


def _read_label(
    path: Path, image_path: Path, image: Volume, config: Config
) -> tuple[Array, dict[int, int]]:
    label = read(path)
    array = label.array
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.shape != image.shape:
        raise InputError(
            f"{path}: image and label of a case have one shape, found label {array.shape} and "
            f"image {image.shape} ({image_path}); export both on one grid"
        )
    _refuse_other_grid(path, label, image_path, image)
    try:
        return encode_counted(array, config.labels)
    except InputError as fault:
        raise InputError(f"{path}: {fault}") from None


def _refuse_other_grid(path: Path, label: Volume, image_path: Path, image: Volume) -> None:
    """An equal shape hides a flipped or differently spaced label; headers of one format tell."""
    if type(label.geometry) is not type(image.geometry):
        return
    if not np.allclose(label.spacing, image.spacing, rtol=_SPACING_TOLERANCE, atol=0.0):
        raise InputError(
            f"{path}: image and label of a case have one spacing, found label {label.spacing} and "
            f"image {image.spacing} ({image_path}); export both on one grid"
        )
    if label.direction is None or image.direction is None:
        return
    if not np.allclose(label.direction, image.direction, atol=_DIRECTION_TOLERANCE):
        raise InputError(
            f"{path}: image and label of a case have one orientation, found axes "
            f"{_rounded(label)} and {_rounded(image)} ({image_path}); export both on one grid"
        )


def _rounded(volume: Volume) -> list[float]:
    return [round(part, 3) for part in volume.direction or ()]
