"""The box of a plot that is not over epochs: axes, grid and words around an SVG."""

from __future__ import annotations

from vesuv.report.page_scale import Scale
from vesuv.report.page_text import text

Ticks = list[tuple[float, str]]


def grid(scale: Scale) -> str:
    """Return lines across at the ticks of the upright axis, in a box of 1000 by 1000."""
    lines = "".join(f"M0 {1000 * (1 - at):.1f}H1000" for at, _ in scale.ticks())
    return f'<path class="grid" d="{lines}"/>'


def plot(
    title: str,
    note: str,
    legend: str,
    area: str,
    described: str,
    side: Ticks,
    bottom: Ticks,
    shape: str = "",
) -> str:
    """Return a figure.

    Args:
        title: Above it.
        note: What is drawn, as HTML.
        legend: Items of a list.
        area: SVG and marks.
        described: The figure in words.
        side: Ticks of the upright axis.
        bottom: Ticks of the level axis.
        shape: "square" for two axes of one kind.
    """
    left = "".join(f'<span style="bottom:{100 * at:.2f}%">{label}</span>' for at, label in side)
    below = "".join(f'<span style="left:{100 * at:.2f}%">{label}</span>' for at, label in bottom)
    return (
        f'<figure class="chart {shape}"><figcaption><h3>{title}</h3><p class="note">{note}</p>'
        f'<ul class="legend">{legend}</ul></figcaption><div class="plot">'
        f'<div class="side" aria-hidden="true">{left}</div><div class="area" role="img" '
        f'aria-label="{text(described)}">{area}</div>'
        f'<div class="bottom" aria-hidden="true">{below}</div></div></figure>'
    )
