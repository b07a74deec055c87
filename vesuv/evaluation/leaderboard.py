"""The score of the Vesuvius Challenge's surface detection, number for number, in seconds.

score = 0.30 TopoScore + 0.35 surface Dice at 2 voxels + 0.35 / (1 + 0.3 VOI). Foreground is any
value but 0; ignored voxels become background on both sides. TopoScore is the weighted mean over
dimensions of F1 = 2 matched / (predicted + labelled), from Betti matching in each of the eight
octants; dimensions without features on either side are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vesuv.errors import InputError
from vesuv.evaluation.betti import Betti
from vesuv.evaluation.betti_matching import MatchCounts, match_octants
from vesuv.evaluation.betti_wheel import FeatureCounts
from vesuv.evaluation.measure import Column, IgnoredVoxels, Measure, Pair
from vesuv.evaluation.surface import surface_dice
from vesuv.evaluation.voi import Voi, component_voi
from vesuv.types import Array

Mode = Literal["exact", "bounds"]

TOPO_WEIGHT, SURFACE_WEIGHT, VOI_WEIGHT = 0.30, 0.35, 0.35
DIMENSION_WEIGHTS = (0.34, 0.33, 0.33)


@dataclass(frozen=True)
class LeaderboardScore:
    """The score and what it is made of; everything in [0, 1] but the counts and VOI (bits)."""

    score: float
    topo_score: float
    topo_f1: tuple[float | None, float | None, float | None]
    """By dimension (components, loops, cavities); None without features on either side."""
    topo_counts: tuple[FeatureCounts, FeatureCounts, FeatureCounts]
    """(matched, predicted, labelled) by dimension."""
    surface_dice: float
    voi_score: float
    voi_split: float
    voi_merge: float
    score_low: float
    """The score, and `score_high` too, unless some matched loops could not be counted."""
    score_high: float


def leaderboard_score(
    prediction: Array,
    label: Array,
    *,
    ignore: int | None = 2,
    mode: Mode = "exact",
    tolerance: float = 2.0,
    voi_alpha: float = 0.3,
    ignored_voxels: IgnoredVoxels = "background",
) -> LeaderboardScore:
    """Score a predicted mask as the competition does.

    Args:
        prediction: Any value but 0 is foreground, (z, y, x).
        label: The same, and `ignore`.
        ignore: Label value of voxels that are not judged; None: there is none.
        mode: What to do with an octant of so many loops (50,000 in the union: noise) that they are
            too many to count in closed form: "exact" runs the full matching of the extra
            `topology`; "bounds" takes none of them as matched, and all that can be in `score_high`.
        tolerance: Of the surface Dice, in voxels.
        voi_alpha: How fast the VOI score falls.
        ignored_voxels: "background" as in the competition, or "excluded"; for TopoScore they are
            background always. See `vesuv.evaluation.measure.IgnoredVoxels`.

    Returns:
        The scores. Empty on both sides, or all ignored: 1, as in the competition. Empty on one
        side: surface Dice and F1 are 0, but with an empty label F1 is 0.5 / (predicted + 0.5).

    Raises:
        InputError: The shapes differ or are not three axes; there is no such `mode` or
            `ignored_voxels`; or "exact" needs the extra `topology` and it is not installed.
    """
    _check(prediction, label, mode, ignored_voxels)
    valid = np.ones(label.shape, bool) if ignore is None else label != ignore
    labelled = (label != 0) & valid
    predicted = (prediction != 0) & valid
    counts = match_octants(predicted, labelled, exact=mode == "exact")
    if ignored_voxels == "excluded":
        whole = prediction != 0
        surface = surface_dice(whole, labelled, (tolerance,), valid)
        voi = component_voi(whole, labelled, valid)
    else:
        surface = surface_dice(predicted, labelled, (tolerance,))
        voi = component_voi(predicted, labelled)
    return _assemble(counts, surface[0], voi, voi_alpha)


def _check(prediction: Array, label: Array, mode: str, ignored_voxels: str) -> None:
    if prediction.shape != label.shape or prediction.ndim != 3:
        raise InputError(
            f"a prediction of shape {prediction.shape} and a label of shape {label.shape} cannot "
            "be scored; give two volumes (z, y, x) of one shape"
        )
    for name, value, choices in (
        ("mode", mode, ("exact", "bounds")),
        ("ignored_voxels", ignored_voxels, ("background", "excluded")),
    ):
        if value not in choices:
            raise InputError(f"{name} is {value!r}; choose {' or '.join(choices)}")


def _assemble(counts: MatchCounts, surface: float, voi: Voi, voi_alpha: float) -> LeaderboardScore:
    f1 = tuple(map(_f1, counts.matched, counts.predicted, counts.labelled))
    high = tuple(map(_f1, counts.matched_high, counts.predicted, counts.labelled))
    voi_score = 1.0 / (1.0 + voi_alpha * (voi.split + voi.merge))
    rest = SURFACE_WEIGHT * surface + VOI_WEIGHT * voi_score
    topo = _weighted(f1)
    score = TOPO_WEIGHT * topo + rest
    by_dimension = zip(counts.matched, counts.predicted, counts.labelled, strict=True)
    components, loops, cavities = by_dimension
    return LeaderboardScore(
        score=score,
        topo_score=topo,
        topo_f1=(f1[0], f1[1], f1[2]),
        topo_counts=(components, loops, cavities),
        surface_dice=surface,
        voi_score=voi_score,
        voi_split=voi.split,
        voi_merge=voi.merge,
        score_low=score,
        score_high=TOPO_WEIGHT * _weighted(high) + rest,
    )


def _f1(matched: int, predicted: int, labelled: int) -> float | None:
    if predicted + labelled == 0:
        return None
    if labelled == 0:
        return 0.5 / (predicted + 0.5)
    return 2 * matched / (predicted + labelled)


def _weighted(f1: Sequence[float | None]) -> float:
    """Return the weighted mean over the dimensions that have features; 1 when none has."""
    terms = [(w, f) for w, f in zip(DIMENSION_WEIGHTS, f1, strict=True) if f is not None]
    if not terms:
        return 1.0
    return math.fsum(w * f for w, f in terms) / math.fsum(w for w, _ in terms)


_IGNORE = 2
"""Label value of ignored voxels where a pair of masks is scored."""
_COLUMNS = (
    Column("leaderboard", "higher", headline=True, short_name="score"),
    Column("leaderboard_low"),
    Column("leaderboard_high"),
    Column("leaderboard_topo", "higher"),
    Column("leaderboard_surface_dice", "higher"),
    Column("leaderboard_voi", "higher"),
    Column("leaderboard_voi_split"),
    Column("leaderboard_voi_merge"),
    *(
        column
        for dimension in Betti._fields
        for column in (
            Column(f"leaderboard_f1_{dimension}", "higher"),
            Column(f"leaderboard_{dimension}_matched", style="count"),
            Column(f"leaderboard_{dimension}_predicted", style="count"),
            Column(f"leaderboard_{dimension}_labelled", style="count"),
        )
    ),
)


def leaderboard_measure(mode: Mode) -> Measure:
    """Return the measure leaderboard:<mode>; all ignored scores 1, as in the competition."""

    def values(pair: Pair) -> list[float]:
        label = np.where(pair.valid, pair.label, _IGNORE).astype(np.uint8)
        score = leaderboard_score(
            pair.prediction, label, ignore=_IGNORE, mode=mode, ignored_voxels=pair.ignored_voxels
        )
        numbers = [score.score, score.score_low, score.score_high, score.topo_score]
        numbers += [score.surface_dice, score.voi_score, score.voi_split, score.voi_merge]
        for f1, counts in zip(score.topo_f1, score.topo_counts, strict=True):
            numbers += [math.nan if f1 is None else f1, *counts]
        return numbers

    return Measure(f"leaderboard:{mode}", _COLUMNS, values, scores_unjudged=True)
