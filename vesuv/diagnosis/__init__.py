"""Findings: evidence of a run in, what is the matter and what to do out; one finding a file."""

from __future__ import annotations

from collections.abc import Callable

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.finding import Finding, read, show, write

FINDINGS: dict[str, Callable[[Evidence], Finding | None]] = {}
"""What is looked for, by the name of its finding, what spoils a run most first."""


def diagnose(evidence: Evidence) -> tuple[Finding, ...]:
    """Return what is found in a run, troubles before warnings."""
    found = [finding for find in FINDINGS.values() if (finding := find(evidence)) is not None]
    return tuple(sorted(found, key=lambda finding: finding.severity != "trouble"))


__all__ = ["FINDINGS", "Evidence", "Finding", "diagnose", "read", "show", "write"]
