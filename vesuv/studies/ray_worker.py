"""Jobs on the workers of a Ray cluster (extra `ray`), several at a time.

All workers need the paths of the data and of the study's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vesuv.errors import Interrupted
from vesuv.runtime.ray_cluster import ray_cluster
from vesuv.studies.detectors import StudyConfig
from vesuv.studies.processes import JobFailed, job_record
from vesuv.studies.records import Job, Record

SetThreads = Callable[[StudyConfig, int], None]
"""Called first in each process with the number of its CPUs; it can be pickled."""


@dataclass(frozen=True)
class RayWorker:
    """Runs as many jobs at a time as the cluster has room for, each in a process of its own.

    Args:
        set_up: Called first in each process.
        workers: Jobs at a time; None: one for each GPU, else one for each CPU.
    """

    set_up: SetThreads
    workers: int | None = None

    def train_all(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """Train and score jobs; yield their records as they finish.

        Raises:
            InputError: Ray is not installed.
            Interrupted: A signal came; what was trained is saved.
        """
        if not jobs:
            return
        with ray_cluster() as ray:
            try:
                yield from self._run(ray, jobs)
            except KeyboardInterrupt:
                raise Interrupted("stopped by a signal; go on with --resume") from None

    def time(self, job: Job, _seconds: float) -> float:
        """Refuse to time steps: those of jobs side by side disturb each other.

        Raises:
            JobFailed: Always; the command line asks for a budget in steps before.
        """
        raise JobFailed(f"steps of {job.arm} cannot be timed beside other runs")

    def _run(self, ray: Any, jobs: Sequence[Job]) -> Iterator[Record]:
        resources = ray.cluster_resources()
        num_cpus = max(int(resources.get("CPU", 1)), 1)
        num_gpus = int(resources.get("GPU", 0))
        count = min(self.workers or num_gpus or num_cpus, len(jobs))
        cpus, gpus = max(num_cpus // count, 1), min(num_gpus / count, 1)
        # A process of its own for each job, which is not repeated where it dies: --resume does it.
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1, max_retries=0)(_train)
        running = {task.remote(job, self.set_up, cpus): job for job in jobs}
        while running:
            (done,), _ = ray.wait(list(running))
            job = running.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as fault:
                yield _failure(job, fault)


def _train(job: Job, set_up: SetThreads, cpus: int) -> Record:
    return job_record(job, lambda config: set_up(config, cpus))


def _failure(job: Job, fault: Exception) -> Record:
    """Record that the process of a job ended without a result."""
    last_line = str(fault).strip().rpartition("\n")[2]
    record = Record.failure(job, f"its worker ended (killed, or out of memory): {last_line:.200}")
    record.write(job.record_file)
    return record
