"""One training of a study: what is asked of it, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from vesuv.config.labels import LabelsConfig
from vesuv.io.tables import read_json_or_none, write_json

CurvePoint = tuple[float, int, float]
"""Minutes of training, steps, and the measure on the validation tiles."""


@dataclass(frozen=True)
class Job:
    """One arm on one fold with one seed; another process can receive it."""

    arm: str
    fold: int
    seed: int
    base: Path
    """Configuration file that the changes apply to."""
    changes: tuple[str, ...]
    """All differences to the base: those of the command line, the arm and the study."""
    run: Path
    """Folder of the run."""
    checkpoint: str
    """Name of the checkpoint that is scored."""
    measures: tuple[str, ...]
    selection: bool
    """Whether the threshold is selected as well."""
    held_out: tuple[Path, Path] | None
    """Folders of images and labels of further cases."""
    labels: LabelsConfig | None = field(default=None, hash=False)
    """How labels are read where arms read them differently: only the further cases are scored, all
    with these classes. None: as the run reads them."""

    @property
    def record_file(self) -> Path:
        """File of the job's `Record`, beside the run."""
        return self.run.with_name(f"{self.run.name}.json")

    def __str__(self) -> str:
        return _name(self.arm, self.fold, self.seed)


@dataclass(frozen=True)
class Record:
    """Result of a job."""

    arm: str
    fold: int
    seed: int
    status: Literal["finished", "failed"]
    changes: tuple[str, ...]
    message: str = ""
    """What ended a failed job."""
    minutes: float = math.nan
    """Minutes of training, without validation."""
    steps: int = 0
    parameters: int = 0
    """Trainable weights of the network."""
    checkpoint: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Column -> mean over the cases."""
    cases: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Case id -> column -> value."""
    curve: tuple[CurvePoint, ...] = ()
    curve_name: str = ""
    """Measure of the curve."""

    @classmethod
    def failure(cls, job: Job, message: str) -> Record:
        return cls(job.arm, job.fold, job.seed, "failed", job.changes, message)

    @property
    def name(self) -> str:
        """The job in words."""
        return _name(self.arm, self.fold, self.seed)

    @property
    def is_finished(self) -> bool:
        return self.status == "finished"

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))


def read_record(path: Path) -> Record | None:
    """Return the record in a file; None where it is missing or damaged."""
    content = read_json_or_none(path)
    if content is None or not Record.__annotations__.keys() <= content.keys():
        return None
    values: dict[str, Any] = {name: content[name] for name in Record.__annotations__}
    values |= {
        "minutes": _number(values["minutes"]),
        "changes": tuple(values["changes"]),
        "scores": _numbers(values["scores"]),
        "cases": {name: _numbers(row) for name, row in values["cases"].items()},
        "curve": tuple((point[0], point[1], _number(point[2])) for point in values["curve"]),
    }
    return Record(**values)


def run_name(fold: int, seed: int) -> str:
    """Return the name of a run's folder."""
    return f"fold_{fold}_seed_{seed}"


def finished(records: Sequence[Record]) -> list[Record]:
    """Return the records with scores."""
    return [record for record in records if record.is_finished]


def _name(arm: str, fold: int, seed: int) -> str:
    return f"{arm}, fold {fold}, seed {seed}"


def _numbers(row: Mapping[str, float | None]) -> dict[str, float]:
    return {name: _number(value) for name, value in row.items()}


def _number(value: float | None) -> float:
    return math.nan if value is None else value
