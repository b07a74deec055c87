"""Evidence made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from vesuv.config import Config, check
from vesuv.diagnosis.evidence import Evidence
from vesuv.runs.history import Metrics
from vesuv.runs.observation import Histogram, LabelShares, Observation, TrainScore
from vesuv.runs.records import RunEvent, RunFacts

MakeEvidence = Callable[..., Evidence]
MakeHistogram = Callable[..., Histogram]
MakeScore = Callable[[Histogram], TrainScore]
WithDice = Callable[[float], Histogram]
FitLines = Callable[..., list[dict[str, Any]]]

FACTS = {"version": 1, "fold": 0, "data_fingerprint": "x", "validation_cases": []}
TREE: dict[str, Any] = {
    "name": "made",
    "data": {"root": "raw"},
    "labels": {"classes": {"background": 0, "surface": 1}, "ignore": 2},
    "sampling": {"patch_size": [32, 32, 32], "batch_size": 2},
    "model": {"name": "plain_unet", "filters": 8, "depth": 2},
    "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
    "train": {"epochs": 20, "steps_per_epoch": 10},
    "optimizer": {"name": "adamw", "lr": 1e-3},
}


@pytest.fixture
def make() -> MakeEvidence:
    """Return what makes evidence of columns, observations by epoch and configured sections."""

    def build(
        columns: Mapping[str, Sequence[float | None]] | None = None,
        observations: Iterable[Mapping[str, Any]] = (),
        events: Iterable[tuple[int, str, str]] = (),
        census: LabelShares | None = None,
        facts: dict[str, Any] | None = None,
        path: Path = Path("run"),
        **sections: Any,
    ) -> Evidence:
        length = max(map(len, (columns or {}).values()), default=0)
        rows = [
            {"epoch": float(epoch)}
            | {
                name: value
                for name, values in (columns or {}).items()
                if epoch < len(values) and (value := values[epoch]) is not None
            }
            for epoch in range(length)
        ]
        return Evidence(
            path,
            config(**sections),
            metrics=Metrics(tuple(rows)),
            observations=tuple(
                Observation.model_validate({"epoch": epoch, **content})
                for epoch, content in enumerate(observations)
            ),
            events=tuple(RunEvent(epoch=e, kind=kind, line=line) for e, kind, line in events),
            labels=census,
            facts=RunFacts(**(FACTS | facts)) if facts else None,
        )

    return build


@pytest.fixture
def bins() -> MakeHistogram:
    """Return what makes a histogram of {hundredth of probability: voxels} by label."""

    def build(foreground: Mapping[int, int], background: Mapping[int, int]) -> Histogram:
        return Histogram(
            foreground=tuple(foreground.get(place, 0) for place in range(100)),
            background=tuple(background.get(place, 0) for place in range(100)),
        )

    return build


@pytest.fixture
def with_dice(bins: MakeHistogram) -> WithDice:
    """Return what makes a histogram whose best Dice is a given number, at any threshold."""

    def build(dice: float) -> Histogram:
        found = round(1000 * dice)
        return bins({99: found, 0: 1000 - found}, {99: 1000 - found, 0: 100_000})

    return build


@pytest.fixture
def scored() -> MakeScore:
    """Return what wraps a histogram as the score of training tiles."""

    def build(histogram: Histogram) -> TrainScore:
        return TrainScore(
            dice=0.5, precision=0.5, recall=0.5, predicted=0.1, labelled=0.1, histogram=histogram
        )

    return build


@pytest.fixture
def fits(scored: MakeScore, with_dice: WithDice) -> FitLines:
    """Return what makes observations of a Dice of training tiles each, 0.02 above validation."""

    def build(*trains: float) -> list[dict[str, Any]]:
        return [
            {"train": scored(with_dice(train)), "histogram": with_dice(train - 0.02)}
            for train in trains
        ]

    return build


def config(**sections: Any) -> Config:
    return check(merged(TREE, sections), "made")


def merged(tree: Mapping[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """Replace keys of sections; a section with a name of its own replaces the whole."""
    result = dict(tree)
    for section, values in sections.items():
        old = result.get(section, {})
        joins = isinstance(values, dict) and isinstance(old, dict) and "name" not in values
        result[section] = {**old, **values} if joins else values
    return result
