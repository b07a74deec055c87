"""How fast the run goes, what it waits for, and on which machine."""

from __future__ import annotations

from statistics import median

from vesuv.report.page_charts import Chart, Series, draw
from vesuv.report.page_files import RunFiles, finite
from vesuv.report.page_text import duration, figure, percent, section, table, text
from vesuv.report.page_timeline import timeline_of

_RECENT = 5
"""Epochs that the present pace is taken from."""


def seconds_left(files: RunFiles) -> float | None:
    """Return the training time of the epochs to come, at the pace of the last ones."""
    pace, last = _recent(files, "seconds"), files.metrics.last_epoch
    if pace is None or last is None or files.config is None:
        return None
    return max(0, files.config.train.epochs - last - 1) * pace


def speed(files: RunFiles) -> str:
    """Return the section of speed and machine."""
    metrics, timeline = files.metrics, timeline_of(files)
    waiting = Series("of the epoch", metrics.points("loader_wait_share"), 1)
    charts = [
        Chart(
            "Patches a second",
            [Series("patches/s", metrics.points("patches_per_second"), 0)],
            zero=True,
        ),
        Chart("Waiting for data", [waiting], share=True, zero=True),
        Chart(
            "Seconds an epoch",
            [Series("training", metrics.points("seconds"), 2)],
            note="Without validation.",
            zero=True,
        ),
    ]
    drawn = "".join(draw(chart, timeline) for chart in charts)
    rows = [(name, value) for name, value in _rows(files) if value]
    if not drawn and not rows:
        return ""
    body = table(("What", "Value"), rows) if rows else ""
    return section("speed", "Speed and machine", f'<div class="charts">{drawn}</div>{body}')


def _rows(files: RunFiles) -> list[tuple[str, str]]:
    facts, metrics = files.facts, files.metrics
    pace, rate = _recent(files, "seconds"), _recent(files, "patches_per_second")
    wait, left = _recent(files, "loader_wait_share"), seconds_left(files)
    total = sum(value for _, value in finite(metrics.points("seconds")))
    cases = [facts.get(f"{part}_cases") for part in ("train", "validation")]
    counts = [str(len(part)) if isinstance(part, list) else "–" for part in cases]
    return [
        ("pace of the last epochs", f"{duration(pace)} an epoch" if pace is not None else ""),
        ("patches", f"{figure(rate, 3)} a second" if rate is not None else ""),
        ("waiting for data", percent(wait) if wait is not None else ""),
        ("trained so far", duration(total) if total else ""),
        ("training left at this pace", duration(left) if left and files.ended is None else ""),
        ("device", text(facts.get("device", ""))),
        ("precision", text(facts.get("precision", ""))),
        ("seed", text(facts.get("seed", ""))),
        ("cases", f"{counts[0]} for training, {counts[1]} for validation" if any(cases) else ""),
        ("data", text(facts.get("store", ""))),
        ("software", _software(files)),
    ]


def _software(files: RunFiles) -> str:
    facts = files.facts
    packages = facts.get("packages")
    named = {"vesuv": facts.get("vesuv"), "Python": facts.get("python")}
    named |= packages if isinstance(packages, dict) else {}
    said = [f"{name} {version}" for name, version in named.items() if version]
    commit = facts.get("git_commit")
    return text(", ".join([*said, f"commit {str(commit)[:12]}"] if commit else said))


def _recent(files: RunFiles, column: str) -> float | None:
    """Median of the last epochs; a single slow one changes nothing."""
    values = [value for _, value in finite(files.metrics.points(column))[-_RECENT:]]
    return median(values) if values else None
