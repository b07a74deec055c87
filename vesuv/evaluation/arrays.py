"""Score one prediction that is at hand as an array."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from vesuv.errors import InputError
from vesuv.evaluation.class_scores import score_row
from vesuv.evaluation.classes import encode_classes
from vesuv.evaluation.measure import IgnoredVoxels
from vesuv.evaluation.measures import parse_measures
from vesuv.types import Spacing


def evaluate(
    prediction: ArrayLike,
    label: ArrayLike,
    measures: Sequence[str] = ("dice",),
    *,
    ignore: int | None = None,
    spacing: Spacing = (1.0, 1.0, 1.0),
    ignored_voxels: IgnoredVoxels = "background",
) -> dict[str, float]:
    """Score a predicted mask against its label.

    Label values are those of the files: 0 is background, `ignore` is not judged, any other value is
    a class. With several classes a score is the mean over the classes that either array holds, and
    each class has a column of its own beside it, named as in dice[7].

    Args:
        prediction: Label values (z, y, x); not `ignore` where the label is judged.
        label: Label values, same shape.
        measures: Overlap scores (dice, iou, precision, recall, f1, accuracy, predicted_fraction,
            labelled_fraction), surface_dice@1 with the tolerance in the unit of the spacing,
            surface_dice@1vox in voxels, hd95, assd, cldice, surface_cldice, betti, voi, fraction,
            cells (of a boundary's mask), leaderboard, leaderboard:bounds; all stands for surface
            Dice to fraction.
        ignore: Label value of voxels that are not judged; None: there is none.
        spacing: Voxel edges along z, y, x; hd95, assd and the tolerances of surface Dice are in
            their unit, by default in voxels.
        ignored_voxels: "background", or "excluded", which leaves them out of leaderboard score,
            surface Dice and VOI.

    Returns:
        Column -> value; NaN for one that is not defined. Most measures have one column of their own
        name, betti, voi, fraction, cells and leaderboard have several.

    Raises:
        InputError: An unknown name, arrays that cannot be compared, or a measure that needs an
            extra which is not installed.
    """
    if isinstance(measures, str):
        raise InputError(f"measures: must be a list of names, found the text {measures!r}")
    names = parse_measures(measures, argument="measures")
    if ignored_voxels not in ("background", "excluded"):
        raise InputError(
            f"ignored_voxels: must be background or excluded; found {ignored_voxels!r}"
        )
    if len(spacing) != 3 or not all(math.isfinite(edge) and edge > 0 for edge in spacing):
        raise InputError(f"spacing: must be three lengths above 0 (z, y, x), found {spacing}")
    classes = encode_classes(np.asarray(prediction), np.asarray(label), ignore, spacing)
    return score_row(classes, names, ignored_voxels)
