"""Steps of each arm that take the minutes of the budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from vesuv.io.tables import read_json_or_none, write_json
from vesuv.studies.detectors import StudyConfig
from vesuv.studies.jobs import make_job
from vesuv.studies.processes import JobFailed, Worker
from vesuv.studies.records import Job
from vesuv.studies.study_file import Study
from vesuv.types import Say

FILE = "timing.json"
_ROUNDS = 2
"""Every arm is timed, then every arm again, so that a slow minute hits none alone."""
_SHARE = 0.05
"""Duration of a timing as a share of the budget."""
_MIN_SECONDS, _MAX_SECONDS = 5.0, 60.0


def num_steps_by_arm(
    study: Study, output: Path, configs: Mapping[str, StudyConfig], worker: Worker, say: Say
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the number of steps of each arm, and why an arm cannot be timed.

    Times are kept in timing.json: a study that goes on trains the same number of steps.

    Args:
        study: The study.
        output: Its folder.
        configs: Configuration of each arm.
        worker: Times the steps.
        say: Called with each message.
    """
    budget = study.settings.budget
    if budget.steps is not None:
        return dict.fromkeys(configs, budget.steps), {}
    assert budget.minutes is not None
    seconds = 60 * budget.minutes
    jobs = _timing_jobs(study, output, configs)
    times, faults = _times(jobs, output / FILE, seconds, worker, say)
    return {arm: max(1, round(seconds / time)) for arm, time in times.items()}, faults


def _timing_jobs(study: Study, output: Path, configs: Mapping[str, StudyConfig]) -> list[Job]:
    fold, seed = study.settings.folds[0], study.settings.seeds[0]
    return [make_job(study, output, arm, configs[arm.name], fold, seed) for arm in study.arms]


def _times(
    jobs: list[Job], file: Path, seconds: float, worker: Worker, say: Say
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the seconds of a step of each arm: those in the file, others are measured."""
    known = _read(file)
    times = {job.arm: known[job.arm][1] for job in jobs if _is_known(job, known)}
    missing = [job for job in jobs if job.arm not in times]
    measured: dict[str, list[float]] = {job.arm: [] for job in missing}
    faults: dict[str, str] = {}
    duration = min(max(_SHARE * seconds, _MIN_SECONDS), _MAX_SECONDS)
    for _ in range(_ROUNDS):
        for job in missing:
            if job.arm in faults:
                continue
            try:
                measured[job.arm].append(worker.time(job, duration))
            except JobFailed as fault:
                faults[job.arm] = str(fault)
    for job in missing:
        if job.arm in faults:
            say(f"{job.arm}: failed while its steps were timed: {faults[job.arm]}")
            continue
        times[job.arm] = mean(measured[job.arm])
        known[job.arm] = (list(job.changes), times[job.arm])
        say(f"{job.arm}: {times[job.arm]:.3g} s a step, {round(seconds / times[job.arm])} steps")
    if missing:
        arms = {
            arm: {"changes": changes, "seconds": time} for arm, (changes, time) in known.items()
        }
        write_json(file, {"arms": arms})
    return times, faults


def _is_known(job: Job, known: Mapping[str, tuple[list[str], float]]) -> bool:
    return job.arm in known and known[job.arm][0] == list(job.changes)


def _read(file: Path) -> dict[str, tuple[list[str], float]]:
    arms: Any = (read_json_or_none(file) or {}).get("arms", {})
    return {arm: (entry["changes"], float(entry["seconds"])) for arm, entry in arms.items()}
