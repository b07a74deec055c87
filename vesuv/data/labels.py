"""Conversion between label values of the files and class indices 0..C-1 with one ignore value."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError
from vesuv.types import Array, ClassArray

IGNORE = 255
"""Class index of every voxel that is not valid: ignored, unlabelled or padding."""

ValueCounts = dict[int, int]

_TABLE_SPAN = 1 << 16
"""Largest range of label values that is converted with a lookup table."""
_FILE_TYPES = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
"""Number types of written labels, smallest first."""
_NAMED_VALUES = 5
"""Number of undeclared values in a message."""


class UndeclaredValueError(InputError):
    """A label holds a value that no class and no mark of unlabelled voxels has."""


def encode(label: Array, config: LabelsConfig) -> ClassArray:
    """Convert label values of a file into class indices, with `IGNORE` where not valid.

    Raises:
        InputError: A value is not declared, not a whole number, or not finite.
    """
    return encode_and_count(label, config)[0]


def encode_and_count(label: Array, config: LabelsConfig) -> tuple[ClassArray, ValueCounts]:
    """Encode a label, and count the voxels of each file value.

    Raises:
        InputError: A value is not declared, not a whole number, or not finite.
    """
    integers = whole_numbers(label)
    counts = count_values(integers)
    _refuse_undeclared(counts, config)
    values = sorted(counts)
    index = _index_of_value(config)
    if not values:
        return np.zeros(label.shape, np.uint8), counts
    lowest = values[0]
    if values[-1] - lowest < _TABLE_SPAN:
        table = np.full(values[-1] - lowest + 1, IGNORE, np.uint8)
        for value in values:
            table[value - lowest] = index[value]
        encoded = np.empty(label.shape, np.uint8)
        for plane, out in zip(integers, encoded, strict=True):
            np.take(table, _offsets(plane, lowest), out=out)
        return encoded, counts
    encoded = np.full(label.shape, IGNORE, np.uint8)
    for value in values:
        encoded[integers == value] = index[value]
    return encoded, counts


def decode(classes: ClassArray, config: LabelsConfig) -> Array:
    """Convert class indices into file values; of several values of a class, the first is used.

    Returns:
        Array of the smallest integer type that holds every declared value.
    """
    table = [values[0] for _, values in config.values()]
    file_values = [*table, *([] if config.ignore is None else [config.ignore])]
    low, high = min(file_values), max(file_values)
    dtype = next(
        kind for kind in _FILE_TYPES if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max
    )
    lookup = np.zeros(IGNORE + 1, dtype)
    lookup[: len(table)] = table
    if config.ignore is not None:
        lookup[IGNORE] = config.ignore
    return np.take(lookup, classes)


def count_values(label: Array) -> ValueCounts:
    """Return label value -> number of voxels, for an integer array."""
    if label.dtype.kind == "b":
        label = label.view(np.uint8)
    if label.size == 0:
        return {}
    low, high = int(label.min()), int(label.max())
    if high - low >= _TABLE_SPAN:
        unique_values, unique_counts = np.unique(label, return_counts=True)
        return dict(zip(unique_values.tolist(), unique_counts.tolist(), strict=True))
    total = np.zeros(high - low + 1, np.int64)
    for plane in label.reshape(label.shape[0], -1):
        shifted = plane if low == 0 else _offsets(plane, low)
        total += np.bincount(shifted, minlength=len(total))
    return {low + int(offset): int(total[offset]) for offset in np.flatnonzero(total)}


def _offsets(plane: Array, lowest: int) -> Array:
    """The differences to the lowest value as int64, which cannot hold all values of uint64."""
    if plane.dtype.kind == "u":
        plane, lowest = plane - plane.dtype.type(lowest), 0
    offsets: Array = plane.astype(np.int64) - lowest
    return offsets


def whole_numbers(label: Array) -> Array:
    """Convert a label to an integer type; NIfTI labels are often stored as floats.

    Raises:
        InputError: A value is not a whole number, or not finite.
    """
    if label.dtype.kind == "b":
        return label.view(np.uint8)
    if label.dtype.kind in "iu":
        return label
    if label.dtype.kind != "f":
        raise InputError(f"a label holds whole numbers, found type {label.dtype}")
    if not np.isfinite(label).all():
        num_invalid = label.size - int(np.isfinite(label).sum())
        raise InputError(
            f"a label holds whole numbers, found NaN or infinite in {num_invalid} of {label.size} "
            "voxels; write a class or the ignore value there"
        )
    with np.errstate(invalid="ignore"):  # beyond int64 they are not equal, and refused
        integers = np.rint(label).astype(np.int64)
    if not np.array_equal(integers, label):
        example = label[integers != label].flat[0]
        raise InputError(
            f"a label holds whole numbers, found {example}; was it resampled with interpolation? "
            "export it again with nearest neighbours"
        )
    return integers


def _refuse_undeclared(counts: ValueCounts, config: LabelsConfig) -> None:
    declared = set(_index_of_value(config))
    unknown = {value: count for value, count in counts.items() if value not in declared}
    if not unknown:
        return
    total = sum(counts.values())
    ranked = sorted(unknown, key=lambda value: -unknown[value])
    value_text = ", ".join(
        f"{value} ({_percent(unknown[value] / total)} of the voxels)"
        for value in ranked[:_NAMED_VALUES]
    )
    more = f" and {len(ranked) - _NAMED_VALUES} more" if len(ranked) > _NAMED_VALUES else ""
    values = f"values {value_text}{more} are" if len(ranked) > 1 else f"value {value_text} is"
    raise UndeclaredValueError(
        f"label {values} not declared; labels.classes declares {_classes(config)}: add it there as "
        "a class, or as labels.ignore if it means unlabelled"
    )


def _percent(share: float) -> str:
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
