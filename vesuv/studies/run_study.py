"""Runs a study: every arm in turn on each fold and seed, and its tables after each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.config.differences import flat_values
from vesuv.curves.config import CurvesConfig
from vesuv.errors import InputError
from vesuv.io.lock import hold_lock
from vesuv.io.places import contains
from vesuv.io.tables import read_json_or_none, write_json
from vesuv.studies.detectors import StudyConfig
from vesuv.studies.jobs import arm_configs, jobs_in_turn, prepare_data
from vesuv.studies.processes import Worker
from vesuv.studies.records import Job, Record, read_record
from vesuv.studies.study_file import Study
from vesuv.studies.tables import write_tables
from vesuv.studies.timing import num_steps_by_arm
from vesuv.types import Say, silent

FILE = "study.json"
_LOCKED = "{output}: another process runs this study ({{holder}}); wait for it"


@dataclass(frozen=True)
class StudyResult:
    """What a study measured."""

    folder: Path
    records: tuple[Record, ...]
    """One for each arm, fold and seed, failed ones too."""


def default_folder(study: Study) -> Path:
    """Return the default folder of a study."""
    return Path("log") / "studies" / study.name


def run_study(
    study: Study, output: Path, worker: Worker, *, resume: bool = False, say: Say = silent
) -> StudyResult:
    """Train and score all arms.

    Args:
        study: The study.
        output: Its folder.
        worker: Runs the jobs.
        resume: Go on with a study that was begun; finished runs are not repeated, failed ones are.
        say: Called with each message.

    Raises:
        InputError: The study, its data or its folder cannot be used.
        Interrupted: A signal came; what was trained is saved.
    """
    check_output(study, output, resume=resume)
    configs = arm_configs(study)
    prepare_data(study, configs)
    output.mkdir(parents=True, exist_ok=True)
    with hold_lock(output / "study.lock", _LOCKED.format(output=output)):
        return StudyResult(output, tuple(_run(study, output, configs, worker, say)))


def _run(
    study: Study, output: Path, configs: dict[str, StudyConfig], worker: Worker, say: Say
) -> list[Record]:
    """Time, train and score; return the records in the order of the table."""
    settings = {arm: flat_values(config) for arm, config in configs.items()}
    _check_same_settings(output, settings)
    write_json(
        output / FILE,
        {
            "study": study.path.resolve(),
            "settings": study.settings.model_dump(mode="json"),
            "changes": study.changes,
            "arms": {arm.name: arm.changes for arm in study.arms},
            "configurations": settings,
        },
    )
    num_steps, faults = num_steps_by_arm(study, output, configs, worker, say)
    jobs = jobs_in_turn(study, output, configs, num_steps)
    failed = _untimed(study, output, configs, faults)
    records = {str(job): Record.failure(job, faults[job.arm]) for job in failed}
    earlier = _finished_records(jobs)
    for number, (job, record) in enumerate(earlier.items(), start=1):
        records[str(job)] = record
        say(f"{number}/{len(jobs)} {_line(job, record, is_earlier=True)}")
    missing = {str(job): job for job in jobs if job not in earlier}
    order = [*map(str, failed), *map(str, jobs)]
    for number, record in enumerate(worker.train_all(list(missing.values())), len(earlier) + 1):
        job = missing[record.name]
        records[record.name] = record
        say(f"{number}/{len(jobs)} {_line(job, record, is_earlier=False)}")
        write_tables(study, output, [records[name] for name in order if name in records])
    in_order = [records[name] for name in order]
    write_tables(study, output, in_order)
    return in_order


def check_output(study: Study, output: Path, *, resume: bool) -> None:
    """Refuse a folder that holds a study, or none to go on with.

    Raises:
        InputError: It does.
    """
    begun = (output / FILE).is_file()
    if begun and not resume:
        raise InputError(
            f"{output}: holds a study already; --resume goes on with it, --output DIR writes "
            "elsewhere"
        )
    if resume and not begun:
        raise InputError(f"{output}: holds no study to go on with; leave --resume out")
    for config in arm_configs(study).values() if not begun else ():
        root = config.logs.root if isinstance(config, CurvesConfig) else config.data.root
        if contains(output, Path(root)):
            raise InputError(
                f"--output: {output} must not hold the raw data {root}; name a folder of its own"
            )


def _check_same_settings(output: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse to go on with arms that were trained with another base file than it is now.

    Args:
        output: Folder of the study.
        settings: Arm -> dotted key -> value.

    Raises:
        InputError: Names the first such arm and key.
    """
    former = (read_json_or_none(output / FILE) or {}).get("configurations", {})
    records = map(read_record, sorted(output.glob("*/fold_*.json")))
    for arm in {record.arm: None for record in records if record and record.is_finished}:
        now = settings.get(arm, {})
        for key, value in former.get(arm, {}).items():
            if now.get(key, value) != value:
                raise InputError(
                    f"{output}: arm {arm} was trained with other settings than the study has now "
                    f"({key}={value} before, {key}={now[key]} now); write elsewhere with "
                    "--output DIR"
                )


def _untimed(
    study: Study, output: Path, configs: dict[str, StudyConfig], faults: dict[str, str]
) -> list[Job]:
    """Return the jobs of arms that failed while their steps were timed."""
    return jobs_in_turn(study, output, configs, dict.fromkeys(faults, 1))


def _finished_records(jobs: Sequence[Job]) -> dict[Job, Record]:
    """Return the records of earlier calls.

    Raises:
        InputError: One was made with other settings.
    """
    records = {}
    for job in jobs:
        record = read_record(job.record_file)
        if record is None or not record.is_finished:
            continue
        if record.changes != job.changes:
            raise InputError(
                f"{job.record_file}: was trained with other settings than the study has now "
                f"({_first_difference(record.changes, job.changes)}); write elsewhere with "
                "--output DIR"
            )
        records[job] = record
    return records


def _first_difference(earlier: Sequence[str], now: Sequence[str]) -> str:
    lost = [change for change in earlier if change not in now]
    added = [change for change in now if change not in earlier]
    return f"{lost[0] if lost else 'nothing'} before, {added[0] if added else 'nothing'} now"


def _line(job: Job, record: Record, *, is_earlier: bool) -> str:
    if not record.is_finished:
        return f"{job}: failed: {record.message}"
    name = job.measures[0]
    value = record.scores.get(name)
    score = f"{name} {value:.4f}, " if value is not None else ""
    done = (
        "finished before" if is_earlier else f"{record.minutes:.2f} minutes, {record.steps} steps"
    )
    return f"{job}: {score}{done}"
