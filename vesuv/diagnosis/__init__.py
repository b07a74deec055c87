"""Diagnosis: what is the matter with a run, shown by evidence, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.findings import FINDINGS, all_findings
from vesuv.diagnosis.objectives import compare
from vesuv.diagnosis.render import show
from vesuv.runs.records import Finding


def diagnose(run: Evidence | str | Path) -> tuple[Finding, ...]:
    """Return what is the matter with a run, troubles before warnings.

    Args:
        run: What is known of it, or its folder.

    Raises:
        InputError: The folder holds no configuration that can be read.
    """
    evidence = run if isinstance(run, Evidence) else Evidence.read(Path(run))
    judged = [find(evidence) for find in all_findings().values()]
    findings = [finding for finding in judged if finding is not None]
    return tuple(sorted(findings, key=lambda finding: finding.severity != "trouble"))


__all__ = ["FINDINGS", "Evidence", "Finding", "compare", "diagnose", "show"]
