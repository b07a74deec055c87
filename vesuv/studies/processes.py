"""Jobs in processes of their own: memory is freed, and a crash ends one job alone."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vesuv.config import load_config
from vesuv.errors import RESUME, InputError, Interrupted
from vesuv.io.atomic import write_text
from vesuv.io.tables import read_json_or_none, write_json
from vesuv.studies.detectors import StudyConfig, load_study_config
from vesuv.studies.records import Job, Record, read_record
from vesuv.studies.work import time_step_of, train_and_score

SetUp = Callable[[StudyConfig], None]
"""Called first in each process; it can be pickled."""


class JobFailed(Exception):  # noqa: N818 - it is recorded, the study goes on
    """A job ended without a result."""


class Worker(Protocol):
    """What runs the jobs of a study."""

    def train_all(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """Train and score jobs; yield their records, of failures too, as they finish.

        Raises:
            Interrupted: A signal came; the run is saved.
        """

    def time(self, job: Job, seconds: float) -> float:
        """Return the seconds of a step.

        Raises:
            JobFailed: It cannot be trained.
            Interrupted: A signal came.
        """


@dataclass(frozen=True)
class ProcessWorker:
    """Runs each job in a process of its own, one after the other."""

    set_up: SetUp

    def train_all(self, jobs: Sequence[Job]) -> Iterator[Record]:
        return map(self.train, jobs)

    def train(self, job: Job) -> Record:
        job.record_file.unlink(missing_ok=True)
        status = _run(_train, job, self.set_up)
        record = read_record(job.record_file)
        if record is None:
            record = Record.failure(job, _reason(status))
            record.write(job.record_file)
        return record

    def time(self, job: Job, seconds: float) -> float:
        file = job.run.with_name("timing.json")
        file.unlink(missing_ok=True)
        status = _run(_time, job, self.set_up, seconds, file)
        content = read_json_or_none(file) or {"message": _reason(status)}
        file.unlink(missing_ok=True)
        if "seconds" not in content:
            raise JobFailed(content["message"])
        return float(content["seconds"])


def _run(target: Callable[..., None], *arguments: object) -> int:
    """Run a function in a process; return its exit status.

    Raises:
        Interrupted: A signal came to this process or to that one, which has saved its run.
    """
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        process.terminate()  # SIGTERM: the run is saved
        process.join()
        raise Interrupted("stopped by a signal; go on with --resume") from None
    status = process.exitcode or 0
    process.close()
    if status == RESUME:
        raise Interrupted("stopped by a signal; go on with --resume")
    return status


def _reason(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status}"
    name = signal.Signals(-status).name
    hint = ", perhaps because the memory was used up" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"


def _train(job: Job, set_up: SetUp) -> None:
    try:
        job_record(job, set_up)
    except (Interrupted, KeyboardInterrupt):
        sys.exit(RESUME)


def job_record(job: Job, set_up: SetUp) -> Record:
    """Train and score a job in this process; write and return its record, of a failure too.

    Raises:
        Interrupted: A signal came; the run is saved.
    """
    try:
        set_up(load_study_config(job.base, job.changes))
        record = train_and_score(job)
    except Interrupted:
        raise
    except Exception as fault:
        record = Record.failure(job, _message(fault))
        if not isinstance(fault, InputError):
            write_text(job.run.with_name(f"{job.run.name}.error.txt"), traceback.format_exc())
    record.write(job.record_file)
    return record


def _time(job: Job, set_up: SetUp, seconds: float, file: Path) -> None:
    try:
        set_up(load_config(job.base, job.changes))
        write_json(file, {"seconds": time_step_of(job, seconds)})
    except (Interrupted, KeyboardInterrupt):
        sys.exit(RESUME)
    except Exception as fault:
        write_json(file, {"message": _message(fault)})


def _message(fault: Exception) -> str:
    """Return the first line of an error; of one that is not the user's with its type."""
    lines = str(fault).splitlines() or [""]
    return lines[0] if isinstance(fault, InputError) else f"{type(fault).__name__}: {lines[0]}"
