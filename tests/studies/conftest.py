"""A study of two arms on the tiny data, and a worker that trains nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import tiny_tree
from vesuv.errors import Interrupted
from vesuv.studies.processes import JobFailed
from vesuv.studies.records import CurvePoint, Job, Record


@pytest.fixture
def study_tree(tiny_data: Path, tmp_path: Path) -> dict[str, Any]:
    """The content of a study file; its base lies beside it."""
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(tiny_tree(tiny_data, tmp_path / "store")))
    return {
        "study": {
            "base": "base.yaml",
            "folds": [0, 1],
            "seeds": [0],
            "budget": {"steps": 4},
        },
        "arms": {"today": {}, "more filters": {"model.filters": 6}},
    }


@pytest.fixture
def study_file(study_tree: dict[str, Any], tmp_path: Path) -> Path:
    return written(study_tree, tmp_path)


def written(tree: dict[str, Any], folder: Path) -> Path:
    """Write a study file."""
    file = folder / "sizes.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    return file


@dataclass
class FakeWorker:
    """Gives every run a made-up score, and fails or stops where it is told to."""

    scores: dict[str, float] = field(default_factory=dict)
    """Job in words -> Dice."""
    failing: str = ""
    """Job that fails."""
    stops_at: str = ""
    """Job at which a signal comes."""
    step_seconds: dict[str, float] = field(default_factory=dict)
    """Arm -> seconds of a step; an arm without them cannot be timed."""
    curve: tuple[CurvePoint, ...] = ()
    """Curve of every run."""
    jobs: list[Job] = field(default_factory=list)
    timed: list[str] = field(default_factory=list)

    def train_all(self, jobs: Sequence[Job]) -> Iterator[Record]:
        return map(self._train, jobs)

    def _train(self, job: Job) -> Record:
        if str(job) == self.stops_at:
            raise Interrupted("stopped by a signal; go on with --resume")
        self.jobs.append(job)
        scores = {"dice": self.scores.get(str(job), 0.5)}
        record = Record(
            job.arm, job.fold, job.seed, "finished", job.changes, minutes=0.5, steps=4,
            parameters=123, checkpoint=job.checkpoint, scores=scores,
            curve=self.curve, curve_name="dice",
        )  # fmt: skip
        if str(job) == self.failing:
            record = Record.failure(job, "no memory was left")
        record.write(job.record_file)
        return record

    def time(self, job: Job, seconds: float) -> float:
        assert seconds >= 5
        self.timed.append(job.arm)
        if job.arm not in self.step_seconds:
            raise JobFailed("the network does not fit")
        return self.step_seconds[job.arm]
