"""Tables and figures of a selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.evaluation.calibration import Reliability
from vesuv.evaluation.distribution import Curve
from vesuv.evaluation.measure import class_column
from vesuv.io.tables import Cell, write_csv, write_json
from vesuv.report import figures
from vesuv.selection.candidate_scores import choices, scores_at_thresholds
from vesuv.selection.choice import Candidate
from vesuv.selection.search import SearchResult

_CURVES = ("dice", "precision", "recall", "predicted_fraction", "labelled_fraction")


def write_report(
    folder: Path,
    result: SearchResult,
    reliabilities: Sequence[Reliability],
    facts: Mapping[str, Any],
) -> None:
    """Write cases.csv, summary.json and the figures; of several classes each has its own figures.

    Args:
        folder: Folder of the files.
        result: The selection.
        reliabilities: Probability against frequency of each target, of the chosen checkpoint over
            all cases.
        facts: First entries of summary.json.
    """
    targets = result.problem.targets
    write_csv(folder / "cases.csv", _rows(result))
    by_name = dict(zip(targets.names, reliabilities, strict=True))
    errors = {name: one.error for name, one in by_name.items()}
    error = {"errors": errors} if targets.has_several else {"error": errors[targets.names[0]]}
    write_json(
        folder / "summary.json",
        {
            **facts,
            "cases": [case.id for case in result.problem.cases],
            "choices": [choice.plain() for choice in result.competing],
            "pooled": _pooled(result),
            "calibration": {"checkpoint": result.chosen.checkpoint, **error},
        },
    )
    for number, (name, curve) in enumerate(by_name.items(), start=1):
        _draw(folder, result, curve, _Figures.of(result, name, number))


@dataclass(frozen=True)
class _Figures:
    """What the figures of one class show."""

    curves: Sequence[Curve]
    """By case."""
    threshold: float | None
    labelled_fraction: float
    class_name: str | None
    """None for two classes."""
    suffix: str
    """What follows the names of the files: -1, -2 … for several classes."""

    @property
    def subject(self) -> str:
        """What precedes titles: the class, where there are several."""
        return "" if self.class_name is None else f"{self.class_name}: "

    @classmethod
    def of(cls, result: SearchResult, name: str, number: int) -> _Figures:
        chosen = result.chosen
        if not result.problem.targets.has_several:
            curves = result.curves[chosen.checkpoint]
            return cls(curves, chosen.threshold, chosen.labelled_fraction, None, "")
        cut = dict(chosen.classes)[name]
        labelled = next(one for one in chosen.scores_by_class if one.name == name)
        return cls(
            result.curves_by_class[name],
            cut.threshold,
            labelled.labelled_fraction,
            name,
            f"-{number}",
        )


def _rows(result: SearchResult) -> list[dict[str, Cell]]:
    names = result.problem.targets.names
    rows: list[dict[str, Cell]] = []
    for scores in result.scores:
        candidate = scores.candidate
        for case, score in zip(result.problem.cases, scores.cases, strict=True):
            row: dict[str, Cell] = {
                "checkpoint": candidate.checkpoint,
                **_cut_cells(candidate),
                "id": case.id,
                "group": case.group,
                "judged_voxels": score.num_valid,
                **score.overlap.as_dict(),
            }
            for name, by_column in zip(names, score.classes, strict=False):
                row |= {class_column(column, name): v for column, v in by_column.items()}
            rows.append(row | ({"leaderboard": score.leaderboard} if score.leaderboard else {}))
    return rows


def _cut_cells(candidate: Candidate) -> dict[str, Cell]:
    """Return threshold and steps; of several classes a column for each."""
    if not candidate.classes:
        steps = "; ".join(map(str, candidate.postprocess))
        return {"threshold": candidate.threshold, "postprocess": steps}
    cells: dict[str, Cell] = {}
    for name, cut in candidate.classes:
        cells[class_column("threshold", name)] = cut.threshold
        steps = "; ".join(map(str, cut.chain))
        cells[class_column("postprocess", name)] = steps
    return cells


def _pooled(result: SearchResult) -> list[dict[str, Any]]:
    """Scores pooled over the voxels of all cases, for each checkpoint and threshold."""
    if not result.problem.targets.has_several:
        return [
            {"checkpoint": name, **row}
            for name, curves in result.curves.items()
            for row in _pooled_rows(curves)
        ]
    return [
        {"checkpoint": result.chosen.checkpoint, "class": name, **row}
        for name, curves in result.curves_by_class.items()
        for row in _pooled_rows(curves)
    ]


def _pooled_rows(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    pooled = sum(curves[1:], start=curves[0])
    return [
        {"threshold": threshold, **overlap.as_dict()}
        for threshold, overlap in zip(pooled.thresholds, pooled.overlaps(), strict=True)
    ]


def _draw(folder: Path, result: SearchResult, curve: Reliability, shown: _Figures) -> None:
    chosen = result.chosen
    pooled = sum(shown.curves[1:], start=shown.curves[0])
    figures.distribution(
        folder / f"histogram{shown.suffix}.png",
        histogram=pooled.histogram.numpy(),
        lines=_lines(result),
        labelled_fraction=shown.labelled_fraction,
        threshold=shown.threshold,
        title=f"{shown.subject}{chosen.checkpoint}" if shown.subject else str(chosen),
        class_name=shown.class_name,
    )
    figures.calibration(
        folder / f"calibration{shown.suffix}.png",
        voxels=curve.voxels,
        probability=curve.probability,
        foreground=curve.foreground,
        title=f"{shown.subject}{chosen.checkpoint}: expected calibration error {curve.error:.4f}",
    )
    overlaps = pooled.overlaps()
    figures.threshold_curves(
        folder / f"curves{shown.suffix}.png",
        [value for value in pooled.thresholds if value is not None],
        {name: [getattr(o, name) for o in overlaps] for name in _CURVES},
        threshold=shown.threshold,
        title=f"{shown.subject}{chosen.checkpoint}, the voxels of all cases together",
    )


def _lines(result: SearchResult) -> list[figures.ThresholdLine]:
    """Means over cases for each checkpoint, by threshold; none for several classes."""
    if result.problem.targets.has_several:
        return []
    lines = []
    for name, curves in result.curves.items():
        plain = choices(scores_at_thresholds(name, curves, result.problem.targets))
        thresholds = [choice.threshold for choice in plain if choice.threshold is not None]
        predicted = [choice.predicted_fraction for choice in plain]
        dice = [choice.dice for choice in plain]
        lines.append(figures.ThresholdLine(name, thresholds, predicted, dice))
    return lines
