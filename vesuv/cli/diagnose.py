"""vesuv diagnose: faults of runs that are finished, running or killed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from vesuv.cli.console import console
from vesuv.cli.options import Runs, Switch, several
from vesuv.cli.study import check_finished, print_result, use_threads, whole_numbers
from vesuv.diagnosis import Evidence, Finding, compare, finding_lines
from vesuv.diagnosis import diagnose as find_faults
from vesuv.diagnosis.objectives import best_validation
from vesuv.errors import InputError
from vesuv.io.atomic import catch_write_errors
from vesuv.report.page import write_page
from vesuv.report.study import NAME as STUDY_PAGE
from vesuv.runs.folder import RunFolder
from vesuv.runs.writer import write_diagnosis
from vesuv.studies.processes import ProcessWorker
from vesuv.studies.remedies import default_folder, default_seeds, remedy_study, try_remedies
from vesuv.studies.study_file import Budget, Study

_Minutes = Annotated[float | None, Parameter("--try", validator=Number(gt=0))]
_Steps = Annotated[int | None, Parameter("--steps", validator=Number(gte=1))]


def diagnose(
    *,
    run: Runs,
    minutes: _Minutes = None,
    steps: _Steps = None,
    seeds: Annotated[tuple[str, ...], several("--seeds")] = (),
    output: Path | None = None,
    resume: Switch = False,
) -> None:
    """Say what is the matter with runs and what to do about it; several are compared.

    Writes each run's diagnosis.json and page. Reads only the run folders, and the summary of the
    prepared data where it exists. Trains nothing without --try or --steps: these train the run's
    configuration with each remedy, and with all, on the same fold and seeds, and compare the
    scores.

    Args:
        run: Run folders, log/<config>/fold_<k> …
        minutes: Try the remedies of one run: minutes of each training.
        steps: The same, with the optimiser steps of each training.
        seeds: Seeds of the trainings … (default: the run's and the next one).
        output: Folder of the trainings (default <run>/remedies).
        resume: Go on with trainings that were interrupted, or with more seeds.
    """
    budget = _budget(run, minutes, steps)
    if budget is None and (seeds or output is not None or resume):
        raise InputError(
            "--seeds, --output, --resume: belong to the trial of remedies; give --try MINUTES too, "
            "or leave them out"
        )
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
    if budget is not None:
        folder = RunFolder(runs[0].path)
        numbers = _numbers(seeds) or default_seeds(folder)
        place = output or default_folder(folder)
        study = remedy_study(folder, find_faults(runs[0]), budget, numbers, place)
        _try(out, folder, study, resume=resume)


def _budget(runs: Sequence[Path], minutes: float | None, steps: int | None) -> Budget | None:
    if minutes is None and steps is None:
        return None
    if minutes is not None and steps is not None:
        raise InputError("--steps: --try gives the length of the trainings already; give one")
    if len(runs) > 1:
        raise InputError(f"--run: remedies are tried for one run, found {len(runs)}; name one")
    return Budget(minutes=minutes, steps=steps)


def _numbers(seeds: tuple[str, ...]) -> tuple[int, ...]:
    numbers = tuple(map(int, whole_numbers("seeds", seeds)))
    if len(set(numbers)) < len(numbers):
        raise InputError(f"--seeds: names each number once, found {' '.join(seeds)}")
    return numbers


def _try(out: Console, run: RunFolder, study: Study, *, resume: bool) -> None:
    """Train the arms, and print what each brought and the command to go on with."""
    for note in study.notes:
        out.print(note)
    if len(study.arms) == 1:
        out.print("Nothing is trained: there is no remedy that can be tried.")
        return
    for arm in study.arms:
        out.print(f"{arm.name}: {', '.join(arm.changes) or 'the configuration of the run'}")
    out.print(f"{study.num_runs} trainings in {study.path}")
    worker = ProcessWorker(use_threads)
    records, sentences = try_remedies(
        run, study, worker, resume=resume, say=lambda line: out.print(line)
    )
    print_result(out, study, records)
    out.print(f"page: {study.path / STUDY_PAGE}")
    for sentence in sentences:
        out.print(sentence)
    check_finished(study.path, records)


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
