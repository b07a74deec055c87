"""Temperature of calibrated probabilities, chosen on held-out cases, with an honest estimate.

Every sigmoid, and every softmax, has one temperature: that of the smallest negative log-likelihood
over the judged voxels of all cases. A voxel's likelihood depends on its levels and its class alone,
so each case is read once and its voxels are counted by them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from vesuv.config.labels import Targets
from vesuv.data.labels import IGNORE
from vesuv.evaluation.calibration import Reliability, counted_reliability
from vesuv.inference.levels import dequantise
from vesuv.inference.temperature import logits_of, with_temperature
from vesuv.selection.search import SearchResult
from vesuv.types import ClassArray

LIMITS = (0.1, 10.0)
"""Smallest and largest temperature that is tried."""
_CHUNK = 1 << 22  # voxels that are sorted together


@dataclass(frozen=True)
class LevelCounts:
    """Number of voxels by their levels and class.

    Args:
        levels: (k, n) uint8, see `vesuv.inference.levels`.
        classes: (n,) class, or 1 inside a region.
        voxels: (n,) number of voxels.
    """

    levels: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    voxels: NDArray[np.int64]

    @classmethod
    def of(cls, levels: NDArray[np.uint8], classes: NDArray[np.uint8]) -> LevelCounts:
        """Count the voxels of levels (k, voxels) and classes (voxels)."""
        rows = np.vstack([levels, classes[None]])
        parts = [
            _distinct_columns(rows[:, start : start + _CHUNK])
            for start in range(0, max(rows.shape[1], 1), _CHUNK)
        ]
        distinct = np.concatenate([part for part, _ in parts], axis=1)
        voxels = np.concatenate([counts for _, counts in parts])
        return cls(distinct[:-1], distinct[-1], voxels)

    @classmethod
    def pooled(cls, parts: Sequence[LevelCounts]) -> LevelCounts:
        """Return the voxels of several cases together."""
        return cls(
            np.concatenate([one.levels for one in parts], axis=1),
            np.concatenate([one.classes for one in parts]),
            np.concatenate([one.voxels for one in parts]),
        )

    @property
    def probs(self) -> Tensor:
        """Probabilities (k, n) that the levels stand for."""
        return dequantise(torch.from_numpy(self.levels)).double()


def _distinct_columns(
    rows: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the distinct columns of (r, n), and how often each occurs.

    Columns of up to 8 bytes are sorted as whole numbers, which is many times as fast.
    """
    num_bytes = next((size for size in (2, 4, 8) if size >= len(rows)), None)
    if num_bytes is None:
        return np.unique(rows, axis=1, return_counts=True)
    padded = np.zeros((rows.shape[1], num_bytes), np.uint8)
    padded[:, : len(rows)] = rows.T
    numbers, counts = np.unique(padded.view(f"u{num_bytes}"), return_counts=True)
    return numbers[:, None].view(np.uint8).T[: len(rows)], counts


def fit_temperature(counts: LevelCounts) -> float:
    """Return the temperature of the smallest negative log-likelihood, in `LIMITS`, to 4 digits.

    Source:
        Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.
    """
    logits, classes = logits_of(counts.probs), torch.from_numpy(counts.classes).long()
    voxels = torch.from_numpy(counts.voxels).double()

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        if len(scaled) == 1:
            each = F.binary_cross_entropy_with_logits(scaled[0], classes.double(), reduction="none")
        else:
            each = F.cross_entropy(scaled.T, classes, reduction="none")
        return float((each * voxels).sum() / voxels.sum())

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
    rounds = []
    for part_name, part in problem.parts.items():
        inside = [heads for heads, is_in in zip(by_case, part, strict=True) if is_in]
        rest = [heads for heads, is_in in zip(by_case, part, strict=True) if not is_in]
        if not (_num_voxels(inside) and _num_voxels(rest)):
            continue
        temperature = _fit(rest)
        before, after = _reliabilities(inside, temperature, problem.targets)
        rounds.append(Round(part_name, temperature, before, after))
    temperature = _fit(by_case)
    before, after = _reliabilities(by_case, temperature, problem.targets)
    return Calibration(
        problem.targets, temperature, before, after, problem.part_kind, tuple(rounds)
    )


_Heads = list[LevelCounts]
"""Voxels of one case, of each sigmoid or of the softmax."""


def _heads(levels: NDArray[np.uint8], label: ClassArray, targets: Targets) -> _Heads:
    valid = label != IGNORE
    levels, label = levels[:, valid], label[valid]
    if len(levels) > 1 and not targets.overlap:
        return [LevelCounts.of(levels, label)]
    return [
        LevelCounts.of(channel[None], np.isin(label, members).astype(np.uint8))
        for channel, members in zip(levels, targets.members, strict=True)
    ]


def _num_voxels(cases: Sequence[_Heads]) -> int:
    return sum(int(heads[0].voxels.sum()) for heads in cases)


def _pool_cases(cases: Sequence[_Heads]) -> _Heads:
    return [LevelCounts.pooled(one) for one in zip(*cases, strict=True)]


def _fit(cases: Sequence[_Heads]) -> tuple[float, ...]:
    return tuple(fit_temperature(head) for head in _pool_cases(cases))


def _reliabilities(
    cases: Sequence[_Heads], temperature: Sequence[float], targets: Targets
) -> tuple[tuple[Reliability, ...], tuple[Reliability, ...]]:
    """Return the reliability of each target without and with temperatures."""
    before: list[Reliability] = []
    after: list[Reliability] = []
    for head, value in zip(_pool_cases(cases), temperature, strict=True):
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
