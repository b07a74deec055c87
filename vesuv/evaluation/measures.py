"""The table of measures: what can be asked for by name.

A measure compares the masks of one class; for several classes see `class_scores`. Ignored voxels
are background on both sides; with `ignored_voxels` "excluded", leaderboard score, surface Dice and
VOI leave them out instead. A case without a judged voxel has no value (NaN), but for the
leaderboard score, which is 1 as in the competition.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from vesuv.errors import InputError
from vesuv.evaluation.betti import BETTI
from vesuv.evaluation.centerline import CLDICE, SURFACE_CLDICE
from vesuv.evaluation.digitization import CURVE
from vesuv.evaluation.distances import ASSD, HD95
from vesuv.evaluation.fraction import FRACTION
from vesuv.evaluation.instances import CELLS
from vesuv.evaluation.leaderboard import leaderboard_measure
from vesuv.evaluation.measure import Column, Measure, split_column
from vesuv.evaluation.surface import surface_dice_measure
from vesuv.evaluation.voi import VOI

_MEASURES = (HD95, ASSD, CLDICE, SURFACE_CLDICE, BETTI, VOI, FRACTION)
"""A new measure is one file and its name here."""

_OVERLAP_COLUMNS = (
    Column("dice", "higher", headline=True, short_name="Dice"),
    Column("iou", "higher", short_name="IoU"),
    Column("precision", "higher", short_name="prec."),
    Column("recall", "higher"),
    Column("f1", "higher"),
    Column("accuracy", "higher"),
    Column("predicted_fraction", style="share", short_name="pred."),
    Column("labelled_fraction", style="share", short_name="label"),
)
_LEADERBOARD = (leaderboard_measure("exact"), leaderboard_measure("bounds"))
_BY_NAME = {one.name: one for one in (*_LEADERBOARD, *_MEASURES, CURVE, CELLS)}
_COLUMNS = {
    column.name: column
    for columns in (_OVERLAP_COLUMNS, *(one.columns for one in _BY_NAME.values()))
    for column in columns
}
_SURFACE_DICE = "surface_dice@"
_TOLERANCE = "2vox"
"""Tolerance of a surface Dice that names none: the competition's."""

OVERLAP = tuple(column.name for column in _OVERLAP_COLUMNS)
"""Names of the overlap scores."""
CHOICES = ("surface_dice@1vox,2vox", *(one.name for one in _MEASURES))
"""Measures beside overlap and leaderboard score, with an example of tolerances: what `all` asks
for."""


def find_measure(name: str) -> Measure:
    """Return a measure named as `parse_measures` does; overlap scores are none."""
    if name.startswith(_SURFACE_DICE):
        return surface_dice_measure(name.removeprefix(_SURFACE_DICE))
    return _BY_NAME[name]


def find_column(name: str) -> Column:
    """Return a column of any measure, with or without unit and class."""
    base, _ = split_column(name)
    return find_measure(base).columns[0] if base.startswith(_SURFACE_DICE) else _COLUMNS[base]


def parse_measures(
    names: Sequence[str], leaderboard: str = "none", argument: str = "--measures"
) -> tuple[str, ...]:
    """Check names and write them in full: one a tolerance, each once, the leaderboard first.

    Args:
        names: Overlap scores, `CHOICES`, surface_dice with any tolerances, leaderboard (exact) or
            leaderboard:bounds, curve, cells, or `all` for all choices.
        leaderboard: exact, bounds or none: asks for the leaderboard score as well.
        argument: What messages call the names.

    Raises:
        InputError: There is no such measure, tolerance or mode, or both modes are asked for.
    """
    if leaderboard not in ("exact", "bounds", "none"):
        raise InputError(f"--leaderboard: must be exact, bounds or none; found {leaderboard!r}")
    full_names = [] if leaderboard == "none" else [f"leaderboard:{leaderboard}"]
    for name in CHOICES if "all" in names else ():
        full_names += _full_names(name, argument)
    for name in names:
        full_names += [] if name == "all" else _full_names(name, argument)
    if {one.name for one in _LEADERBOARD} <= set(full_names):
        raise InputError(f"{argument}: the leaderboard score is exact or bounds; found both")
    return tuple(dict.fromkeys(full_names))


def _full_names(name: str, argument: str) -> list[str]:
    if name in _BY_NAME or name in OVERLAP:
        return [name]
    if name == "leaderboard":
        return ["leaderboard:exact"]
    base, _, tolerances = name.partition("@")
    if base != "surface_dice":
        raise InputError(
            f"{argument}: must be of {', '.join((*OVERLAP, *CHOICES))}, curve, cells, leaderboard "
            f"or all; found {name!r}{_nearest(name)}"
        )
    values = tolerances.split(",") if "@" in name else [_TOLERANCE]
    parts = [re.fullmatch(r"(\d+(?:\.\d+)?)(vox)?", value) for value in values]
    if None in parts:
        raise InputError(
            f"{argument}: tolerances are lengths in the files' unit, as in surface_dice@1,2.5, or "
            f"voxels, as in surface_dice@1vox; found {name!r}"
        )
    return [f"{_SURFACE_DICE}{float(part[1]):g}{part[2] or ''}" for part in parts if part]


def _nearest(name: str) -> str:
    names = ["surface_dice", "leaderboard", *OVERLAP, *_BY_NAME]
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
    return f"; did you mean {close[0]}?" if close else ""
