"""Class indices of a prediction and its label, from two files or from two arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vesuv.config.data import LabelsConfig
from vesuv.data.labels import IGNORE, count_values, encode
from vesuv.errors import InputError
from vesuv.evaluation.measure import IgnoredVoxels, Pair
from vesuv.evaluation.overlap import confusion, scores
from vesuv.io.formats import Volume, read
from vesuv.io.grid import check_same_grid
from vesuv.types import Array, ClassArray, Spacing


@dataclass(frozen=True)
class Classes:
    """Class indices of one case, on one grid."""

    prediction: ClassArray
    """(z, y, x); any value where the label is not judged."""
    label: ClassArray
    """(z, y, x); `IGNORE` where not judged."""
    spacing: Spacing
    num_classes: int

    def confusion(self) -> Tensor:
        """Count the judged voxels by class of label and prediction, (C, C)."""
        prediction, label = torch.from_numpy(self.prediction), torch.from_numpy(self.label)
        return confusion(prediction, label, label != IGNORE, self.num_classes)

    def pair(self, confusion: Tensor, ignored_voxels: IgnoredVoxels) -> Pair:
        """Return what measures compare."""
        prediction, label = (
            (part != 0) & (part != IGNORE) for part in (self.prediction, self.label)
        )
        valid = self.label != IGNORE
        return Pair(prediction, label, valid, self.spacing, scores(confusion), ignored_voxels)


def read_classes(prediction: Path, label: Path, schema: LabelsConfig) -> Classes:
    """Read a case from its two files.

    Raises:
        InputError: They cannot be read, are no masks, or cannot be compared.
    """
    label_volume, volume = read(label), read(prediction)
    labelled = _encode(label_volume, schema, str(label))
    predicted = _encode(volume, schema, str(prediction))
    _check_comparable(predicted, labelled, schema, str(prediction))
    check_same_grid((prediction, volume), (label, label_volume), ("prediction", "label"))
    return Classes(predicted, labelled, label_volume.spacing, schema.num_classes)


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
        raise InputError(f"label: must be a volume (z, y, x) with voxels, found {label.shape}")
    if prediction.dtype.kind == "f" and not np.array_equal(prediction, np.rint(prediction)):
        example = prediction[prediction != np.rint(prediction)].flat[0]
        raise InputError(
            f"prediction: must hold label values, found {example}; binarize probabilities at a "
            "threshold"
        )
    values = sorted((_values(prediction) | _values(label)) - {0, ignore})
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
    return Classes(predicted, labelled, spacing, schema.num_classes)


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
