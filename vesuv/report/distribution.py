"""Distribution of probabilities and foreground shares on the validation tiles; scores by group."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from markupsafe import Markup

from vesuv.report.axis import Axis, linear, logarithmic
from vesuv.report.formats import is_number
from vesuv.runs.fields import BINS
from vesuv.runs.history import RunHistory
from vesuv.runs.observation import Observation, TileScore
from vesuv.runs.records import ChoiceRecord, SelectionSummary


def latest_observation(history: RunHistory, name: str) -> Observation | None:
    """Return the newest observation whose field `name` is not empty."""
    return next((o for o in reversed(history.observations) if getattr(o, name)), None)


@dataclass(frozen=True)
class ProbabilityPlot:
    """Histograms of the predicted probability on labelled foreground and background."""

    epoch: int
    threshold: float
    """The validation threshold; 0.5 for several classes that exclude each other."""
    shares: Mapping[str, list[float]]
    """Label -> share of its voxels in each bin."""

    @classmethod
    def of(cls, history: RunHistory) -> ProbabilityPlot | None:
        """Return the plot of the newest observation; None if no voxel was counted."""
        observation = latest_observation(history, "histogram")
        if observation is None or observation.histogram is None:
            return None
        counts = {
            name: getattr(observation.histogram, name) for name in ("foreground", "background")
        }
        if not any(map(any, counts.values())):
            return None
        config = history.config
        has_threshold = config is not None and (
            config.labels.num_classes == 2 or config.labels.targets.overlap
        )
        threshold = config.validation.threshold if config and has_threshold else 0.5
        shares = {name: [n / (sum(bins) or 1) for n in bins] for name, bins in counts.items()}
        return cls(observation.epoch, threshold, shares)

    @cached_property
    def axis(self) -> Axis:
        return logarithmic([share for side in self.shares.values() for share in side])

    def share_above(self, label: str) -> float:
        """Return the share of a label's voxels at or above the threshold."""
        return math.fsum(self.shares[label][math.ceil(self.threshold * BINS - 1e-9) :])

    def path(self, label: str) -> Markup:
        """Return the outline of a label's bars as an SVG path in a box of 100 by 100, y upwards."""
        heights = (self.axis.at(share) if share > 0 else 0 for share in self.shares[label])
        width = 100 / BINS
        steps = (f"V{y:g}H{width * (place + 1):g}" for place, y in enumerate(heights))
        return Markup(f"M0 0{''.join(steps)}V0z")


@dataclass(frozen=True)
class TilePlot:
    """Predicted against labelled share of foreground, one mark for each validation tile."""

    epoch: int
    tiles: tuple[TileScore, ...]

    @classmethod
    def of(cls, history: RunHistory) -> TilePlot | None:
        """Return the plot of the newest observation; None if no tile was scored."""
        observation = latest_observation(history, "tiles")
        scores = observation.tiles if observation else ()
        tiles = tuple(t for t in scores if 0 <= t.predicted <= 1 and 0 <= t.labelled <= 1)
        return cls(observation.epoch, tiles) if observation and tiles else None

    @cached_property
    def axis(self) -> Axis:
        values = [share for tile in self.tiles for share in (tile.predicted, tile.labelled)]
        return linear(values, include_zero=True, in_percent=True)

    @cached_property
    def groups(self) -> list[str]:
        """Groups of the tiles in the order of their first tile; "" for tiles without a group."""
        return list(dict.fromkeys(tile.group or "" for tile in self.tiles))

    @property
    def num_above(self) -> int:
        """Number of tiles with more predicted than labelled foreground."""
        return sum(tile.predicted > tile.labelled for tile in self.tiles)


@dataclass(frozen=True)
class GroupScore:
    """Score of a group's tiles."""

    name: str
    tiles: list[TileScore]
    dice: float | None
    """Dice pooled over the tiles; the mean of their Dice if that was not measured."""

    def mean(self, name: str) -> float | None:
        """Return the mean of a field of the tiles; None if none has a number."""
        values = [value for tile in self.tiles if is_number(value := getattr(tile, name))]
        return fmean(values) if values else None


def group_scores(observation: Observation | None) -> list[GroupScore]:
    """Return the scores of all groups, lowest Dice first; empty if the tiles have no groups."""
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


def best_choices(summary: SelectionSummary | None) -> list[ChoiceRecord]:
    """Return the selected choice, then each other checkpoint's choice with the best Dice.

    Args:
        summary: distribution/summary.json; None before the selection.
    """
    if summary is None:
        return []
    selected = summary.selected
    best: dict[str, ChoiceRecord] = {}
    for choice in summary.choices:
        name = choice.checkpoint
        best[name] = max(best.get(name, choice), choice, key=lambda entry: entry.dice)
    selected_key = _key(selected)
    return [selected, *(choice for choice in best.values() if _key(choice) != selected_key)]


def _key(choice: ChoiceRecord) -> tuple[object, ...]:
    return choice.checkpoint, choice.threshold, choice.postprocess
