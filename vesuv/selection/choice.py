"""Ranking of checkpoints, thresholds and post-processing.

Candidates whose foreground fraction matches the labels come first; among them the objective
decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vesuv.config.postprocess import Chain, plain_chain
from vesuv.config.training import SelectionConfig
from vesuv.inference.masks import EVEN_THRESHOLD, ClassCut

NEAR = 1.5
"""Errors of up to this many times the smallest one count as equally small, so that Dice decides
where hardly any choice, or none, is within the tolerance."""

ClassCuts = tuple[tuple[str, ClassCut], ...]
"""Class or region -> threshold and post-processing, as pairs."""


@dataclass(frozen=True)
class Candidate:
    """Checkpoint, threshold and post-processing, which together make masks."""

    checkpoint: str
    """Where configurations are compared: name of a configuration's checkpoint or of an ensemble."""
    threshold: float | None
    """None for several classes, and where `postprocess` begins with a threshold or hysteresis."""
    postprocess: Chain = field(default=(), kw_only=True)
    classes: ClassCuts = field(default=(), kw_only=True)
    """Threshold and post-processing of each of several classes or regions; empty for one."""

    @property
    def cuts(self) -> tuple[ClassCut, ...]:
        """Threshold and post-processing of each class."""
        if self.classes:
            return tuple(cut for _, cut in self.classes)
        return (ClassCut(self.threshold, self.postprocess),)

    @property
    def has_postprocessing(self) -> bool:
        """Whether any class has a step."""
        return any(cut.chain for cut in self.cuts)

    def __str__(self) -> str:
        if self.classes:
            parts = [f"{name}: {cut}" for name, cut in self.classes if str(cut)]
            return f"{self.checkpoint} at {'; '.join(parts)}" if parts else self.checkpoint
        text = str(ClassCut(self.threshold, self.postprocess))
        return f"{self.checkpoint} at {text}" if text else self.checkpoint


@dataclass(frozen=True)
class ClassChoice:
    """Scores of one of several classes or regions over some cases."""

    name: str
    gap: float
    """Mean over cases of |predicted - labelled| fraction."""
    dice: float | None
    """Mean over the cases that hold or predict it; None where none does."""
    predicted_fraction: float
    """Share of the valid voxels of all cases together."""
    labelled_fraction: float


@dataclass(frozen=True)
class Choice(Candidate):
    """A candidate with its scores over some cases."""

    gap: float
    """Mean over cases of |predicted - labelled| foreground fraction; of several classes the largest
    such mean, so that the tolerance holds for each."""
    dice: float
    """Mean over cases; of several classes their mean."""
    predicted_fraction: float
    """Share of the valid voxels of all cases together, of any foreground class."""
    labelled_fraction: float
    leaderboard: float | None = None
    """Mean over cases; None where the objective does not need it."""
    scores_by_class: tuple[ClassChoice, ...] = field(default=(), kw_only=True)
    """Of several classes each; empty for one."""

    @property
    def candidate(self) -> Candidate:
        """The candidate without its scores."""
        return Candidate(
            self.checkpoint, self.threshold, postprocess=self.postprocess, classes=self.classes
        )

    def plain(self) -> dict[str, Any]:
        """Return the fields in plain JSON types, without a `leaderboard` of None."""
        fields: dict[str, Any] = {
            "checkpoint": self.checkpoint,
            "threshold": self.threshold,
            "postprocess": plain_chain(self.postprocess),
            "gap": self.gap,
            "dice": self.dice,
            "predicted_fraction": self.predicted_fraction,
            "labelled_fraction": self.labelled_fraction,
        }
        if self.leaderboard is not None:
            fields["leaderboard"] = self.leaderboard
        if self.classes:
            scores = {one.name: one for one in self.scores_by_class}
            fields["classes"] = {
                name: {
                    "threshold": cut.threshold,
                    "postprocess": plain_chain(cut.chain),
                    **{key: value for key, value in asdict(scores[name]).items() if key != "name"},
                }
                for name, cut in self.classes
            }
        return fields


def rank(candidates: Sequence[Choice], config: SelectionConfig) -> list[Choice]:
    """Order choices, best first.

    0. Choices with empty masks alone come last where labels hold foreground: the cases without any
       would give them Dice 1.
    1. With `band`: choices whose predicted fraction lies inside it come first. Where none does,
       those come first whose distance to it is at most `NEAR` times the smallest.
    2. Among these, choices with a gap of at most `tolerance`, or of `NEAR` times the smallest gap
       where that is more, come first, in the order of the objective: the highest Dice or
       leaderboard score. The others follow by their gap. Of several classes the largest gap
       counts, so that the tolerance holds for each. With the objective "distribution" the gap
       alone decides.
    3. Ties are decided by the other measure, then by the threshold nearest one half, then by the
       order of `candidates`.
    """
    limits = _Limits.of(candidates, config)

    def key(choice: Choice) -> tuple[float, ...]:
        thresholds = [cut.threshold for cut in choice.cuts if cut.threshold is not None]
        from_half = max((abs(value - EVEN_THRESHOLD) for value in thresholds), default=0.0)
        distance = _distance_to_band(choice, config)
        distance = 0.0 if distance <= limits.distance else distance
        first = float(_is_empty(choice)), distance
        if config.objective != "distribution" and choice.gap <= limits.gap:
            return *first, 0.0, -_score(choice, config), choice.gap, from_half
        return *first, 1.0, choice.gap, -_score(choice, config), from_half

    return sorted(candidates, key=key)


