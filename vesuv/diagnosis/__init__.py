"""Findings: evidence of a run in, what is the matter and what to do out; one finding a file."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.finding import Finding, read, show, write
from vesuv.diagnosis.findings import FINDINGS
from vesuv.diagnosis.objectives import compare


def diagnose(evidence: Evidence) -> tuple[Finding, ...]:
    """Return what is found in a run, troubles before warnings."""
    found = [finding for find in FINDINGS.values() if (finding := find(evidence)) is not None]
    return tuple(sorted(found, key=lambda finding: finding.severity != "trouble"))


__all__ = ["FINDINGS", "Evidence", "Finding", "compare", "diagnose", "read", "show", "write"]
