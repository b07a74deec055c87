"""Findings, epochs and shares as text."""

from __future__ import annotations

from collections.abc import Iterable

from vesuv.diagnosis.evidence import Evidence
from vesuv.runs.records import Finding


def epochs(first: int, last: int) -> str:
    """`epoch 3`, or `epochs 3 to 7`."""
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"


def percent(share: float) -> str:
    """`5.3 %`, with two significant digits below ten."""
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 9.95 else f"{value:.2g} %"


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """Return two lines of text for each finding: title with evidence, and remedy."""
    return [
        line
        for finding in findings
        for line in (
            f"{finding.severity.capitalize()}: {finding.title} ({finding.name}). "
            f"{finding.evidence}",
            f"  -> {finding.remedy}",
        )
    ]


def dice_of(evidence: Evidence, name: str) -> str:
    """Name the Dice of `vesuv.diagnosis.fit`: `Dice of class 'ink'`, or that of two classes."""
    return (
        f"Dice of class {name!r}" if evidence.has_several_classes else "Dice at the best threshold"
    )


def others_text(num: int) -> str:
    """` 2 other classes are affected too.`; empty for none."""
    if not num:
        return ""
    return f" {num} other {'class is' if num == 1 else 'classes are'} affected too."
