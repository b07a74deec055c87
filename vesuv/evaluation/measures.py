"""The measures that can be asked for by name, beside the overlap; each fills some columns.

All compare foreground, which is any class but the first. Ignored voxels are background on both
sides; with `excluded`, surface Dice and VOI leave them out instead. A case without a judged voxel
has no value (NaN), but for the leaderboard score, which is 1 as in the competition.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vesuv.errors import InputError
from vesuv.evaluation.betti import betti_numbers
from vesuv.evaluation.centerline import cldice, surface_cldice
from vesuv.evaluation.distances import SurfaceDistances, surface_distances
from vesuv.evaluation.fraction import fraction_error
from vesuv.evaluation.leaderboard import leaderboard_score
from vesuv.evaluation.overlap import Overlap
from vesuv.evaluation.run_graph import Mask
from vesuv.evaluation.surface import surface_dice
from vesuv.evaluation.voi import component_voi

Ignored = Literal["background", "excluded"]
Row = dict[str, float]

_TOLERANCE = 2.0
"""Of a surface Dice without one, in voxels: the competition's."""
_DIMENSIONS = ("components", "loops", "cavities")
_LEADERBOARD = "leaderboard:"
_IGNORED = 2
"""What the leaderboard's label holds where it is ignored."""


@dataclass(frozen=True)
class Pair:
    """A prediction and its label."""

    prediction: Mask
    """Foreground (z, y, x), also where the label is ignored."""
    label: Mask
    valid: Mask
    """False where the voxel is not judged."""
    spacing: Sequence[float]
    overlap: Overlap

    @cached_property
    def judged(self) -> Mask:
        """The predicted foreground among the judged voxels."""
        return self.prediction & self.valid

    @cached_property
    def distances(self) -> SurfaceDistances:
        """Between the surfaces of both, in the unit of the spacing."""
        return surface_distances(self.judged, self.label, self.spacing)


def _surface(pair: Pair, tolerance: float, ignored: Ignored) -> float:
    if ignored == "excluded":
        return surface_dice(pair.prediction, pair.label, (tolerance,), pair.valid)[0]
    return surface_dice(pair.judged, pair.label, (tolerance,))[0]


def _hd95(pair: Pair, _: Ignored) -> Row:
    return {"hd95": pair.distances.hd95}


def _assd(pair: Pair, _: Ignored) -> Row:
    return {"assd": pair.distances.average}


def _cldice(pair: Pair, _: Ignored) -> Row:
    return {"cldice": cldice(pair.judged, pair.label)}


def _surface_cldice(pair: Pair, _: Ignored) -> Row:
    return {"surface_cldice": surface_cldice(pair.judged, pair.label)}


def _betti(pair: Pair, _: Ignored) -> Row:
    row: Row = {}
    numbers = zip(betti_numbers(pair.judged), betti_numbers(pair.label), strict=True)
    for name, (predicted, labelled) in zip(_DIMENSIONS, numbers, strict=True):
        row[f"{name}_error"] = abs(predicted - labelled)
        row[f"{name}_predicted"], row[f"{name}_labelled"] = predicted, labelled
    return row


def _voi(pair: Pair, ignored: Ignored) -> Row:
    if ignored == "excluded":
        voi = component_voi(pair.prediction, pair.label, pair.valid)
    else:
        voi = component_voi(pair.judged, pair.label)
    return {"voi": voi.split + voi.merge, "voi_split": voi.split, "voi_merge": voi.merge}


def _fraction(pair: Pair, _: Ignored) -> Row:
    error = fraction_error(pair.overlap)
    return {
        "fraction_error": abs(error.absolute),
        "fraction_bias": error.absolute,
        "fraction_bias_relative": error.relative,
    }


_MEASURES: dict[str, Callable[[Pair, Ignored], Row]] = {
    "hd95": _hd95,
    "assd": _assd,
    "cldice": _cldice,
    "surface_cldice": _surface_cldice,
    "betti": _betti,
    "voi": _voi,
    "fraction": _fraction,
}
CHOICES = ("surface_dice@1,2", *_MEASURES)
"""What --measures takes, with an example of tolerances; and `all`, which is all of them."""

