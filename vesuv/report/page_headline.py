"""The top of the page: which run this is, how far it came and how well it does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from vesuv.report.page_files import RunFiles
from vesuv.report.page_speed import seconds_left
from vesuv.report.page_text import duration, figure, percent, text


def title(files: RunFiles) -> str:
    """Return the run's name and fold, escaped."""
    name = files.config.name if files.config else files.path.resolve().name
    fold = files.facts.get("fold")
    return text(name) + (f", fold {text(fold)}" if fold is not None else "")


def headline(files: RunFiles, now: datetime, sections: Sequence[str]) -> str:
    """Return the header with the state, a row of figures and links to the page's sections."""
    ended = files.ended
    state, kind = (_sentence(ended), "ended") if ended else _running(files)
    tiles = "".join(
        f'<div class="tile"><dt>{name}</dt><dd>{value}<small>{more}</small></dd></div>'
        for name, value, more in _tiles(files)
    )
    links = "".join(f'<a href="#{name}">{name.capitalize()}</a>' for name in sections)
    return (
        f'<header><p class="brand">vesuv run</p><h1>{title(files)}</h1>'
        f'<p class="state {kind}"><span>{"ended" if ended else kind}</span> {state}</p>'
        f'<p class="note">Written {_time(now)}{_started(files)}</p>'
        f'{_progress(files)}<dl class="tiles">{tiles}</dl>'
        f'<nav aria-label="Sections of this page">{links}</nav></header>'
    )


def _time(when: datetime) -> str:
    shown = when.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
    return f'<time datetime="{when.isoformat(timespec="seconds")}">{shown}</time>'


def _started(files: RunFiles) -> str:
    """When training began, as run.json has it; empty where it does not say."""
    started = str(files.facts.get("started", ""))
    try:
        return f" · started {_time(datetime.fromisoformat(started))}"
    except ValueError:
        return ""


def _sentence(line: str) -> str:
    shown = text(line)
    return shown if shown.endswith((".", "!")) else f"{shown}."


def _running(files: RunFiles) -> tuple[str, str]:
    last, total = files.metrics.last_epoch, _epochs(files)
    if last is None:
        return "No epoch is finished yet.", "started"
    left = seconds_left(files)
    if total is not None and last + 1 >= total:
        return "All epochs are done.", "running"
    until = f", about {duration(left)} of training left" if left is not None else ""
    return f"when this page was written{until}.", "running"


def _epochs(files: RunFiles) -> int | None:
    return files.config.train.epochs if files.config else None


def _progress(files: RunFiles) -> str:
    last, total = files.metrics.last_epoch, _epochs(files)
    done = 0 if last is None else last + 1
    of = f" of {total}" if total else ""
    share = min(1.0, done / total) if total else 0.0
    return (
        f'<p class="progress"><span>{done}{of} epochs done</span>'
        f'<i class="bar"><i style="width:{100 * share:.1f}%"></i></i></p>'
    )


def _tiles(files: RunFiles) -> list[tuple[str, str, str]]:
    """Name, value and a remark for each figure of the header."""
    metrics, measure = files.metrics, files.measure
    best, newest = files.best(), metrics.points(f"val/{measure}")[-1:]
    if best is None:
        return [(f"best {text(measure)}", "–", "not validated yet")]
    epoch = best[0]
    shown = [(f"best {text(measure)}", figure(best[1]), f"epoch {epoch:g}")]
    shown += [(f"newest {text(measure)}", figure(v), f"epoch {e:g}") for e, v in newest]
    for name, words in (("ema", "EMA"), ("swa", "SWA")):
        points = metrics.points(f"val/{name}_{measure}")
        if points:
            top = max(points, key=lambda point: point[1])
            shown.append((f"best of {words}", figure(top[1]), f"epoch {top[0]:g}"))
    for column, words in (("precision", "precision"), ("recall", "recall")):
        value = metrics.at(f"val/{column}", epoch)
        if value is not None:
            shown.append((words, figure(value, 3), "at the best"))
    predicted = metrics.at("val/predicted_fraction", epoch)
    labelled = metrics.at("val/labelled_fraction", epoch)
    if predicted is not None and labelled is not None:
        shown.append(("foreground", percent(predicted), f"labelled {percent(labelled)}"))
    return shown
