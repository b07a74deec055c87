"""The page of a run of curves: findings, scores, curves over epochs, and an example."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from vesuv.curves.picks import KINDS
from vesuv.curves.pictures import COLOURS, EXAMPLE
from vesuv.io.atomic import atomic_replace
from vesuv.io.tables import TextTable
from vesuv.report.charts import Chart, Series
from vesuv.report.formats import number_text
from vesuv.report.page import NAME, digest, render_template
from vesuv.report.pictures import png
from vesuv.report.timeline import Timeline
from vesuv.runs.history import Metrics, RunHistory

_SCORES = {
    "F1, kind right": "f1",
    "precision": "precision",
    "recall": "recall",
    "F1, kind, dip within 3° and azimuth within 15° right": "f1_all",
}
"""Words -> name of a score at each tolerance."""


def write_page(run: Path, *, now: datetime | None = None) -> Path:
    """Write report.html into a run folder, from the files in that folder alone.

    Raises:
        OSError: The page cannot be written.
    """
    history = RunHistory.read(run)
    timeline = Timeline.of(history)
    script, style = render_template("page.js"), render_template("page.css")
    text = render_template(
        "detector.html",
        history=history,
        chart=partial(Chart, timeline),
        line=partial(Series.of, history.metrics),
        scores=score_table(history.metrics),
        picture=_picture(run / EXAMPLE),
        colours={kind: "#{:02x}{:02x}{:02x}".format(*COLOURS[kind]) for kind in KINDS},
        kinds=KINDS,
        now=now or datetime.now().astimezone(),
        script=script,
        style=style,
        digests={"script": digest(script), "style": digest(style)},
    )
    with atomic_replace(run / NAME, make_folder=False) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    return run / NAME


def score_table(metrics: Metrics) -> TextTable | None:
    """Return the scores of the last validation; None before the first."""
    points = metrics.points("val/best_f1@2", finite=False)
    if not points:
        return None
    epoch = points[-1][0]

    def cell(name: str) -> str:
        value = metrics.value_at(f"val/{name}", epoch)
        return "–" if value is None else number_text(round(value, 4))

    rows: list[list[str]] = [
        [words, cell(f"{name}@1"), cell(f"{name}@2")] for words, name in _SCORES.items()
    ]
    others = {
        "dip within 3°, of the matched": "dip_within_3",
        "azimuth within 15°, of the matched": "azimuth_within_15",
        "false picks a strip": "false_per_strip",
        "F1 at the best threshold": "best_f1@2",
        "best threshold": "best_threshold",
        **{f"F1, {kind} alone": f"f1@2[{kind}]" for kind in KINDS},
    }
    rows += [[words, "", cell(name)] for words, name in others.items()]
    title = f"Whole logs of the validation wells, epoch {epoch}"
    return TextTable(title, ("Score", "±1 row", "±2 rows"), rows)


def _picture(path: Path) -> Any:
    """Return a picture as a data URI; None where it is missing or damaged."""
    try:
        with Image.open(path) as picture:
            return png(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError):
        return Markup("")