def explain(ranking: Sequence[Choice], config: SelectionConfig) -> str:
    """Return the reason why `rank` puts the first choice first, in sentences."""
    best, limits = ranking[0], _Limits.of(ranking, config)
    in_band = [
        choice
        for choice in _not_empty(ranking)
        if _distance_to_band(choice, config) <= limits.distance
    ]
    name = "Dice" if config.objective in ("dice", "distribution") else "leaderboard score"
    name = f"mean {name}" if best.classes else name
    fraction = "fraction of every class" if best.classes else "foreground fraction"
    value = f"{_score(best, config):.4f}"
    if config.objective == "distribution":
        rule = (
            f"the smallest error of the {fraction} among {len(in_band)} choices; its "
            f"{name} is {value}"
        )
    else:
        num_near = sum(choice.gap <= limits.gap for choice in in_band)
        rule = (
            f"the highest {name}, {value}, of the choices ({num_near} of {len(ranking)}) "
            f"whose {fraction} is off by at most {limits.gap:.2%} a case"
            f"{_tolerance_note(in_band, limits, config)}"
        )
    band = _band_note(config, best, in_band, len(ranking))
    return f"{best}: {rule}. {_fractions_text(best)}{band}"


@dataclass(frozen=True)
class _Limits:
    """Largest errors of the choices that the objective ranks."""

    distance: float
    """Distance to the band."""
    gap: float

    @classmethod
    def of(cls, candidates: Sequence[Choice], config: SelectionConfig) -> _Limits:
        candidates = _not_empty(candidates)
        distances = [_distance_to_band(choice, config) for choice in candidates]
        distance = NEAR * min(distances, default=0.0)
        gaps = [
            choice.gap
            for choice, value in zip(candidates, distances, strict=True)
            if value <= distance
        ]
        return cls(distance, max(config.tolerance, NEAR * min(gaps, default=0.0)))


def _is_empty(choice: Choice) -> bool:
    """Whether all its masks are empty, and the labels are not."""
    return choice.predicted_fraction == 0.0 < choice.labelled_fraction


def _not_empty(choices: Sequence[Choice]) -> Sequence[Choice]:
    """Leave out choices with empty masks alone, unless all are such."""
    return [choice for choice in choices if not _is_empty(choice)] or choices


def _tolerance_note(choices: Sequence[Choice], limits: _Limits, config: SelectionConfig) -> str:
    """Say why choices beyond the tolerance are compared, where they are."""
    if limits.gap <= config.tolerance:
        return ""
    nearest = min(choice.gap for choice in choices)
    is_within = nearest <= config.tolerance
    fact = "it is close to" if is_within else "none is within"
    return (
        f" ({NEAR:g} times the smallest error, {nearest:.2%}; {fact} the tolerance of "
        f"{config.tolerance:.2%})"
    )


def _fractions_text(best: Choice) -> str:
    if not best.classes:
        return (
            f"It predicts {best.predicted_fraction:.2%} foreground, labels hold "
            f"{best.labelled_fraction:.2%}, off by {best.gap:.2%} a case."
        )
    parts = [
        f"{one.name} {one.predicted_fraction:.2%} (labels {one.labelled_fraction:.2%}, off by "
        f"{one.gap:.2%} a case)"
        for one in best.scores_by_class
    ]
    return f"It predicts {', '.join(parts)}."


def _score(choice: Choice, config: SelectionConfig) -> float:
    """Return the Dice or the leaderboard score, whichever the objective maximises."""
    if config.objective in ("dice", "distribution"):
        return choice.dice
    assert choice.leaderboard is not None
    return choice.leaderboard


def _distance_to_band(choice: Choice, config: SelectionConfig) -> float:
    if config.band is None:
        return 0.0
    low, high = config.band
    return max(low - choice.predicted_fraction, choice.predicted_fraction - high, 0.0)


def _band_note(config: SelectionConfig, best: Choice, in_band: Sequence[Choice], num: int) -> str:
    if config.band is None:
        return ""
    band = f"{config.band[0]:.2%} to {config.band[1]:.2%}"
    distance = _distance_to_band(best, config)
    if distance > 0.0:
        return f" No choice predicts within the band of {band}; this one is off by {distance:.2%}."
    return f" Choices within the band of {band}: {len(in_band)} of {num}."
