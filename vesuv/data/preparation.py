"""Preparation of raw cases, the same for a store on disk and for cases in memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from pydantic import ValidationError

from vesuv.config import Config
from vesuv.config.labels import LabelsConfig
from vesuv.data.blocks import count_blocks
from vesuv.data.case import Case, MemoryCase
from vesuv.data.labels import encode_and_count
from vesuv.data.records import VERSION, CaseAttributes, first_fault
from vesuv.data.resample import resample_image, resample_label
from vesuv.data.statistics import case_statistics
from vesuv.errors import InputError, InputErrors
from vesuv.types import Array, ClassArray, Spacing


class CaseOutline(Protocol):
    """What is compared between the cases of a data set."""

    @property
    def id(self) -> str: ...

    @property
    def num_channels(self) -> int: ...

    @property
    def unit(self) -> str | None: ...

    @property
    def states_grid(self) -> bool: ...


def prepare_arrays(
    case: Case, labels: LabelsConfig, spacing: Spacing | None, names: tuple[str, str] | None = None
) -> tuple[CaseAttributes, dict[str, Array]]:
    """Encode, resample, measure and count one case.

    Args:
        case: Raw arrays.
        labels: The label schema.
        spacing: Spacing to resample to; None keeps the case's own.
        names: Names of image and label in messages; "case <id>" when left out.

    Returns:
        Attributes, and the arrays image (c, z, y, x), label (z, y, x) and blocks; also
        native_label, the label before resampling, where that has another shape.

    Raises:
        InputError: The arrays cannot be used.
    """
    names = names or (f"case {case.id}", f"case {case.id}")
    image, native_label, values = _encode(case, labels, names)
    with prefix_message(names[0]):
        statistics = case_statistics(image, native_label)
    native_spacing = checked_spacing(case)
    target = native_spacing if spacing is None else spacing
    image = resample_image(image, native_spacing, target)
    label = resample_label(native_label, native_spacing, target, labels.num_classes)
    arrays = {"image": image, "label": label, "blocks": count_blocks(label, labels.num_classes)}
    grid: dict[str, object] = {"shape": label.shape, "spacing": target}
    if (label.shape, target) != (native_label.shape, native_spacing):
        grid |= {"native_shape": native_label.shape, "native_spacing": native_spacing}
    if label.shape != native_label.shape:
        arrays["native_label"] = native_label
        statistics = case_statistics(image, label)
    attributes = case_attributes(
        case,
        **grid,
        num_channels=len(image),
        num_classes=labels.num_classes,
        dtype=image.dtype.name,
        values=values,
        statistics=statistics,
    )
    return attributes, arrays


def prepare_in_memory(cases: Sequence[Case], config: Config) -> list[MemoryCase]:
    """Prepare raw cases with the same steps as a store.

    Args:
        cases: Raw arrays with unique ids.
        config: Sections data (spacing), labels and model (channels) are used.

    Returns:
        Prepared cases, sorted by id.

    Raises:
        InputErrors: Every case that cannot be used, one sentence each.
    """
    faults = [
        f"case {name}: ids are unique, found {num_cases} cases of this one; rename them"
        for name, num_cases in Counter(case.id for case in cases).items()
        if num_cases > 1
    ]
    prepared = []
    for case in sorted(cases, key=lambda case: case.id):
        try:
            attributes, arrays = prepare_arrays(case, config.labels, config.data.spacing)
        except InputError as fault:
            faults.append(str(fault))
        else:
            read_only_arrays = {name: _read_only(array) for name, array in arrays.items()}
            prepared.append(MemoryCase(attributes, read_only_arrays))
    made = [case.attributes for case in prepared]
    faults += channel_faults(made, config.model.written_channels)
    faults += dataset_faults(made, config.data.spacing)
    if faults:
        raise InputErrors(faults)
    return prepared


def channel_faults(cases: Iterable[CaseOutline], in_channels: int | None) -> list[str]:
    """Return a sentence where cases have other channels than the network.

    Args:
        cases: All cases.
        in_channels: `model.in_channels` as it was written; None: it follows from the cases.
    """
    others = sorted(
        (case for case in cases if in_channels not in (None, case.num_channels)),
        key=lambda case: case.id,
    )
    if not others:
        return []
    more = f", {len(others) - 1} more cases differ too" if len(others) > 1 else ""
    return [
        f"model.in_channels: must equal the images' channels ({others[0].num_channels} in case "
        f"{others[0].id}{more}), found {in_channels}; correct it, or leave it out"
    ]


def dataset_faults(cases: Iterable[CaseOutline], spacing: Spacing | None) -> list[str]:
    """Return a sentence for each case whose channels or unit differ from those of most cases.

    Args:
        cases: All cases.
        spacing: Spacing to resample to; then no case lacks a spacing that others state.
    """
    cases = sorted(cases, key=lambda case: case.id)
    channels = Counter(case.num_channels for case in cases).most_common(1)
    units = Counter(case.unit for case in cases if case.unit is not None).most_common(1)
    faults = [
        f"case {case.id}: cases have one number of channels, found {case.num_channels} against "
        f"{channels[0][0]} in most; add or remove channels"
        for case in cases
        if case.num_channels != channels[0][0]
    ]
    faults += [
        f"case {case.id}: the spacings of a data set have one unit, found {case.unit} against "
        f"{units[0][0]} in most; write the file's header in {units[0][0]}"
        for case in cases
        if case.unit not in (None, units[0][0] if units else None)
    ]
    faults += [
        f"case {case.id}: data.spacing resamples cases of a known spacing, found none in its file "
        f"and {units[0][0]} in others; write the spacing into its header, or leave data.spacing out"
        for case in cases
        if spacing is not None and units and not case.states_grid
    ]
    return faults


def to_storable_type(image: Array) -> Array:
    """Return the image in a number type of at most 32 bits, which store and torch support."""
    if image.dtype.kind == "b":
        return image.view(np.uint8)
    image = image.astype(image.dtype.newbyteorder("="), copy=False)
    if image.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return image.astype(np.float32) if image.dtype.itemsize > 4 else image
    if image.dtype.itemsize < 8:
        return image
    limits = np.iinfo(np.int32)
    fits_int32 = limits.min <= image.min() and image.max() <= limits.max
    return image.astype(np.int32 if fits_int32 else np.float32)


def storable_part_type(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """Return the number type of the parts that `to_storable_part` returns."""
    return to_storable_part(np.zeros(1, dtype)).dtype


def to_storable_part(image: Array) -> Array:
    """Return a part of an image in a storable type that does not depend on its values.

    Raises:
        InputError: It holds 8-byte integers beyond the range of 4 bytes.
    """
    if image.dtype.kind not in "iu" or image.dtype.itemsize < 8:
        return to_storable_type(image)
    limits = np.iinfo(np.int32)
    low, high = int(image.min()), int(image.max())
    if low < limits.min or high > limits.max:
        raise InputError(
            f"8-byte integers are read in parts where they fit into int32, found {low} to {high}; "
            "convert the file to float32, or to smaller integers"
        )
    return image.astype(np.int32)


def _encode(
    case: Case, labels: LabelsConfig, names: tuple[str, str]
) -> tuple[Array, ClassArray, dict[int, int]]:
    """Storable image (c, z, y, x), class indices (z, y, x), and voxels of each label value."""
    image, label = np.asarray(case.image), np.asarray(case.label)
    with prefix_message(names[0]):
        image = storable_channels(image)
    with prefix_message(names[1]):
        if label.shape != image.shape[1:]:
            raise InputError(
                f"image and label of a case have one shape, found label {label.shape} and image "
                f"{image.shape[1:]}; give both on one grid"
            )
        return image, *encode_and_count(label, labels)


def checked_spacing(case: Case) -> Spacing:
    """Return the spacing of a case.

    Raises:
        InputError: It is no spacing.
    """
    edges = tuple(map(float, case.spacing))
    if len(edges) != 3 or not all(0.0 < edge < math.inf for edge in edges):
        raise InputError(
            f"case {case.id}: a spacing is 3 finite voxel edges above 0, found {case.spacing}; "
            "correct it"
        )
    return edges


def case_attributes(case: Case, **measurements: object) -> CaseAttributes:
    """Return the attributes of a case and of what was measured of it.

    Raises:
        InputError: The user's id, group, unit or direction is invalid.
    """
    identity = {
        "version": VERSION,
        "id": case.id,
        "group": case.group,
        "unit": case.unit,
        "direction": case.direction,
    }
    try:
        return CaseAttributes.model_validate(identity | measurements)
    except ValidationError as fault:
        raise InputError(f"case {case.id}: {first_fault(fault)}") from None


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def storable_channels(image: Array) -> Array:
    """Return the channels (c, z, y, x) of an image in a storable number type.

    Args:
        image: (z, y, x) or (c, z, y, x).

    Raises:
        InputError: It is no image of real numbers.
    """
    if image.ndim not in (3, 4) or image.size == 0 or image.dtype.kind not in "biuf":
        raise InputError(
            "an image holds real numbers, (z, y, x) or (c, z, y, x), found "
            f"{image.dtype} {image.shape}; give one volume, a single slice as (1, y, x)"
        )
    return to_storable_type(image if image.ndim == 4 else image[np.newaxis])


@contextmanager
def prefix_message(name: str) -> Iterator[None]:
    """Put a name before the message of an InputError."""
    try:
        yield
    except InputError as fault:
        raise InputError(f"{name}: {fault}") from None
