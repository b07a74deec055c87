"""The run's page: one HTML file that tells, without a network, how a run stands and why."""

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
_SECTIONS = ("findings", "curves", "slices", "distribution", "groups", "speed", "configuration")
_LONGEST = 2000
"""Characters of a text that are shown."""
_MOST_EPOCHS = 10**9


def write_page(run: Path, *, now: datetime | None = None) -> Path:
    """Write report.html into a run folder, from the files that lie there and nothing else.

    A file that is missing, empty or cut short only leaves its part of the page out. The page
    replaces an older one in a single step, so that a reader never meets half of it.

    Args:
        run: The run's folder.
        now: The time that the page says it was written at; the present when left out.

    Returns:
        The page's path.

    Raises:
        OSError: The page cannot be written.
    """
    page = render(RunHistory.read(run), now or datetime.now().astimezone())
    with atomic_replace(run / NAME, make_folder=False) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    return run / NAME


def render(history: RunHistory, now: datetime) -> str:
    """Return the page as HTML; equal files and times give equal pages."""
    context = _context(_bounded(history))
    sections = {name: _render(f"{name}.html", **context) for name in _SECTIONS}
    script = _render("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return _render(
        "page.html",
        **context,
        now=now,
        script=script,
        script_digest=digest,
        sections={name: text for name, text in sections.items() if text},
    )


def _context(history: RunHistory) -> dict[str, Any]:
    """What the templates may speak of."""
    epochs = Timeline.of(history)
    groups = distribution.latest(history, "groups") or distribution.latest(history, "tiles")
    return {
        "history": history,
        "overview": Overview(history),
        "timeline": epochs,
        "chart": partial(Chart, epochs),
        "line": partial(Series.of, history.metrics),
        "series": Series,
        "slices": pictures.read_slices(history.path / "slices.npz"),
        "pictures": pictures,
        "probabilities": distribution.ProbabilityPlot.of(history),
        "tiles": distribution.TilePlot.of(history),
        "groups_epoch": groups and groups.epoch,
        "groups": distribution.group_scores(groups),
        "choices": distribution.best_choices(history.selection),
    }


def _bounded(history: RunHistory) -> RunHistory:
    """Leave out epochs that no run has, and numbers beyond what an axis can hold."""
    rows = tuple(
        {name: math.inf if abs(value) >= formats.LIMIT else value for name, value in row.items()}
        for row in history.metrics.rows
        if 0 <= row["epoch"] < _MOST_EPOCHS
    )
    return replace(
        history,
        metrics=Metrics(rows),
        events=tuple(e for e in history.events if 0 <= e.epoch < _MOST_EPOCHS),
        observations=tuple(o for o in history.observations if 0 <= o.epoch < _MOST_EPOCHS),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vesuv.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_cut,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {
        "number": formats.number_text,
        "percent": formats.percent,
        "duration": formats.duration,
        "yaml": formats.yaml_text,
    }
    return environment


def _cut(value: Any) -> Any:
    """Cut text that has no end; what is HTML already stays whole."""
    if isinstance(value, str) and not isinstance(value, Markup) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}…"
    return value


_TEMPLATES = _environment()


def _render(name: str, **context: Any) -> Markup:
    return Markup(_TEMPLATES.get_template(name).render(**context).strip())
