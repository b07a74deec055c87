"""Which of several checkpoints, cuts and post-processings to use.

The rule: predicted foreground fractions match the labels first, and among those that do the
objective decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vesuv.config.postprocess import Chain, plain_chain
from vesuv.config.training import SelectionConfig


@dataclass(frozen=True)
class Candidate:
    """A way to make masks."""

    checkpoint: str
    """Or, when configurations are compared, the name of one or of an ensemble."""
    threshold: float | None
    """None for several classes, and where `postprocess` begins with a cut of its own."""
    postprocess: Chain = field(default=(), kw_only=True)

    def __str__(self) -> str:
        """Name it the way a sentence does."""
        cut = [] if self.threshold is None else [f"threshold {self.threshold:g}"]
        parts = [*cut, *map(str, self.postprocess)]
        return f"{self.checkpoint} at {', '.join(parts)}" if parts else self.checkpoint


@dataclass(frozen=True)
class Choice(Candidate):
    """A candidate with what it scores over some cases."""

    gap: float
    """Mean over cases of |predicted - labelled| foreground fraction."""
    dice: float
    """Mean over cases."""
    predicted_fraction: float
    """Over the judged voxels of all cases together."""
    labelled_fraction: float
    leaderboard: float | None = None
    """Mean over cases; None where it was not asked for."""

    @property
    def candidate(self) -> Candidate:
        """What was scored."""
        return Candidate(self.checkpoint, self.threshold, postprocess=self.postprocess)

    def plain(self) -> dict[str, Any]:
        """Return it in plain JSON types; without `leaderboard` where that is None."""
        fields: dict[str, Any] = {
            "checkpoint": self.checkpoint,
            "threshold": self.threshold,
            "postprocess": plain_chain(self.postprocess),
            "gap": self.gap,
            "dice": self.dice,
            "predicted_fraction": self.predicted_fraction,
            "labelled_fraction": self.labelled_fraction,
        }
        return fields if self.leaderboard is None else {**fields, "leaderboard": self.leaderboard}


def rank(candidates: Sequence[Choice], config: SelectionConfig) -> list[Choice]:
    """Order choices, the one to take first.

    1. With `band`, choices whose predicted fraction lies in it come first, then those nearest to
       it.
    2. Of these, the ones with a gap of at most `tolerance`, by the objective: the highest Dice or
       leaderboard score. The rest follow by their gap. With the objective "distribution" the gap
       alone decides.
    3. Ties go to the better other measure, then to the threshold nearest one half, then to the
       choice named first.
    """

    def key(choice: Choice) -> tuple[float, ...]:
        middle = 0.0 if choice.threshold is None else abs(choice.threshold - 0.5)
        outside = _outside(choice, config)
        if config.objective != "distribution" and choice.gap <= config.tolerance:
            return outside, 0.0, -_value(choice, config), choice.gap, middle
        return outside, 1.0, choice.gap, -_value(choice, config), middle

    return sorted(candidates, key=key)


def select(candidates: Sequence[Choice], config: SelectionConfig) -> tuple[Choice, str]:
    """Return the choice that `rank` puts first, and why in a sentence."""
    best = rank(candidates, config)[0]
    reach = _outside(best, config)
    in_band = [choice for choice in candidates if _outside(choice, config) == reach]
    close = [choice for choice in in_band if choice.gap <= config.tolerance]
    name = "Dice" if config.objective in ("dice", "distribution") else "leaderboard score"
    value = f"{_value(best, config):.4f}"
    if config.objective == "distribution":
        rule = (
            f"the smallest error of the foreground fraction among {len(in_band)} choices; its "
            f"Dice is {value}"
        )
    elif close:
        rule = (
            f"the highest {name}, {value}, of the choices ({len(close)} of {len(candidates)}) "
            f"whose foreground fraction is off by at most {config.tolerance:.2%} a case"
        )
    else:
        rule = (
            f"the smallest error of the foreground fraction among {len(in_band)} choices; none is "
            f"within the tolerance of {config.tolerance:.2%} a case; its {name} is {value}"
        )
    why = (
        f"{best}: {rule}. It predicts {best.predicted_fraction:.2%} foreground, labels hold "
        f"{best.labelled_fraction:.2%}, off by {best.gap:.2%} a case."
        f"{_band_note(config, reach, len(in_band), len(candidates))}"
    )
    return best, why


def _value(choice: Choice, config: SelectionConfig) -> float:
    """What is to be as large as possible."""
    if config.objective in ("dice", "distribution"):
        return choice.dice
    assert choice.leaderboard is not None
    return choice.leaderboard


def _outside(choice: Choice, config: SelectionConfig) -> float:
    """How far the predicted fraction lies outside the band."""
    if config.band is None:
        return 0.0
    low, high = config.band
    return max(low - choice.predicted_fraction, choice.predicted_fraction - high, 0.0)


def _band_note(config: SelectionConfig, reach: float, num_inside: int, num: int) -> str:
    if config.band is None:
        return ""
    band = f"{config.band[0]:.2%} to {config.band[1]:.2%}"
    if reach > 0.0:
        return f" No choice predicts within the band of {band}; this one comes nearest."
    return f" Choices within the band of {band}: {num_inside} of {num}."
