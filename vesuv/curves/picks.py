"""Picks, and their tables: <id>.csv with depth, dip, azimuth and kind of each."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from vesuv.curves.csv_lines import csv_lines
from vesuv.curves.geometry import Borehole
from vesuv.errors import InputErrors
from vesuv.io.tables import Cell, write_csv

KINDS = ("bedding", "fracture")
_COLUMNS = ("depth", "dip", "azimuth", "kind")


@dataclass(frozen=True)
class Pick:
    """One plane that cuts the hole."""

    row: float
    """Row of the image, pixels from its top, on the axis of the hole."""
    dip: float
    """Degrees."""
    azimuth: float
    """Degrees from north, clockwise."""
    kind: int
    """Position in `KINDS`."""
    score: float = 1.0
    """Probability of the kind; 1 for a reference."""


def in_hole(pick: Pick, hole: Borehole, other: Borehole) -> Pick:
    """Return the pick that draws the same sinusoid in another hole."""
    return replace(pick, dip=float(other.dip(hole.amplitude(pick.dip))))


def write_picks(
    path: Path, picks: Iterable[Pick], top: float, pixel_mm: float, *, with_score: bool = False
) -> None:
    """Write picks from the top of the hole down.

    Args:
        path: Table to write.
        picks: The picks.
        top: Depth of the image's first row in metres.
        pixel_mm: Height of a pixel.
        with_score: Write the column `score` too.

    Raises:
        InputError: The file cannot be written.
    """
    rows: list[dict[str, Cell]] = []
    for pick in sorted(picks, key=lambda pick: pick.row):
        row: dict[str, Cell] = {
            "depth": f"{top + pick.row * pixel_mm / 1000:.5f}",
            "dip": f"{pick.dip:.3f}",
            "azimuth": f"{pick.azimuth % 360:.3f}",
            "kind": KINDS[pick.kind],
        }
        rows.append({**row, "score": f"{pick.score:.4f}"} if with_score else row)
    write_csv(path, rows, [*_COLUMNS, *(["score"] if with_score else [])])


def read_picks(path: Path, top: float, pixel_mm: float, num_rows: int) -> tuple[Pick, ...]:
    """Read a table of picks, from the top of the hole down.

    Args:
        path: CSV with the columns depth (metres), dip, azimuth (degrees), kind, and score or none.
        top: Depth of the image's first row in metres.
        pixel_mm: Height of a pixel.
        num_rows: Rows of the image; a pick beside it is refused.

    Raises:
        InputErrors: One sentence for each fault.
    """
    picks, faults = [], []
    for number, line in csv_lines(path, _COLUMNS, "check the path"):
        try:
            picks.append(_pick(line, top, pixel_mm, num_rows))
        except ValueError as fault:
            faults.append(f"{path}: line {number}: {fault}; correct it")
    if faults:
        raise InputErrors(faults)
    return tuple(sorted(picks, key=lambda pick: pick.row))


def _pick(line: dict[str, str], top: float, pixel_mm: float, num_rows: int) -> Pick:
    kind = line["kind"].strip()
    if kind not in KINDS:
        raise ValueError(f"kind must be {' or '.join(KINDS)}, found {kind!r:.60}")
    dip = _number(line, "dip", 0.0, 90.0)
    azimuth = _number(line, "azimuth", 0.0, 360.0)
    score = _number(line, "score", 0.0, 1.0) if line.get("score") else 1.0
    bottom = top + (num_rows - 1) * pixel_mm / 1000
    depth = _number(line, "depth", -math.inf, math.inf)
    row = (depth - top) * 1000 / pixel_mm
    if not -1.0 <= row <= num_rows:
        raise ValueError(
            f"depth must lie in the image, from {top:g} to {bottom:g} m, found {depth:g}"
        )
    if dip >= 90.0:
        raise ValueError(f"dip must be below 90 degrees, found {dip:g}")
    return Pick(row, dip, azimuth % 360.0, KINDS.index(kind), score)


def _number(line: dict[str, str], name: str, low: float, high: float) -> float:
    try:
        value = float(line[name])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and low <= value <= high):
        limits = f" from {low:g} to {high:g}" if math.isfinite(low) else ""
        raise ValueError(f"{name} must be a number{limits}, found {line[name]!r:.60}")
    return value
