"""Scores group by group: a mean that looks fine may hide one that fails."""

from __future__ import annotations

import math

from vesuv.report.page_files import Facts, RunFiles, mapping, number, records
from vesuv.report.page_text import figure, percent, section, table, text


def groups(files: RunFiles) -> str:
    """Return the section with a row for each group; empty where none are known."""
    line = files.latest("groups") or files.latest("tiles")
    scores = mapping((line or {}).get("groups"))
    tiles = records((line or {}).get("tiles"))
    names = list(dict.fromkeys([*map(str, scores), *(group_name(tile) for tile in tiles)]))
    if line is None or names in ([], [""]):
        return ""
    rows = [_group_row(name, scores, [t for t in tiles if group_name(t) == name]) for name in names]
    rows.sort(key=lambda row: row[0])
    headers = ("Group", "Tiles", "Dice", "", "Predicted", "Labelled", "Predicted / labelled")
    shown = table(headers, [row[1] for row in rows], numeric=(1, 2, 4, 5, 6))
    note = f'<p class="note">Validation tiles, epoch {line["epoch"]:g}; the weakest first.</p>'
    return section("groups", "Groups", note + shown)


def group_name(tile: Facts) -> str:
    """Return a tile's group; empty where it has none."""
    return "" if tile.get("group") is None else str(tile["group"])


def _group_row(name: str, scores: Facts, tiles: list[Facts]) -> tuple[float, list[str]]:
    dice = scores.get(name)
    if not number(dice):
        known = [tile["dice"] for tile in tiles if number(tile.get("dice"))]
        dice = math.fsum(known) / len(known) if known else None
    predicted, labelled = _mean(tiles, "predicted"), _mean(tiles, "labelled")
    share = min(1.0, max(0.0, dice)) if dice is not None else 0.0
    bar = f'<i class="bar"><i style="width:{100 * share:.1f}%"></i></i>'
    ratio = predicted / labelled if predicted is not None and labelled else None
    cells = [
        text(name) if name else "(none)",
        str(len(tiles)) if tiles else "–",
        figure(dice),
        bar,
        percent(predicted),
        percent(labelled),
        figure(ratio, 3),
    ]
    return (dice if dice is not None else 2.0), cells


def _mean(tiles: list[Facts], key: str) -> float | None:
    values = [tile[key] for tile in tiles if number(tile.get(key))]
    return math.fsum(values) / len(values) if values else None
