"""Distribution of probabilities and foreground shares on the validation tiles, by group as well."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from markupsafe import Markup

from vesuv.report.axis import Axis, linear, logarithmic
from vesuv.report.formats import is_number
from vesuv.runs.history import RunHistory
from vesuv.runs.records import BINS, Observation, TileScore


def latest(history: RunHistory, name: str) -> Observation | None:
    """Return the newest observation that holds what `name` names."""
    return next((one for one in reversed(history.observations) if getattr(one, name)), None)


@dataclass(frozen=True)
class ProbabilityPlot:
    """Histogram of the predicted probability, for labelled foreground and background apart."""

    epoch: int
    threshold: float
    """Threshold of validation."""
    shares: Mapping[str, list[float]]
    """Label -> share of its voxels in each bin."""

    @classmethod
    def of(cls, history: RunHistory) -> ProbabilityPlot | None:
        """Return the plot by the newest observation; None where no voxel was counted."""
        observation = latest(history, "histogram")
        if observation is None or observation.histogram is None:
            return None
        counts = {
            name: getattr(observation.histogram, name) for name in ("foreground", "background")
        }
        if not any(map(any, counts.values())):
            return None
        threshold = history.config.validation.threshold if history.config else 0.5
        shares = {name: [n / (sum(bins) or 1) for n in bins] for name, bins in counts.items()}
        return cls(observation.epoch, threshold, shares)

    @cached_property
    def axis(self) -> Axis:
        return logarithmic([share for side in self.shares.values() for share in side])

    def above(self, label: str) -> float:
        """Return the share of a label's voxels from the threshold on."""
        return math.fsum(self.shares[label][math.ceil(self.threshold * BINS - 1e-9) :])

    def path(self, label: str) -> Markup:
        """Return the outline of a label's bars as an SVG path, in a box of 100 by 100, upwards."""
        heights = (self.axis.at(share) if share > 0 else 0 for share in self.shares[label])
        width = 100 / BINS
        steps = (f"V{y:g}H{width * (place + 1):g}" for place, y in enumerate(heights))
        return Markup(f"M0 0{''.join(steps)}V0z")


@dataclass(frozen=True)
class TilePlot:
    """Predicted against labelled share of foreground, one mark a validation tile."""

    epoch: int
    tiles: tuple[TileScore, ...]

    @classmethod
    def of(cls, history: RunHistory) -> TilePlot | None:
        """Return the plot by the newest observation; None where no tile was scored."""
        observation = latest(history, "tiles")
        scored = observation.tiles if observation else ()
        tiles = tuple(t for t in scored if 0 <= t.predicted <= 1 and 0 <= t.labelled <= 1)
        return cls(observation.epoch, tiles) if observation and tiles else None

    @cached_property
    def axis(self) -> Axis:
        values = [share for tile in self.tiles for share in (tile.predicted, tile.labelled)]
        return linear(values, zero=True, share=True)

    @cached_property
    def groups(self) -> list[str]:
        """Groups of the tiles in the order of their first mention; "" for none."""
        return list(dict.fromkeys(tile.group or "" for tile in self.tiles))

    @property
    def num_above(self) -> int:
        """Tiles that predict more than is labelled."""
        return sum(tile.predicted > tile.labelled for tile in self.tiles)


@dataclass(frozen=True)
class GroupScore:
    """A group's tiles together."""

    name: str
    tiles: list[TileScore]
    dice: float | None
    """Pooled over the tiles; their mean where it was not measured."""

    def mean(self, name: str) -> float | None:
        """Return the mean of a number of the tiles."""
        values = [value for tile in self.tiles if is_number(value := getattr(tile, name))]
        return fmean(values) if values else None


def group_scores(observation: Observation | None) -> list[GroupScore]:
    """Return the scores of all groups, the weakest first; none where tiles have no group."""
    if observation is None:
        return []
    names = dict.fromkeys([*observation.groups, *(tile.group or "" for tile in observation.tiles)])
    if set(names) == {""}:
        return []
    scores = []
    for name in names:
        score = GroupScore(name, [t for t in observation.tiles if (t.group or "") == name], None)
        dice = observation.groups.get(name, score.mean("dice"))
        scores.append(GroupScore(name, score.tiles, dice))
    return sorted(scores, key=lambda score: math.inf if score.dice is None else score.dice)


def best_choices(summary: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return what selection chose, then each other checkpoint at its own best Dice.

    Args:
        summary: Content of distribution/summary.json.

    Returns:
        Entries of its "choices", which a hand may have changed; none without a selection.
    """
    chosen = (summary or {}).get("selected")
    if not isinstance(chosen, dict) or not chosen:
        return []
    choices = (summary or {}).get("choices")
    best: dict[str, dict[str, Any]] = {}
    for choice in choices if isinstance(choices, list) else []:
        if isinstance(choice, dict) and is_number(choice.get("dice")):
            name = str(choice.get("checkpoint"))
            best[name] = max(best.get(name, choice), choice, key=lambda one: one["dice"])
    keys = ("checkpoint", "threshold", "postprocess")
    return [
        chosen,
        *(c for c in best.values() if any(c.get(key) != chosen.get(key) for key in keys)),
    ]
