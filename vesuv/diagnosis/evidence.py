"""What the findings look at: a run's history, and what its prepared data hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from vesuv.config import Config, load_config
from vesuv.errors import InputError
from vesuv.io.tables import read_json_or_none
from vesuv.runs.history import Metrics, Point, RunHistory
from vesuv.runs.records import LabelShares, Observation, RunEvent, RunFacts


@dataclass(frozen=True)
class Evidence:
    """A run as far as it is known; empty where a file is missing or a line is half written."""

    path: Path
    config: Config
    metrics: Metrics = field(default_factory=Metrics)
    events: tuple[RunEvent, ...] = ()
    observations: tuple[Observation, ...] = ()
    """By epoch."""
    labels: LabelShares | None = None
    """From the summary of the prepared data, or what was kept of it in evidence.jsonl."""
    facts: RunFacts | None = None

    @classmethod
    def read(cls, path: Path) -> Evidence:
        """Read a run folder.

        Raises:
            InputError: It holds no configuration that can be read.
        """
        if not (path / "config.yaml").is_file():
            raise InputError(
                f"{path}: not a run folder (no config.yaml); name log/<config>/fold_<k>"
            )
        history = RunHistory.read(path)
        store = history.facts.store if history.facts else None
        recorded = (line.labels for line in history.observations)
        return cls(
            path=path,
            config=history.config or load_config(path / "config.yaml"),
            metrics=history.metrics,
            events=history.events,
            observations=history.observations,
            labels=(read_labels(Path(store)) if store else None)
            or next((labels for labels in recorded if labels is not None), None),
            facts=history.facts,
        )

    @property
    def epoch(self) -> int:
        """The last epoch that anything is known of; -1 before the first."""
        last = self.metrics.last_epoch
        epochs = [] if last is None else [last]
        return max([*epochs, *(line.epoch for line in self.observations[-1:])], default=-1)

    def at(self, name: str, epoch: int) -> float | None:
        """Return a column's number of an epoch."""
        return self.metrics.at(name, epoch)

    def points(self, name: str) -> list[Point]:
        """Return (epoch, number) of a column, where there is one."""
        return self.metrics.points(name)

    def values(self, name: str, last: int) -> list[float]:
        """Return a column's `last` numbers, or as many as there are."""
        return [value for _, value in self.points(name)[-last:]]

    def weights(self, epoch: int) -> dict[str, float]:
        """Return the weight of each loss term in an epoch, without those of weight 0."""
        names = [name for name in self.metrics.columns if name.startswith("weight/")]
        weights = {name.removeprefix("weight/"): self.at(name, epoch) for name in names}
        return {name: weight for name, weight in weights.items() if weight}

    @property
    def validated(self) -> list[int]:
        """Epochs with a validation."""
        return [epoch for epoch, _ in self.points("val/dice")]


def read_labels(store: Path) -> LabelShares | None:
    """Return what the summary of prepared data says of the labels; None when it is not there."""
    for name in ("summary.json", "census.json"):  # the name that older versions gave it
        try:
            return LabelShares.model_validate(read_json_or_none(store / name))
        except ValidationError:
            continue
    return None
