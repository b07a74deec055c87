"""Figures as people read them."""

from __future__ import annotations


def epochs(first: int, last: int) -> str:
    """`epoch 3`, or `epochs 3 to 7`."""
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"


def percent(share: float) -> str:
    """`5.3 %`, with two significant digits below ten."""
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 9.95 else f"{value:.2g} %"
