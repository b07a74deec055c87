"""Class indices of a prediction and its label, from two files or from two arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vesuv.config.labels import LabelsConfig, Targets
from vesuv.data.labels import IGNORE, count_values, encode
from vesuv.errors import InputError
from vesuv.evaluation.measure import IgnoredVoxels, Pair
from vesuv.evaluation.overlap import confusion, one_against_rest, scores
from vesuv.evaluation.units import VOXEL, convert_spacing, length_unit
from vesuv.io.formats import Volume, check_lossless, read
from vesuv.io.grid import check_same_grid
from vesuv.types import Array, ClassArray, Mask, Spacing


@dataclass(frozen=True)
class Classes:
    """Class indices of one case, on one grid."""

    prediction: ClassArray
    """(z, y, x); any value where the label is not judged."""
    label: ClassArray
    """(z, y, x); `IGNORE` where not judged."""
    spacing: Spacing
    unit: str
    """Unit of the spacing, as `length_unit` names it."""
    targets: Targets
    """What is judged: the foreground classes, or the regions."""

    def confusion(self) -> Tensor:
        """Count the judged voxels by class of label and prediction, (C, C)."""
        prediction, label = torch.from_numpy(self.prediction), torch.from_numpy(self.label)
        return confusion(prediction, label, label != IGNORE, self.targets.num_classes)

    def pair(
        self,
        indices: Sequence[int],
        confusion: Tensor,
        ignored_voxels: IgnoredVoxels,
        unit: str | None = None,
    ) -> Pair:
        """Return what measures compare of one target, with lengths in a unit.

        Args:
            indices: Class indices of the target.
            confusion: Result of `confusion`.
            ignored_voxels: What ignored voxels are.
            unit: Unit of lengths; None: that of the spacing.

        Raises:
            InputError: The spacing cannot be given in that unit.
        """
        return Pair(
            _mask_of(self.prediction, indices),
            _mask_of(self.label, indices),
            self.label != IGNORE,
            self.spacing if unit is None else convert_spacing(self.spacing, self.unit, unit),
            scores(one_against_rest(confusion, indices)),
            ignored_voxels,
        )


def read_classes(prediction: Path, label: Path, schema: LabelsConfig) -> Classes:
    """Read a case from its two files.

    Raises:
        InputError: They cannot be read, are no masks, or cannot be compared.
    """
    check_lossless(label, "label")
    check_lossless(prediction, "mask")
    label_volume, volume = read(label), read(prediction)
    labelled = _encode(label_volume, schema, str(label))
    predicted = _encode(volume, schema, str(prediction))
    _check_comparable(predicted, labelled, schema, str(prediction))
    check_same_grid((prediction, volume), (label, label_volume), ("prediction", "label"))
    spaced = label_volume if label_volume.has_header else volume
    unit = length_unit(spaced)
    return Classes(predicted, labelled, spaced.spacing, unit, schema.targets)


def read_unit(prediction: Path, label: Path) -> str:
    """Return the unit of a case's lengths: the label's, or the prediction's where it has none.

    Raises:
        InputError: A file cannot be read.
    """
    volume = read(label)
    return length_unit(volume if volume.has_header else read(prediction))


def encode_classes(
    prediction: Array, label: Array, ignore: int | None, spacing: Spacing
) -> Classes:
    """Take each label value but 0 and `ignore` that either array holds for a class.

    Args:
        prediction: Label values (z, y, x).
        label: Label values, same shape.
        ignore: Value of voxels that are not judged; None: there is none.
        spacing: Voxel edges along z, y, x.

    Raises:
        InputError: They are no label values, or cannot be compared.
    """
    if ignore == 0:
        raise InputError("ignore: 0 is the background; give another value, or None for no value")
    if label.ndim != 3 or label.size == 0:
        raise InputError(
            f"label: must be a volume (z, y, x) with voxels, found {label.shape}; give a single "
            "slice as (1, y, x)"
        )
    if prediction.dtype.kind == "f" and not np.array_equal(prediction, np.rint(prediction)):
        example = prediction[prediction != np.rint(prediction)].flat[0]
        raise InputError(
            f"prediction: must hold label values, found {example}; binarize probabilities at a "
            "threshold"
        )
    prediction, predicted_values = _without_unjudged(prediction, label, ignore)
    values = sorted((predicted_values | _values(label)) - {0, ignore})
    if len(values) >= IGNORE:
        raise InputError(
            f"label: {IGNORE - 1} classes can be told apart, found {len(values)} values; give "
            "classes, not instances"
        )
    values = values or [value for value in (1, 2) if value != ignore][:1]
    schema = LabelsConfig(classes={str(value): value for value in (0, *values)}, ignore=ignore)
    labelled = _encode(Volume(label, spacing, None), schema, "label")
    predicted = _encode(Volume(prediction, spacing, None), schema, "prediction")
    _check_comparable(predicted, labelled, schema, "prediction")
    return Classes(predicted, labelled, spacing, VOXEL, schema.targets)


def _mask_of(classes: ClassArray, indices: Sequence[int]) -> Mask:
    """Return where an array holds one of some class indices."""
    mask: Mask = classes == indices[0] if len(indices) == 1 else np.isin(classes, list(indices))
    return mask


def _without_unjudged(
    prediction: Array, label: Array, ignore: int | None
) -> tuple[Array, set[int]]:
    """Make background of values that only ignored voxels hold; also return the other values."""
    values = _values(prediction)
    if ignore is None or prediction.shape != label.shape:
        return prediction, values
    for value in values - _values(label) - {0, ignore}:
        voxels = prediction == value
        if not (voxels & (label != ignore)).any():
            prediction = np.where(voxels, prediction.dtype.type(0), prediction)
            values.remove(value)
    return prediction, values


def _values(array: Array) -> set[int]:
    """Return the whole numbers in an array; `encode` refuses the others."""
    if array.dtype.kind in "biu":
        return set(count_values(array))
    if array.dtype.kind != "f":
        return set()
    return {int(value) for value in np.unique(array).tolist() if float(value).is_integer()}


def _encode(volume: Volume, schema: LabelsConfig, name: str) -> ClassArray:
    if len(volume.channels) != 1:
        raise InputError(
            f"{name}: classes are one channel, found {len(volume.channels)}; give masks, not "
            "probabilities"
        )
    try:
        return encode(volume.channels[0], schema)
    except InputError as fault:
        raise InputError(f"{name}: {fault}") from None


def _check_comparable(
    prediction: ClassArray, label: ClassArray, schema: LabelsConfig, name: str
) -> None:
    """Refuse a prediction of another shape, or one that holds `ignore` where the label judges."""
    if label.shape != prediction.shape:
        raise InputError(
            f"{name}: a prediction has its label's shape {label.shape}, found {prediction.shape}; "
            "predict on the image that was labelled"
        )
    undecided = int(np.count_nonzero((label != IGNORE) & (prediction == IGNORE)))
    if undecided:
        raise InputError(
            f"{name}: a prediction names a class wherever the label does, found the ignore value "
            f"{schema.ignore} in {undecided} of those voxels; is it a label?"
        )
