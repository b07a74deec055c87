"""Scores of picks against an interpreter's: one-to-one matches of one kind within some rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from vesuv.curves.geometry import angle_difference
from vesuv.curves.picks import KINDS, Pick

TOLERANCES = (1.0, 2.0)
"""Largest differences of depth in rows."""
MAX_DIP, MAX_AZIMUTH = 3.0, 15.0
"""Degrees within which dip and azimuth are right."""
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))

PickPairs = list[tuple[Pick, Pick]]
"""Pairs of a prediction and the reference that it is matched to."""


@dataclass(frozen=True)
class LogPicks:
    """Predictions and references of one log."""

    id: str
    num_rows: int
    predictions: tuple[Pick, ...]
    references: tuple[Pick, ...]

    def above(self, threshold: float) -> LogPicks:
        """Return these with the predictions from a score up."""
        kept = tuple(pick for pick in self.predictions if pick.score >= threshold)
        return LogPicks(self.id, self.num_rows, kept, self.references)


def matches(predictions: Sequence[Pick], references: Sequence[Pick], tolerance: float) -> PickPairs:
    """Match as many predictions as possible, each to one reference of its kind.

    Args:
        predictions: The picks to judge.
        references: The interpreter's picks.
        tolerance: Largest difference of depth in rows; among the largest sets of pairs, the one
            with the least sum of differences is taken.
    """
    if not predictions or not references:
        return []
    rows = np.array([pick.row for pick in predictions])
    distance = np.abs(rows[:, None] - np.array([pick.row for pick in references]))
    kinds = np.array([pick.kind for pick in predictions])
    is_allowed = kinds[:, None] == np.array([pick.kind for pick in references])
    is_allowed &= distance <= tolerance + 1e-9
    forbidden = 1.0 + 2 * tolerance * (1 + min(distance.shape))
    pairs = linear_sum_assignment(np.where(is_allowed, distance, forbidden))
    return [
        (predictions[int(i)], references[int(j)])
        for i, j in zip(*pairs, strict=True)
        if is_allowed[i, j]
    ]


def score(logs: Sequence[LogPicks], strip_rows: int) -> dict[str, float]:
    """Return the scores of picks, pooled over logs.

    Args:
        logs: Predictions and references of each log.
        strip_rows: Rows that false picks are counted for.

    Returns:
        precision@t, recall@t, f1@t for each tolerance of `TOLERANCES` with the kind right;
        dip_within_3 and azimuth_within_15, shares of the pairs of the largest tolerance; f1_all@t
        of pairs with dip and azimuth right too; f1@t[kind]; false_per_strip. NaN where there is
        nothing to count.
    """
    scores: dict[str, float] = {}
    for tolerance in TOLERANCES:
        pairs = _pairs(logs, tolerance)
        name = f"{tolerance:g}"
        counts = _counts(logs, len(pairs))
        scores |= {f"{key}@{name}": value for key, value in counts.items()}
        right = sum(_dip_is_right(*pair) and _azimuth_is_right(*pair) for pair in pairs)
        scores[f"f1_all@{name}"] = _counts(logs, right)["f1"]
    num_dips = sum(_dip_is_right(*pair) for pair in pairs)
    num_azimuths = sum(_azimuth_is_right(*pair) for pair in pairs)
    scores["dip_within_3"] = _share(num_dips, len(pairs))
    scores["azimuth_within_15"] = _share(num_azimuths, len(pairs))
    for kind, name in enumerate(KINDS):
        of_kind = [_of_kind(log, kind) for log in logs]
        num = sum(predicted.kind == kind for predicted, _ in pairs)
        scores[f"f1@{TOLERANCES[-1]:g}[{name}]"] = _counts(of_kind, num)["f1"]
    num_false = sum(len(log.predictions) for log in logs) - len(pairs)
    scores["false_per_strip"] = _share(num_false, sum(log.num_rows for log in logs) / strip_rows)
    return scores


def best_threshold(logs: Sequence[LogPicks], tolerance: float) -> tuple[float, float]:
    """Return the threshold of `THRESHOLDS` with the best F1, the lowest of equal ones, and F1."""
    best = (math.nan, -1.0)
    for threshold in THRESHOLDS:
        above = [log.above(threshold) for log in logs]
        value = _counts(above, len(_pairs(above, tolerance)))["f1"]
        if value > best[1]:
            best = (threshold, value)
    return best if best[1] >= 0 else (math.nan, math.nan)


def _pairs(logs: Sequence[LogPicks], tolerance: float) -> PickPairs:
    return [pair for log in logs for pair in matches(log.predictions, log.references, tolerance)]


def _of_kind(log: LogPicks, kind: int) -> LogPicks:
    predictions = tuple(pick for pick in log.predictions if pick.kind == kind)
    references = tuple(pick for pick in log.references if pick.kind == kind)
    return LogPicks(log.id, log.num_rows, predictions, references)


def _counts(logs: Sequence[LogPicks], num_right: int) -> dict[str, float]:
    num_predicted = sum(len(log.predictions) for log in logs)
    num_references = sum(len(log.references) for log in logs)
    return {
        "precision": _share(num_right, num_predicted),
        "recall": _share(num_right, num_references),
        "f1": _share(2 * num_right, num_predicted + num_references),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _dip_is_right(predicted: Pick, reference: Pick) -> bool:
    return abs(predicted.dip - reference.dip) <= MAX_DIP


def _azimuth_is_right(predicted: Pick, reference: Pick) -> bool:
    return bool(angle_difference(predicted.azimuth, reference.azimuth) <= MAX_AZIMUTH)
