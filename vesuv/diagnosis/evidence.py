"""The evidence that findings judge: a run's history and the labels of its prepared data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from vesuv.config import Config
from vesuv.errors import InputError
from vesuv.io.tables import read_json_or_none
from vesuv.runs.folder import RunFolder
from vesuv.runs.history import Metrics, Point, RunHistory
from vesuv.runs.records import LabelShares, Observation, RunEvent, RunFacts


@dataclass(frozen=True)
class Evidence:
    """The readable part of a run; fields are empty where a file is missing or cut short."""

    path: Path
    config: Config
    metrics: Metrics = field(default_factory=Metrics)
    events: tuple[RunEvent, ...] = ()
    observations: tuple[Observation, ...] = ()
    """By epoch."""
    labels: LabelShares | None = None
    """From the summary of the prepared data, or from its copy in evidence.jsonl."""
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
        recorded_labels = (line.labels for line in history.observations)
        return cls(
            path=path,
            config=history.config or RunFolder(path).config,
            metrics=history.metrics,
            events=history.events,
            observations=history.observations,
            labels=(read_labels(Path(store)) if store else None)
            or next((labels for labels in recorded_labels if labels is not None), None),
            facts=history.facts,
        )

    @property
    def epoch(self) -> int:
        """The last epoch with metrics or observations; -1 before the first."""
        last_epoch = self.metrics.last_epoch
        epochs = [] if last_epoch is None else [last_epoch]
        return max([*epochs, *(line.epoch for line in self.observations[-1:])], default=-1)

    def value_at(self, name: str, epoch: int) -> float | None:
        """Return the value of a column at an epoch."""
        return self.metrics.value_at(name, epoch)

    def points(self, name: str) -> list[Point]:
        """Return (epoch, value) of a column, without empty cells."""
        return self.metrics.points(name)

    def last_values(self, name: str, num: int) -> list[float]:
        """Return the last `num` values of a column, or all when there are fewer."""
        return [value for _, value in self.points(name)[-num:]]

    def weights(self, epoch: int) -> dict[str, float]:
        """Return the weight of each loss term in an epoch; terms of weight 0 are left out."""
        names = [name for name in self.metrics.columns if name.startswith("weight/")]
        weights = {name.removeprefix("weight/"): self.value_at(name, epoch) for name in names}
        return {name: weight for name, weight in weights.items() if weight}

    @property
    def validation_epochs(self) -> list[int]:
        """Epochs with a validation."""
        return [epoch for epoch, _ in self.points("val/dice")]


def read_labels(store: Path) -> LabelShares | None:
    """Return the label shares in the summary of a store; None without a summary."""
    for name in ("summary.json", "census.json"):  # census.json: the name in older stores
        try:
            return LabelShares.model_validate(read_json_or_none(store / name))
        except ValidationError:
            continue
    return None
