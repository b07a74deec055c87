"""The evidence that findings judge: a run's history and the labels of its prepared data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from vesuv.config import Config
from vesuv.errors import InputError
from vesuv.io.printable import printable
from vesuv.io.tables import read_json_or_none
from vesuv.runs.folder import RunFolder
from vesuv.runs.history import Metrics, Point, RunHistory
from vesuv.runs.observation import ClassSampling, LabelShares, Observation, Structure
from vesuv.runs.records import RunEvent, RunFacts

HIDING = 2.0
"""Voxels of a region that are predicted, per labelled one, from which it hides those below it."""


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

    @property
    def foreground_classes(self) -> list[str]:
        """Names of the foreground classes, or of the regions."""
        return list(self.config.labels.targets.names)

    @property
    def has_several_classes(self) -> bool:
        """Whether there is more than one foreground class or region."""
        return self.config.labels.targets.has_several

    def class_column(self, column: str, name: str) -> str:
        """Name the column of a foreground class: `val/dice[ink]`; of two classes `val/dice`."""
        return printable(f"{column}[{name}]") if self.has_several_classes else column

    def is_hidden(self, name: str) -> bool:
        """Whether a region written over this one is predicted twice as often as labelled.

        What a mask holds of the lower one then says nothing of the network.
        """
        targets = self.config.labels.targets
        if not targets.overlap:
            return False
        place = targets.names.index(name)
        above = zip(targets.names[place + 1 :], targets.written[place + 1 :], strict=True)
        return any(
            self._is_overflowing(other)
            for other, written in above
            if written not in targets.members[place]
        )

    def _is_overflowing(self, name: str) -> bool:
        columns = (f"val/{share}_fraction" for share in ("predicted", "labelled"))
        shares = [self.last_values(self.class_column(column, name), 1) for column in columns]
        return all(shares) and shares[0][0] >= HIDING * shares[1][0] > 0

    @property
    def structures(self) -> dict[str, Structure]:
        """Structure by foreground class, as it was first measured."""
        if self.has_several_classes:
            by_class = (line.class_structures for line in self.observations)
            return next((found for found in by_class if found), {})
        structures = (line.structure for line in self.observations)
        structure = next((found for found in structures if found is not None), None)
        return {} if structure is None else {self.foreground_classes[0]: structure}

    @property
    def class_sampling(self) -> dict[str, ClassSampling]:
        """Sampling by foreground class; empty for two classes."""
        by_class = (line.class_sampling for line in self.observations)
        return next((sampling for sampling in by_class if sampling), {})

    def weights(self, epoch: int) -> dict[str, float]:
        """Return the weight of each loss term in an epoch; terms of weight 0 are left out."""
        names = [name for name in self.metrics.columns if name.startswith("weight/")]
        weights = {name.removeprefix("weight/"): self.value_at(name, epoch) for name in names}
        return {name: weight for name, weight in weights.items() if weight}

    def total_loss(
        self, epoch: int, weights: Mapping[str, float], split: str = "val"
    ) -> float | None:
        """Return the loss of an epoch under given weights; None where a term is missing.

        Terms of outputs that only training has are left out.

        Args:
            epoch: The epoch.
            weights: Weight of each loss term.
            split: `val` or `train`.
        """
        terms = [
            (weight, self.value_at(f"{split}/loss_{term}", epoch))
            for term, weight in weights.items()
            if not getattr(getattr(self.config.loss, term, None), "auxiliary", False)
        ]
        if any(value is None for _, value in terms):
            return None
        return sum(weight * value for weight, value in terms if value is not None)

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
