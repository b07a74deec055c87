"""vesuv study: arms that differ in configuration, on the same folds, seeds and budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from rich.console import Console

from vesuv.cli.console import console
from vesuv.cli.options import Changes, DryRun, Switch, several
from vesuv.cli.tables import rich_table
from vesuv.curves.config import CurvesConfig
from vesuv.errors import InputError
from vesuv.report.study import NAME as PAGE
from vesuv.runtime.machine import for_training, resolve
from vesuv.studies.detectors import StudyConfig
from vesuv.studies.jobs import arm_configs
from vesuv.studies.processes import ProcessWorker, Worker
from vesuv.studies.ray_worker import RayWorker
from vesuv.studies.records import Record
from vesuv.studies.run_study import check_output, default_folder, run_study
from vesuv.studies.study_file import Study, read_study
from vesuv.studies.tables import overview_table


def study(
    file: Path,
    /,
    *,
    changes: Changes = (),
    folds: Annotated[tuple[str, ...], several("--folds")] = (),
    seeds: Annotated[tuple[str, ...], several("--seeds")] = (),
    arms: Annotated[tuple[str, ...] | None, several("--arms")] = None,
    output: Path | None = None,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    resume: Switch = False,
    dry_run: DryRun = False,
) -> None:
    """Compare configurations that are trained on the same folds, seeds and budget.

    Arms are trained in turn, each run in a process of its own, and scored on the whole volumes of
    its fold. A run that fails is recorded, and the study goes on.

    Args:
        file: Study file (YAML), or the name of one in configs/studies, as terms.
        changes: Changes to the base for all arms, section.key=value …, or to the study:
            study.budget.minutes=1 …
        folds: Folds … (default: those of the file).
        seeds: Seeds … (default: those of the file).
        arms: Names of arms … (default: all); the others are compared with the first one.
        output: Folder of the study (default log/studies/<name>).
        engine: local: one run after the other; ray: side by side on the workers of a Ray cluster,
            for a budget in steps.
        workers: Runs at a time of --engine ray (default: one for each GPU, else for each CPU).
        resume: Go on with a study, with the same options; finished runs are not repeated, failed
            ones are.
        dry_run: Check the configurations, say what would be trained, and write nothing.
    """
    lists = [
        f"study.{key}=[{', '.join(whole_numbers(key, words))}]"
        for key, words in {"folds": folds, "seeds": seeds}.items()
        if words
    ]
    settings = read_study(file, [*changes, *lists], arms)
    folder = output or default_folder(settings)
    out = console()
    check_engine(engine, workers, settings)
    if dry_run:
        check_output(settings, folder, resume=resume)
        _print_plan(out, settings, folder)
        return
    worker: Worker = ProcessWorker(use_threads)
    if engine == "ray":
        worker = RayWorker(use_cpus, workers)
    result = run_study(settings, folder, worker, resume=resume, say=lambda line: out.print(line))
    print_result(out, settings, result.records)
    out.print(f"written: study.csv, study.md and curves.png in {folder}; page: {folder / PAGE}")
    check_finished(folder, result.records)


def use_threads(config: StudyConfig) -> None:
    """Set the number of PyTorch threads of a process that trains."""
    if isinstance(config, CurvesConfig):
        torch.set_num_threads(resolve(config.runtime.shared()).threads)
        return
    torch.set_num_threads(for_training(resolve(config.runtime), config).threads)


def use_cpus(_config: StudyConfig, cpus: int) -> None:
    """Set the number of PyTorch threads of a process that shares its machine."""
    torch.set_num_threads(cpus)


def check_engine(engine: str, workers: int | None, settings: Study) -> None:
    """Refuse workers without a cluster, and minutes of runs that disturb each other.

    Raises:
        InputError: Names the option.
    """
    if workers is not None and (engine == "local" or workers < 1):
        raise InputError(
            f"--workers: runs at a time of --engine ray, 1 or more, found {workers} with --engine "
            f"{engine}; leave it out"
        )
    if engine == "ray" and settings.settings.budget.steps is None:
        raise InputError(
            "--engine ray: runs side by side are not equally fast, so that minutes are no equal "
            "budget; give --set study.budget.steps=N"
        )


def whole_numbers(key: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of --`key`.

    Raises:
        InputError: One is no whole number.
    """
    for word in words:
        if not (word.isascii() and word.isdigit()):
            raise InputError(f"--{key}: must be whole numbers from 0, found {word!r:.60}")
    return words


def check_finished(folder: Path, records: Sequence[Record]) -> None:
    """Refuse records of failed runs.

    Raises:
        InputError: There are some.
    """
    failed = [record for record in records if not record.is_finished]
    if failed:
        raise InputError(
            f"{folder}: {len(failed)} of {len(records)} runs failed, study.md names them; correct "
            "the cause, then --resume trains them again"
        )


def print_result(out: Console, settings: Study, records: Sequence[Record]) -> None:
    """Print the table of the arms, and the runs that failed."""
    names = [arm.name for arm in settings.arms]
    if any(record.is_finished for record in records):
        out.print(rich_table(overview_table(names, records)))
    for record in records:
        if not record.is_finished:
            place = f"{record.arm}, fold {record.fold}, seed {record.seed}"
            out.print(f"failed: {place}: {record.message}")


def _print_plan(out: Console, settings: Study, folder: Path) -> None:
    arm_configs(settings)
    budget = settings.settings.budget
    length = f"{budget.steps} steps" if budget.minutes is None else f"{budget.minutes:g} minutes"
    out.print(f"would train: {settings.num_runs} runs of {length}")
    for arm in settings.arms:
        out.print(f"{arm.name}: {', '.join(arm.changes) or 'the base'}")
    out.print(f"would write: {folder}")
