"""Folders of logs that are picked, and of picks that are scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from vesuv.curves.config import CurvesConfig
from vesuv.curves.logs import IMAGES, LIST, PICKS, ImageLog, read_logs
from vesuv.curves.picks import Pick, read_picks, write_picks
from vesuv.curves.pictures import write_log_picture
from vesuv.curves.scores import LogPicks, best_threshold, score
from vesuv.errors import InputError
from vesuv.io.places import contains
from vesuv.io.tables import TextTable, markdown_table, write_csv, write_json, write_text

COLUMNS = 360
"""Columns that images are read with where no configuration says more."""
_WORDS = {
    "f1@1": "F1 ±1",
    "f1@2": "F1 ±2",
    "precision@2": "precision ±2",
    "recall@2": "recall ±2",
    "f1_all@2": "F1 ±2, all right",
    "dip_within_3": "dip ≤ 3°",
    "azimuth_within_15": "azimuth ≤ 15°",
    "false_per_strip": "false a strip",
}
"""Score -> heading of its column in the printed table."""


def read_inputs(
    root: Path, output: Path, config: CurvesConfig, *, overwrite: bool
) -> tuple[ImageLog, ...]:
    """Read logs to pick, with an interpreter's picks where they are there.

    Raises:
        InputError: They cannot be read, or the results would lie among them or replace others.
    """
    check_output(root, output, overwrite=overwrite)
    return read_logs(root, config.strips.columns, config.logs.missing, needs_picks=False)


def check_output(root: Path, output: Path, *, overwrite: bool) -> None:
    """Refuse to write among logs, or over earlier results.

    Raises:
        InputError: It would.
    """
    if contains(root, output) or (output / LIST).exists() or (output / IMAGES).exists():
        raise InputError(f"--output: {output} must not lie in or hold logs; name another folder")
    if (output / PICKS).exists() and not overwrite:
        raise InputError(f"{output}: holds {PICKS} already; --overwrite replaces them")


def write_picked(
    output: Path, log: ImageLog, picks: Sequence[Pick], *, pictures: bool = False
) -> None:
    """Write picks/<id>.csv of a log and, with `pictures`, <id>.png.

    Raises:
        InputError: A file cannot be written.
    """
    table = output / PICKS / f"{log.id}.csv"
    write_picks(table, picks, log.top, log.hole.pixel_mm, with_score=True)
    if pictures:
        layers = [log.picks, picks] if log.picks else [picks]
        write_log_picture(output / f"{log.id}.png", log, *layers)


def judged_folder(predictions: Path, labels: Path) -> tuple[list[LogPicks], list[str]]:
    """Read predictions and references of all logs that have both.

    Returns:
        The logs, and the ids of those with references alone.

    Raises:
        InputError: A table cannot be read, or no log has predictions.
    """
    logs = read_logs(labels, COLUMNS, None, needs_picks=False)
    judged, unpredicted = [], []
    for log in logs:
        table = predictions / PICKS / f"{log.id}.csv"
        if not (labels / PICKS / f"{log.id}.csv").is_file():
            continue
        if not table.is_file():
            unpredicted.append(log.id)
        else:
            picks = read_picks(table, log.top, log.hole.pixel_mm, log.num_rows)
            judged.append(LogPicks(log.id, log.num_rows, picks, log.picks))
    if not judged:
        raise InputError(
            f"--predictions: {predictions} has no {PICKS}/<id>.csv of a log that {labels} has "
            "picks of; check both folders"
        )
    return judged, unpredicted


def score_table(logs: Sequence[LogPicks], rows: int) -> TextTable:
    """Return the scores by log, and of all together below."""

    def line(name: str, part: Sequence[LogPicks]) -> list[str]:
        scores = score(part, rows)
        cells = ["–" if math.isnan(scores[key]) else f"{scores[key]:.3f}" for key in _WORDS]
        return [name, str(sum(len(log.references) for log in part)), *cells]

    return TextTable(
        "Picks",
        ("Log", "picks", *_WORDS.values()),
        [line(log.id, [log]) for log in logs],
        footer=[line("all", logs)],
    )


def write_scores(
    output: Path, logs: Sequence[LogPicks], unpredicted: Sequence[str], rows: int
) -> list[Path]:
    """Write scores.csv, summary.json, which names the unpredicted logs, and summary.md.

    Returns:
        Their paths.

    Raises:
        InputError: A file cannot be written.
    """
    files = [output / name for name in ("scores.csv", "summary.json", "summary.md")]
    write_csv(files[0], [{"id": log.id, **score([log], rows)} for log in logs])
    threshold, best = best_threshold(logs, 2.0)
    summary: dict[str, object] = {
        "best_threshold": threshold,
        "best_f1@2": best,
        "num_logs": len(logs),
        "labels_without_prediction": list(unpredicted),
    }
    write_json(files[1], {"pooled": score(logs, rows), **summary})
    write_text(files[2], markdown_table(score_table(logs, rows)))
    return files
