"""The report of a run: one HTML file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vesuv.io.atomic import atomic_replace
from vesuv.report import distribution, formats, pictures
from vesuv.report.charts import Chart, Series
from vesuv.report.overview import Overview
from vesuv.report.timeline import Timeline
from vesuv.runs.history import Metrics, RunHistory

NAME = "report.html"
_SECTIONS = (
    "findings",
    "curves",
    "classes",
    "slices",
    "reconstruction",
    "distribution",
    "groups",
    "speed",
    "configuration",
)
_MAX_CHARACTERS = 2000
"""Longer texts are truncated."""
_MAX_EPOCH = 10**9


def write_page(run: Path, *, now: datetime | None = None) -> Path:
    """Write report.html into a run folder, from the files in that folder alone.

    Parts whose file is missing, empty or truncated are left out. The new page replaces an older one
    atomically, so that no reader sees an incomplete page.

    Args:
        run: The run's folder.
        now: Time of writing, shown on the page; None: the current time.

    Returns:
        Path of the page.

    Raises:
        OSError: The page cannot be written.
    """
    page = render(RunHistory.read(run), now or datetime.now().astimezone())
    with atomic_replace(run / NAME, make_folder=False) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    return run / NAME


def render(history: RunHistory, now: datetime) -> str:
    """Return the page as HTML, a pure function of the run's files and the time."""
    context = _context(_without_invalid_numbers(history))
    sections = {name: render_template(f"{name}.html", **context) for name in _SECTIONS}
    script, style = render_template("page.js"), render_template("page.css")
    return render_template(
        "page.html",
        **context,
        now=now,
        script=script,
        style=style,
        digests={"script": digest(script), "style": digest(style)},
        sections={name: text for name, text in sections.items() if text},
    )


def digest(text: str) -> str:
    """Return what the page's policy names a script or a style sheet by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _context(history: RunHistory) -> dict[str, Any]:
    """Return the variables of the templates."""
    timeline = Timeline.of(history)
    groups = distribution.latest_observation(history, "groups")
    groups = groups or distribution.latest_observation(history, "tiles")
    return {
        "history": history,
        "overview": Overview(history),
        "timeline": timeline,
        "chart": partial(Chart, timeline),
        "line": partial(Series.of, history.metrics),
        "series": Series,
        "slices": pictures.read_slices(history.path / "slices.npz"),
        "pictures": pictures,
        "reconstruction": pictures.read_png(history.path / "reconstruction.png"),
        "probabilities": distribution.ProbabilityPlot.of(history),
        "tiles": distribution.TilePlot.of(history),
        "groups_epoch": groups and groups.epoch,
        "groups": distribution.group_scores(groups),
        "choices": distribution.best_choices(history.selection),
    }


def _without_invalid_numbers(history: RunHistory) -> RunHistory:
    """Leave out impossible epochs, and replace numbers that cannot be drawn by inf."""
    rows = tuple(
        {
            name: math.inf if abs(value) >= formats.MAX_NUMBER else value
            for name, value in row.items()
        }
        for row in history.metrics.rows
        if 0 <= row["epoch"] < _MAX_EPOCH
    )
    return replace(
        history,
        metrics=Metrics(rows),
        events=tuple(e for e in history.events if 0 <= e.epoch < _MAX_EPOCH),
        observations=tuple(o for o in history.observations if 0 <= o.epoch < _MAX_EPOCH),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vesuv.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_truncate,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {
        "number": formats.number_text,
        "percent": formats.percent,
        "duration": formats.duration,
        "yaml": formats.yaml_text,
        "steps": formats.steps_text,
    }
    return environment


def _truncate(value: Any) -> Any:
    """Truncate long text; HTML is not truncated."""
    if isinstance(value, str) and not isinstance(value, Markup) and len(value) > _MAX_CHARACTERS:
        return f"{value[:_MAX_CHARACTERS]}…"
    return value


_TEMPLATES = _environment()


def render_template(name: str, **context: Any) -> Markup:
    """Return a file of templates/, filled in."""
    return Markup(_TEMPLATES.get_template(name).render(**context).strip())
