"""Diagnosis: faults of a run, their evidence and their remedies."""

from __future__ import annotations

from pathlib import Path

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.findings import FINDINGS, all_findings
from vesuv.diagnosis.objectives import compare
from vesuv.diagnosis.remedies import without_contradictions
from vesuv.diagnosis.render import finding_lines
from vesuv.runs.records import Finding


def diagnose(run: Evidence | str | Path) -> tuple[Finding, ...]:
    """Return the findings of a run, troubles before warnings.

    No two remedies move a key in opposite directions: the finding that comes first in `FINDINGS`
    keeps its remedy, the other one points to it.

    Args:
        run: The run's evidence, or its folder.

    Raises:
        InputError: The folder holds no configuration that can be read.
    """
    evidence = run if isinstance(run, Evidence) else Evidence.read(Path(run))
    results = [detect(evidence) for detect in all_findings().values()]
    findings = without_contradictions(
        (finding for finding in results if finding is not None), evidence.config
    )
    return tuple(sorted(findings, key=lambda finding: finding.severity != "trouble"))


__all__ = ["FINDINGS", "Evidence", "Finding", "compare", "diagnose", "finding_lines"]
