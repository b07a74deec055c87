"""What a selection found, as tables, files and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from vesuv.config.postprocess import plain_chain
from vesuv.data.labels import IGNORE
from vesuv.evaluation.calibration import Reliability, reliability
from vesuv.io.tables import Cell, write_csv, write_json
from vesuv.report import figures
from vesuv.selection.choice import Choice
from vesuv.selection.measured import choices, from_curves
from vesuv.selection.search import Found
from vesuv.selection.verdict import MEASURES, Verdict

_SHOWN = 2
"""Rows of each checkpoint in the printed table, beside one without post-processing."""

_CURVES = ("dice", "precision", "recall", "predicted_fraction", "labelled_fraction")


def write_report(folder: Path, verdict: Verdict, more: Mapping[str, Any]) -> None:
    """Write cases.csv, summary.json and the figures.

    Args:
        folder: Where to.
        verdict: What was found.
        more: Said first in summary.json.
    """
    found, problem = verdict.found, verdict.problem
    write_csv(folder / "cases.csv", _rows(verdict))
    summary = {
        **more,
        "cases": [case.id for case in problem.cases],
        "choices": [choice.plain() for choice in found.competing],
        "pooled": _pooled(found),
    }
    curve = reliabilities(verdict)
    summary["calibration"] = {"checkpoint": found.chosen.checkpoint, "error": curve.error}
    write_json(folder / "summary.json", summary)
    _draw(folder, verdict, curve)


def reliabilities(verdict: Verdict) -> Reliability:
    """Probability against frequency of the chosen source, over all cases."""
    problem = verdict.problem
    name = verdict.found.chosen.checkpoint
    source = next(source for source in problem.sources if source.name == name)
    parts = []
    for case in problem.cases:
        probs = source.probs(case)
        foreground = probs[0] if len(probs) == 1 else 1.0 - probs[0]
        label = np.asarray(case.label)
        valid = label != IGNORE
        parts.append(reliability(foreground.numpy(), (label > 0) & valid, valid))
    return sum(parts[1:], start=parts[0])


def show(console: Console, verdict: Verdict, title: str) -> None:
    """Print the best candidates of each checkpoint, the choice and what it is worth."""
    found = verdict.found
    table = Table(title=title)
    board = found.chosen.leaderboard is not None
    names = ("candidate", "Dice", "predicted", "labelled", "off by, a case")
    for column in (*names, *(("leaderboard",) if board else ())):
        table.add_column(column, justify="left" if column == "candidate" else "right")
    for choice in _shown(found):
        cells = [
            f"{choice} *" if choice == found.chosen else str(choice),
            f"{choice.dice:.4f}",
            f"{choice.predicted_fraction:.2%}",
            f"{choice.labelled_fraction:.2%}",
            f"{choice.gap:.2%}",
        ]
        table.add_row(*cells, *((f"{choice.leaderboard:.4f}",) if board else ()))
    console.print(table)
    console.print(f"selected {found.why}", markup=False)
    for sentence in _sentences(verdict):
        console.print(sentence, markup=False)


def _shown(found: Found) -> list[Choice]:
    """The first choices of each checkpoint, and its first without steps to compare them with."""
    shown: list[Choice] = []
    for name in dict.fromkeys(choice.checkpoint for choice in found.competing):
        of_name = [choice for choice in found.ranking if choice.checkpoint == name]
        plain = [choice for choice in of_name if not choice.postprocess]
        shown += list(dict.fromkeys(of_name[:_SHOWN] + plain[:1]))
    return shown


def _sentences(verdict: Verdict) -> list[str]:
    said = []
    margin, honest = verdict.margin(), verdict.honest()
    if margin is not None:
        values = ", ".join(f"{k} {margin[k]:+.4f}" for k in MEASURES if k in margin)
        said.append(f"margin over the next best, {margin['over']}: {values}")
    for row in verdict.groups():
        over = f", margin {row['margin']['dice']:+.4f}" if row["margin"] else ""
        said.append(
            f"group {row['group']}: {row['cases']} cases, Dice {row['dice']:.4f}, predicted "
            f"{row['predicted_fraction']:.2%}, labelled {row['labelled_fraction']:.2%}{over}"
        )
    if honest is not None:
        values = ", ".join(f"{k} {honest[k]:.4f}" for k in MEASURES if k in honest)
        said.append(
            f"honest estimate, chosen without and scored on each {honest['left_out']} in turn: "
            f"{values}"
        )
    return said


def _rows(verdict: Verdict) -> list[dict[str, Cell]]:
    rows: list[dict[str, Cell]] = []
    for measured in verdict.found.measured:
        candidate = measured.candidate
        steps = "; ".join(map(str, plain_chain(candidate.postprocess)))
        for case, score in zip(verdict.problem.cases, measured.cases, strict=True):
            row: dict[str, Cell] = {
                "checkpoint": candidate.checkpoint,
                "threshold": candidate.threshold,
                "postprocess": steps,
                "id": case.id,
                "group": case.group,
                "judged_voxels": score.judged,
                **score.overlap.as_dict(),
            }
            rows.append(row | ({"leaderboard": score.leaderboard} if score.leaderboard else {}))
    return rows


def _pooled(found: Found) -> list[dict[str, Any]]:
    """Scores of all cases' voxels together, for each checkpoint and threshold."""
    return [
        {"checkpoint": name, "threshold": threshold, **overlap.as_dict()}
        for name, parts in found.curves.items()
        for pooled in [sum(parts[1:], start=parts[0])]
        for threshold, overlap in zip(pooled.thresholds, pooled.overlaps(), strict=True)
    ]


def _draw(folder: Path, verdict: Verdict, curve: Reliability) -> None:
    found = verdict.found
    chosen = found.chosen
    curves = found.curves[chosen.checkpoint]
    pooled = sum(curves[1:], start=curves[0])
    figures.distribution(
        folder / "histogram.png",
        histogram=pooled.histogram.numpy(),
        lines=_lines(verdict),
        labelled_fraction=chosen.labelled_fraction,
        threshold=chosen.threshold,
        title=str(chosen),
    )
    figures.calibration(
        folder / "calibration.png",
        voxels=curve.voxels,
        probability=curve.probability,
        foreground=curve.foreground,
        title=f"{chosen.checkpoint}: expected calibration error {curve.error:.4f}",
    )
    thresholds = [value for value in pooled.thresholds if value is not None]
    if thresholds:
        overlaps = pooled.overlaps()
        figures.threshold_curves(
            folder / "curves.png",
            thresholds,
            {name: [getattr(o, name) for o in overlaps] for name in _CURVES},
            threshold=chosen.threshold,
            title=f"{chosen.checkpoint}, the voxels of all cases together",
        )


def _lines(verdict: Verdict) -> list[figures.ThresholdLine]:
    """Means over cases of every checkpoint at its thresholds."""
    lines = []
    for name, curves in verdict.found.curves.items():
        plain = choices(from_curves(name, curves))
        thresholds = [choice.threshold for choice in plain if choice.threshold is not None]
        if thresholds:
            predicted = [choice.predicted_fraction for choice in plain]
            dice = [choice.dice for choice in plain]
            lines.append(figures.ThresholdLine(name, thresholds, predicted, dice))
    return lines
