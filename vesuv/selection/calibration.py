"""Temperature of calibrated probabilities, chosen on held-out cases, with an honest estimate.

Every sigmoid, and every softmax, has one temperature: that of the smallest negative log-likelihood
over the judged voxels of all cases. A voxel's likelihood depends on its levels and its class alone,
so each case is read once and its voxels are counted by them; the counts without a part of the cases
are a difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

from vesuv.config.labels import Targets
from vesuv.data.labels import IGNORE
from vesuv.evaluation.calibration import Reliability, counted_reliability
from vesuv.inference.temperature import logits_of, with_temperature
from vesuv.selection.level_counts import LevelCounts, PooledCounts
from vesuv.selection.search import SearchResult
from vesuv.types import ClassArray

LIMITS = (0.1, 10.0)
"""Smallest and largest temperature that is tried."""


def fit_temperature(counts: LevelCounts) -> float:
    """Return the temperature of the smallest negative log-likelihood, in `LIMITS`, to 4 digits.

    Source:
        Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.
    """
    logits, voxels = logits_of(counts.probs).numpy(), counts.voxels.astype(np.float64)
    if len(logits) == 1:
        of_label = logits[0] * counts.classes
    else:
        of_label = np.take_along_axis(logits, counts.classes[None].astype(np.int64), axis=0)[0]
    label_sum = float(of_label @ voxels)

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        if len(scaled) == 1:
            normaliser = np.logaddexp(0.0, scaled[0])
        else:  # logarithms of probabilities from SMALLEST up: no exponential is 0
            normaliser = np.log(np.exp(scaled).sum(axis=0))
        total = float(normaliser @ voxels) - label_sum / math.exp(log_temperature)
        return total / float(voxels.sum())

    low, high = map(math.log, LIMITS)
    # convex in 1 / temperature, so there is one minimum
    best = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return round(math.exp(float(best.x)), 4)


@dataclass(frozen=True)
class Round:
    """A temperature that was chosen without a part of the cases, and its error on this part."""

    left_out: str
    temperature: tuple[float, ...]
    before: tuple[Reliability, ...]
    """Of each target."""
    after: tuple[Reliability, ...]


@dataclass(frozen=True)
class Calibration:
    """Temperatures with the expected calibration errors that they leave."""

    targets: Targets
    temperature: tuple[float, ...]
    """One for each region, otherwise one."""
    before: tuple[Reliability, ...]
    """Of each target, of the probabilities as they are."""
    after: tuple[Reliability, ...]
    """On the cases that the temperature was chosen on."""
    part_kind: str
    """Kind of the parts that are left out: fold, group or case."""
    rounds: tuple[Round, ...]

    @property
    def honest(self) -> tuple[Reliability, ...] | None:
        """Voxels of all parts, each with the temperature that was chosen without it."""
        return _pooled(one.after for one in self.rounds) if self.rounds else None

    def plain(self) -> dict[str, Any]:
        """Return temperatures and errors in plain JSON types."""
        honest = None
        if self.honest is not None:
            rounds = [
                {
                    "left_out": one.left_out,
                    "temperature": self._by_head(one.temperature),
                    "error_before": self._errors(one.before),
                    "error": self._errors(one.after),
                }
                for one in self.rounds
            ]
            error = self._errors(self.honest)
            honest = {"left_out": self.part_kind, "error": error, "rounds": rounds}
        return {
            "temperature": self._by_head(self.temperature),
            "error_before": self._errors(self.before),
            "error": self._errors(self.after),
            "honest": honest,
        }

    def sentence(self) -> str:
        """Return temperatures and mean errors over the targets as a sentence."""
        values = ", ".join(f"{value:g}" for value in self.temperature)
        text = (
            f"temperature {values} for predict --calibrated: expected calibration error "
            f"{_mean_error(self.before):.4f} without it, {_mean_error(self.after):.4f} with it"
        )
        if self.honest is None:
            return text
        error = _mean_error(self.honest)
        note = "; it does not lower the error here" if error >= _mean_error(self.before) else ""
        return (
            f"{text}; honest estimate, chosen without and measured on each {self.part_kind} in "
            f"turn: {error:.4f}{note}"
        )

    def _by_head(self, values: Sequence[float]) -> Any:
        if self.targets.overlap and self.targets.has_several:
            return dict(zip(self.targets.names, values, strict=True))
        return values[0]

    def _errors(self, reliabilities: Sequence[Reliability]) -> Any:
        errors = [one.error for one in reliabilities]
        if self.targets.has_several:
            return dict(zip(self.targets.names, errors, strict=True))
        return errors[0]


def calibrate_selection(result: SearchResult) -> Calibration:
    """Choose the temperatures of the selected checkpoint, and estimate their error.

    The estimate leaves out the same parts of the cases as nested selection does.
    """
    problem, name = result.problem, result.chosen.checkpoint
    predictions = next(one for one in problem.predictions if one.name == name)
    by_case = [
        _heads(
            predictions.levels(case).numpy(), np.asarray(case.native_label), problem.targets
        )
        for case in problem.cases
    ]  # fmt: skip
    heads = [PooledCounts.of(one) for one in zip(*by_case, strict=True)]
    rounds = []
    for part_name, part in problem.parts.items():
        inside = [head.within(part) for head in heads]
        rest = [head.without(part) for head in heads]
        if not (len(inside[0].voxels) and len(rest[0].voxels)):
            continue
        temperature = tuple(map(fit_temperature, rest))
        before, after = _reliabilities(inside, temperature, problem.targets)
        rounds.append(Round(part_name, temperature, before, after))
    everything = [head.pooled for head in heads]
    temperature = tuple(map(fit_temperature, everything))
    before, after = _reliabilities(everything, temperature, problem.targets)
    return Calibration(
        problem.targets, temperature, before, after, problem.part_kind, tuple(rounds)
    )


_Heads = list[LevelCounts]
"""Voxels of some cases, of each sigmoid or of the softmax."""


def _heads(levels: NDArray[np.uint8], label: ClassArray, targets: Targets) -> _Heads:
    valid = label != IGNORE
    levels, label = levels[:, valid], label[valid]
    if len(levels) > 1 and not targets.overlap:
        return [LevelCounts.of(levels, label)]
    return [
        LevelCounts.of(channel[None], np.isin(label, members).astype(np.uint8))
        for channel, members in zip(levels, targets.members, strict=True)
    ]


def _reliabilities(
    heads: _Heads, temperature: Sequence[float], targets: Targets
) -> tuple[tuple[Reliability, ...], tuple[Reliability, ...]]:
    """Return the reliability of each target without and with temperatures."""
    before: list[Reliability] = []
    after: list[Reliability] = []
    for head, value in zip(heads, temperature, strict=True):
        before += _of_head(head, head.probs, targets)
        after += _of_head(head, with_temperature(head.probs, [value]), targets)
    return tuple(before), tuple(after)


def _of_head(head: LevelCounts, probs: Tensor, targets: Targets) -> list[Reliability]:
    if len(probs) == 1:
        return [counted_reliability(probs[0].numpy(), head.classes == 1, head.voxels)]
    return [
        counted_reliability(probs[index].numpy(), head.classes == index, head.voxels)
        for (index,) in targets.members
    ]


def _pooled(parts: Iterable[tuple[Reliability, ...]]) -> tuple[Reliability, ...]:
    return tuple(sum(ones[1:], start=ones[0]) for ones in zip(*parts, strict=True))


def _mean_error(reliabilities: Sequence[Reliability]) -> float:
    return math.fsum(one.error for one in reliabilities) / len(reliabilities)
