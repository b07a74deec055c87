"""vesuv curves evaluate: tables of picks against an interpreter's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from vesuv.cli.console import console
from vesuv.cli.tables import rich_table
from vesuv.curves.folders import judged_folder, score_table, write_scores


def evaluate(
    *,
    predictions: Path,
    labels: Path,
    output: Path | None = None,
    threshold: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = 0.0,
    rows: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
) -> None:
    """Score picks one to one, with their kind, within 1 and 2 rows; by log and pooled.

    Writes scores.csv, summary.json and summary.md.

    Args:
        predictions: Folder of `curves predict` or `curves hough`, or any with picks/<id>.csv.
        labels: Folder of logs with wells.csv, images/ and the interpreter's picks/.
        output: Folder of the scores (default: that of the predictions).
        threshold: Count predictions from this score up only.
        rows: Rows that false picks are counted for.
    """
    judged, unpredicted = judged_folder(predictions, labels)
    logs = [log.above(threshold) for log in judged]
    out = console()
    table = score_table(logs, rows)
    out.print(rich_table(table))
    if unpredicted:
        out.print(f"not counted, as without a prediction: {', '.join(unpredicted)}")
    files = write_scores(output or predictions, logs, unpredicted, rows)
    out.print(f"written: {', '.join(map(str, files))}")