_HIGHER = re.compile(
    r"dice|iou|precision|recall|f1|accuracy|surface_dice@.*|cldice|surface_cldice"
    r"|leaderboard|leaderboard_(topo|surface_dice|voi)|leaderboard_f1_.*"
)
_LOWER = re.compile(r"hd95|assd|voi|voi_(split|merge)|fraction_error|.*_error")
_HEADLINES = re.compile(
    r"leaderboard|dice|surface_dice@.*|hd95|assd|cldice|surface_cldice|voi|fraction_error|.*_error"
)


def better(column: str) -> Literal["higher", "lower"] | None:
    """Tell which values of a column are better; None for one that is no score."""
    if _HIGHER.fullmatch(column):
        return "higher"
    return "lower" if _LOWER.fullmatch(column) else None


def is_headline(column: str) -> bool:
    """Tell whether short tables show a column."""
    return _HEADLINES.fullmatch(column) is not None


def parse_measures(names: Sequence[str], leaderboard: str) -> tuple[str, ...]:
    """Check names and spell them out: one a tolerance, each once, the leaderboard first.

    Args:
        names: As given: `CHOICES`, surface_dice with any tolerances, or `all`.
        leaderboard: exact, bounds or none.

    Raises:
        InputError: There is no such measure, tolerance or mode.
    """
    if leaderboard not in ("exact", "bounds", "none"):
        raise InputError(f"--leaderboard: must be exact, bounds or none; found {leaderboard!r}")
    found: list[str] = [] if leaderboard == "none" else [_LEADERBOARD + leaderboard]
    for name in CHOICES if "all" in names else ():
        found += _spelled(name)
    for name in names:
        found += [] if name == "all" else _spelled(name)
    return tuple(dict.fromkeys(found))


def _spelled(name: str) -> list[str]:
    if name in _MEASURES:
        return [name]
    base, _, tolerances = name.partition("@")
    if base != "surface_dice":
        raise InputError(
            f"--measures: must be of {', '.join(CHOICES)} or all; found {name!r}; overlap scores "
            "are always there"
        )
    values = tolerances.split(",") if "@" in name else [f"{_TOLERANCE:g}"]
    if not all(re.fullmatch(r"\d+(\.\d+)?", value) for value in values):
        raise InputError(
            f"--measures: tolerances are voxels, as in surface_dice@1,2; found {name!r}"
        )
    return [f"{base}@{float(value):g}" for value in values]


def measure(name: str, pair: Pair, ignored: Ignored) -> Row:
    """Compute one measure, named as `parse_measures` does.

    Raises:
        InputError: The leaderboard score is asked for exactly and needs an extra for it.
    """
    if name.startswith(_LEADERBOARD):
        return _leaderboard(pair, name.removeprefix(_LEADERBOARD), ignored)
    base, _, tolerance = name.partition("@")
    if base == "surface_dice":
        row = {name: _surface(pair, float(tolerance), ignored)}
    else:
        row = _MEASURES[base](pair, ignored)
    return row if pair.valid.any() else dict.fromkeys(row, math.nan)


def _leaderboard(pair: Pair, mode: str, ignored: Ignored) -> Row:
    label: NDArray[np.uint8] = np.where(pair.valid, pair.label, _IGNORED).astype(np.uint8)
    found = leaderboard_score(
        pair.prediction,
        label,
        ignore=_IGNORED,
        mode="exact" if mode == "exact" else "bounds",
        ignored=ignored,
    )
    row: Row = {
        "leaderboard": found.score,
        "leaderboard_low": found.score_low,
        "leaderboard_high": found.score_high,
        "leaderboard_topo": found.topo_score,
        "leaderboard_surface_dice": found.surface_dice,
        "leaderboard_voi": found.voi_score,
        "leaderboard_voi_split": found.voi_split,
        "leaderboard_voi_merge": found.voi_merge,
    }
    for name, f1, counts in zip(_DIMENSIONS, found.topo_f1, found.topo_counts, strict=True):
        row[f"leaderboard_f1_{name}"] = math.nan if f1 is None else f1
        for kind, count in zip(("matched", "predicted", "labelled"), counts, strict=True):
            row[f"leaderboard_{name}_{kind}"] = count
    return row
