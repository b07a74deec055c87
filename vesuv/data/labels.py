"""Label values of the files <-> class indices 0..C-1 with one ignore value."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vesuv.config.data import LabelsConfig
from vesuv.errors import InputError
from vesuv.types import Array, ClassArray

IGNORE = 255
"""Class index of every voxel that is not judged: ignored, unlabelled or padding."""

Counts = dict[int, int]

_TABLE_SPAN = 1 << 16
"""Largest range of label values that is translated through a lookup table."""
_FILE_TYPES = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)
"""Types of labels that are written, smallest first."""
_NAMED_VALUES = 5
"""Undeclared values that a message names."""


def encode(label: Array, config: LabelsConfig) -> ClassArray:
    """Turn a label as it came from its file into class indices, `IGNORE` where not judged.

    Raises:
        InputError: A value is not declared, not a whole number, or not finite.
    """
    return encode_counted(label, config)[0]


def encode_counted(label: Array, config: LabelsConfig) -> tuple[ClassArray, Counts]:
    """As `encode`, and how many voxels hold each file value.

    Raises:
        InputError: A value is not declared, not a whole number, or not finite.
    """
    whole = _whole_numbers(label)
    counts = count_values(whole)
    _refuse_undeclared(counts, config)
    values = sorted(counts)
    index = _index_of_value(config)
    if not values:
        return np.zeros(label.shape, np.uint8), counts
    low = values[0]
    if values[-1] - low < _TABLE_SPAN:
        table = np.full(values[-1] - low + 1, IGNORE, np.uint8)
        for value in values:
            table[value - low] = index[value]
        encoded = np.empty(label.shape, np.uint8)
        for plane, out in zip(whole, encoded, strict=True):
            np.take(table, plane.astype(np.intp) - low, out=out)
        return encoded, counts
    encoded = np.full(label.shape, IGNORE, np.uint8)
    for value in values:
        encoded[whole == value] = index[value]
    return encoded, counts


def decode(classes: ClassArray, config: LabelsConfig) -> Array:
    """Turn class indices into file values: a class declared by several gets the first.

    Returns:
        The smallest integer type that holds every declared value; uint8 where it does.
    """
    table = [values[0] for _, values in config.values()]
    declared = [*table, *([] if config.ignore is None else [config.ignore])]
    low, high = min(declared), max(declared)
    kind = next(k for k in _FILE_TYPES if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    lookup = np.zeros(IGNORE + 1, kind)
    lookup[: len(table)] = table
    if config.ignore is not None:
        lookup[IGNORE] = config.ignore
    return np.take(lookup, classes)


def count_values(label: Array) -> Counts:
    """Return label value -> number of voxels, for an integer array."""
    if label.dtype.kind == "b":
        label = label.view(np.uint8)
    if label.size == 0:
        return {}
    low, high = int(label.min()), int(label.max())
    if high - low >= _TABLE_SPAN:
        values, numbers = np.unique(label, return_counts=True)
        return dict(zip(values.tolist(), numbers.tolist(), strict=True))
    total = np.zeros(high - low + 1, np.int64)
    for plane in label.reshape(label.shape[0], -1):
        shifted = plane if low == 0 else plane.astype(np.int64) - low
        total += np.bincount(shifted, minlength=len(total))
    return {low + int(place): int(total[place]) for place in np.flatnonzero(total)}


def _whole_numbers(label: Array) -> Array:
    """The label with an integer type: NIfTI labels are often stored as floats."""
    if label.dtype.kind == "b":
        return label.view(np.uint8)
    if label.dtype.kind in "iu":
        return label
    if label.dtype.kind != "f":
        raise InputError(f"a label holds whole numbers, found type {label.dtype}")
    if not np.isfinite(label).all():
        number = label.size - int(np.isfinite(label).sum())
        raise InputError(
            f"a label holds whole numbers, found NaN or infinite in {number} of {label.size} "
            "voxels; write a class or the ignore value there"
        )
    whole = np.rint(label).astype(np.int64)
    if not np.array_equal(whole, label):
        example = label[whole != label].flat[0]
        raise InputError(
            f"a label holds whole numbers, found {example}; was it resampled with interpolation? "
            "export it again with nearest neighbours"
        )
    return whole


def _refuse_undeclared(counts: Counts, config: LabelsConfig) -> None:
    declared = set(_index_of_value(config))
    unknown = {value: number for value, number in counts.items() if value not in declared}
    if not unknown:
        return
    total = sum(counts.values())
    largest = sorted(unknown, key=lambda value: -unknown[value])
    named = ", ".join(
        f"{value} ({_share(unknown[value] / total)} of the voxels)"
        for value in largest[:_NAMED_VALUES]
    )
    more = f" and {len(largest) - _NAMED_VALUES} more" if len(largest) > _NAMED_VALUES else ""
    values = f"values {named}{more} are" if len(largest) > 1 else f"value {named} is"
    raise InputError(
        f"label {values} not declared; labels.classes declares {_classes(config)}: add it there as "
        "a class, or as labels.ignore if it means unlabelled"
    )


def _share(share: float) -> str:
    return f"{share:.2%}" if share >= 5e-5 else f"{share:.1e}"


def _classes(config: LabelsConfig) -> str:
    pairs: Iterable[str] = (f"{name} {'/'.join(map(str, vs))}" for name, vs in config.values())
    ignore = "" if config.ignore is None else f", ignore {config.ignore}"
    return ", ".join(pairs) + ignore


def _index_of_value(config: LabelsConfig) -> dict[int, int]:
    index = {value: i for i, (_, values) in enumerate(config.values()) for value in values}
    if config.ignore is not None:
        index[config.ignore] = IGNORE
    return index
