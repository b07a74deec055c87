"""Tables and figures of a selection."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.config.postprocess import plain_chain
from vesuv.data.labels import IGNORE
from vesuv.evaluation.calibration import Reliability, reliability
from vesuv.io.tables import Cell, write_csv, write_json
from vesuv.report import figures
from vesuv.selection.candidate_scores import choices, scores_at_thresholds
from vesuv.selection.search import SearchResult

_CURVES = ("dice", "precision", "recall", "predicted_fraction", "labelled_fraction")


def write_report(folder: Path, result: SearchResult, facts: Mapping[str, Any]) -> None:
    """Write cases.csv, summary.json and the figures.

    Args:
        folder: Folder of the files.
        result: The selection.
        facts: First entries of summary.json.
    """
    write_csv(folder / "cases.csv", _rows(result))
    summary = {
        **facts,
        "cases": [case.id for case in result.problem.cases],
        "choices": [choice.plain() for choice in result.competing],
        "pooled": _pooled(result),
    }
    curve = _reliability(result)
    summary["calibration"] = {"checkpoint": result.chosen.checkpoint, "error": curve.error}
    write_json(folder / "summary.json", summary)
    _draw(folder, result, curve)


def _reliability(result: SearchResult) -> Reliability:
    """Probability against frequency of the chosen checkpoint, over all cases."""
    problem = result.problem
    name = result.chosen.checkpoint
    predictions = next(one for one in problem.predictions if one.name == name)
    parts = []
    for case in problem.cases:
        probs = predictions.probs(case)
        foreground = probs[0] if len(probs) == 1 else 1.0 - probs[0]
        label = np.asarray(case.native_label)
        valid = label != IGNORE
        parts.append(reliability(foreground.numpy(), (label > 0) & valid, valid))
    return sum(parts[1:], start=parts[0])


def _rows(result: SearchResult) -> list[dict[str, Cell]]:
    rows: list[dict[str, Cell]] = []
    for scores in result.scores:
        candidate = scores.candidate
        steps = "; ".join(map(str, plain_chain(candidate.postprocess)))
        for case, score in zip(result.problem.cases, scores.cases, strict=True):
            row: dict[str, Cell] = {
                "checkpoint": candidate.checkpoint,
                "threshold": candidate.threshold,
                "postprocess": steps,
                "id": case.id,
                "group": case.group,
                "judged_voxels": score.num_valid,
                **score.overlap.as_dict(),
            }
            rows.append(row | ({"leaderboard": score.leaderboard} if score.leaderboard else {}))
    return rows


def _pooled(result: SearchResult) -> list[dict[str, Any]]:
    """Scores pooled over the voxels of all cases, for each checkpoint and threshold."""
    return [
        {"checkpoint": name, "threshold": threshold, **overlap.as_dict()}
        for name, curves in result.curves.items()
        for pooled in [sum(curves[1:], start=curves[0])]
        for threshold, overlap in zip(pooled.thresholds, pooled.overlaps(), strict=True)
    ]


def _draw(folder: Path, result: SearchResult, curve: Reliability) -> None:
    chosen = result.chosen
    curves = result.curves[chosen.checkpoint]
    pooled = sum(curves[1:], start=curves[0])
    figures.distribution(
        folder / "histogram.png",
        histogram=pooled.histogram.numpy(),
        lines=_lines(result),
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


def _lines(result: SearchResult) -> list[figures.ThresholdLine]:
    """Means over cases for each checkpoint, by threshold."""
    lines = []
    for name, curves in result.curves.items():
        plain = choices(scores_at_thresholds(name, curves))
        thresholds = [choice.threshold for choice in plain if choice.threshold is not None]
        if thresholds:
            predicted = [choice.predicted_fraction for choice in plain]
            dice = [choice.dice for choice in plain]
            lines.append(figures.ThresholdLine(name, thresholds, predicted, dice))
    return lines
