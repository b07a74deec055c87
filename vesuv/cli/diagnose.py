"""Say what is the matter with runs: finished, running or killed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vesuv.diagnosis import Evidence, Finding, compare, diagnose, show, write
from vesuv.diagnosis.objectives import best
from vesuv.report.page import write_page
from vesuv.runs.folder import writing


def diagnose_runs(runs: Sequence[Path]) -> dict[Path, tuple[Finding, ...]]:
    """Print each run's findings, write its diagnosis.json and page; compare several.

    Nothing is trained or read but the run folders, and the store's census where it still lies.

    Raises:
        InputError: A folder holds no run, or cannot be written.
    """
    console = Console(highlight=False, soft_wrap=True)
    read = [Evidence.read(run) for run in runs]
    found = {}
    for evidence in read:
        findings = diagnose(evidence)
        with writing(evidence.path):
            write(evidence.path, max(0, evidence.epoch), findings)
            write_page(evidence.path)
        for line in _report(evidence, findings):
            console.print(line, markup=False)
        found[evidence.path] = findings
    if len(read) > 1:
        for line in _comparison(read):
            console.print(line, markup=False)
    return found


def _report(evidence: Evidence, findings: Sequence[Finding]) -> list[str]:
    if evidence.epoch < 0:
        known = "no epoch is finished yet"
    else:
        known = f"as of epoch {evidence.epoch}"
        if not evidence.observations:
            known += "; without evidence.jsonl most findings cannot be told"
    if not findings:
        return [f"{evidence.path} ({known}): no findings"]
    troubles = sum(finding.severity == "trouble" for finding in findings)
    counted = f"{troubles} trouble{'' if troubles == 1 else 's'}, {len(findings) - troubles} "
    counted += "warning" if len(findings) - troubles == 1 else "warnings"
    return [f"{evidence.path} ({known}): {counted}", *show(findings)]


def _comparison(runs: Sequence[Evidence]) -> list[str]:
    """The runs by the first one's measure, best first, and whether their losses may be compared."""
    measure = runs[0].config.validation.measure
    scored = [(run, best(run, measure)) for run in runs]
    scored.sort(key=lambda pair: -pair[1][1] if pair[1] is not None else 1.0)
    lines = [f"By the best {measure} on the fixed tiles:"]
    for run, point in scored:
        told = "no validation" if point is None else f"{point[1]:.4f} at epoch {point[0]}"
        lines.append(f"  {run.path}: {told}")
    differ = compare(runs)
    same = "The runs minimise the same function on the same tiles: their losses may be compared."
    return [*lines, *(show([differ]) if differ is not None else [same])]
