"""How the probabilities of labelled foreground and of labelled background are distributed."""

from __future__ import annotations

import math
from typing import Any

from vesuv.report.page_files import RunFiles, mapping, number
from vesuv.report.page_plot import grid, plot
from vesuv.report.page_scale import Scale, logarithmic
from vesuv.report.page_text import percent

_LABELS = (("foreground", 0), ("background", 5))
"""Label and colour."""


def histogram(files: RunFiles) -> str:
    """Return the figure by the newest evidence; empty where there is none."""
    line = files.latest("histogram")
    if line is None:
        return ""
    counts = [_counts(mapping(line["histogram"]).get(label)) for label, _ in _LABELS]
    if not all(counts) or len(counts[0]) != len(counts[1]) or not any(map(sum, counts)):
        return ""
    cut = files.config.validation.threshold if files.config else 0.5
    shares = [[c / (sum(side) or 1) for c in side] for side in counts]
    above = [sum(side[math.ceil(cut * len(side) - 1e-9) :]) for side in shares]
    scale = logarithmic([share for side in shares for share in side])
    areas = "".join(
        f'<path class="area c{colour}" d="{_steps(side, scale)}"/>'
        for side, (_, colour) in reversed(list(zip(shares, _LABELS, strict=True)))
    )
    return plot(
        "Predicted probability of foreground",
        f"Share of each label's judged voxels, validation tiles, epoch {line['epoch']:g}. "
        "Logarithmic axis.",
        _legend(above, cut),
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">'
        f"{grid(scale)}{areas}</svg>{_marks(files, cut)}",
        f"Histogram: {percent(above[0])} of the labelled foreground and {percent(above[1])} of "
        f"the labelled background have a probability of {cut:g} or more.",
        scale.ticks(),
        [(at / 4, f"{at / 4:g}") for at in range(5)],
    )


def _legend(above: list[float], cut: float) -> str:
    return "".join(
        '<li><svg class="key" viewBox="0 0 22 8" aria-hidden="true">'
        f'<path class="area c{colour}" d="M1 0H21V8H1z"/></svg>labelled {label}, '
        f"<b>{percent(share)}</b> from {cut:g} on</li>"
        for share, (label, colour) in zip(above, _LABELS, strict=True)
    )


def _marks(files: RunFiles, cut: float) -> str:
    """The threshold of validation, and the selected one where it is another."""
    marks = [(cut, "threshold", 0)]
    selected = mapping((files.selection or {}).get("selected")).get("threshold")
    if number(selected) and 0 <= selected <= 1 and selected != cut:
        marks.append((selected, "selected", 1))
    return "".join(
        f'<i class="upright{" left" if at > 0.75 else ""}" style="left:{100 * at:.2f}%">'
        f'<em style="top:{row}rem">{name}</em></i>'
        for at, name, row in marks
    )


def _counts(value: Any) -> list[float]:
    if not isinstance(value, list) or not all(number(v) and v >= 0 for v in value):
        return []
    return [float(v) for v in value] if len(value) > 1 else []


def _steps(shares: list[float], scale: Scale) -> str:
    width = 1000 / len(shares)
    path = "M0 1000"
    for index, share in enumerate(shares):
        height = 1000 * (1 - scale.at(share)) if share > 0 else 1000.0
        path += f"L{index * width:.1f} {height:.1f}H{(index + 1) * width:.1f}"
    return f"{path}V1000z"
