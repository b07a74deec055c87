"""vesuv diagnose: faults of runs that are finished, running or killed."""

from __future__ import annotations

from collections.abc import Sequence

from vesuv.cli.console import console
from vesuv.cli.options import Runs
from vesuv.diagnosis import Evidence, Finding, compare, finding_lines
from vesuv.diagnosis import diagnose as find_faults
from vesuv.diagnosis.objectives import best_validation
from vesuv.io.atomic import catch_write_errors
from vesuv.report.page import write_page
from vesuv.runs.folder import RunFolder
from vesuv.runs.writer import write_diagnosis


def diagnose(*, run: Runs) -> None:
    """Say what is the matter with runs and what to do about it; several are compared.

    Writes each run's diagnosis.json and page. Reads only the run folders, and the summary of the
    prepared data where it exists; trains nothing.

    Args:
        run: Run folders, log/<config>/fold_<k> …
    """
    out = console()
    runs = [Evidence.read(path) for path in run]
    for evidence in runs:
        findings = find_faults(evidence)
        with catch_write_errors(evidence.path):
            write_diagnosis(RunFolder(evidence.path), max(0, evidence.epoch), findings)
            write_page(evidence.path)
        for line in _report(evidence, findings):
            out.print(line)
    if len(runs) > 1:
        for line in _comparison(runs):
            out.print(line)


def _report(evidence: Evidence, findings: Sequence[Finding]) -> list[str]:
    if evidence.epoch < 0:
        extent = "no epoch is finished yet"
    else:
        extent = f"as of epoch {evidence.epoch}"
        if not evidence.observations:
            extent += "; without evidence.jsonl most findings cannot be told"
    if not findings:
        return [f"{evidence.path} ({extent}): no findings"]
    troubles = sum(finding.severity == "trouble" for finding in findings)
    counted = f"{troubles} trouble{'' if troubles == 1 else 's'}, {len(findings) - troubles} "
    counted += "warning" if len(findings) - troubles == 1 else "warnings"
    return [f"{evidence.path} ({extent}): {counted}", *finding_lines(findings)]


def _comparison(runs: Sequence[Evidence]) -> list[str]:
    """List runs by the first one's measure, best first, and report if losses are comparable."""
    measure = runs[0].config.validation.measure
    run_scores = [(run, best_validation(run, measure)) for run in runs]
    run_scores.sort(key=lambda pair: -pair[1][1] if pair[1] is not None else 1.0)
    lines = [f"By the best {measure} on the fixed tiles:"]
    for run, point in run_scores:
        score = "no validation" if point is None else f"{point[1]:.4f} at epoch {point[0]}"
        lines.append(f"  {run.path}: {score}")
    difference = compare(runs)
    if difference is not None:
        return [*lines, *finding_lines([difference])]
    same = "The runs minimise the same function on the same tiles: their losses may be compared."
    return [*lines, same]
