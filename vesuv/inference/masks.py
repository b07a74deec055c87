"""Class indices from probabilities of any number of classes or regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vesuv.config.labels import Targets
from vesuv.config.postprocess import Chain, begins_with_cut, with_threshold
from vesuv.inference.levels import round_to_steps
from vesuv.inference.postprocess import apply_chain
from vesuv.types import ClassArray, Mask, Spacing

EVEN_THRESHOLD = 0.5
"""Threshold at which a class is predicted where it is likelier than every other."""


@dataclass(frozen=True)
class ClassCut:
    """Threshold and post-processing that turn the score of one class or region into its mask."""

    threshold: float | None
    """Smallest score, see `class_score`; None where `chain` begins with a threshold or hysteresis,
    and for `EVEN_THRESHOLD`."""
    chain: Chain = ()
    """Post-processing steps of its mask."""

    @property
    def effective_threshold(self) -> float:
        """The threshold, or the even one where none is set."""
        return EVEN_THRESHOLD if self.threshold is None else self.threshold

    @property
    def score_chain(self) -> Chain:
        """Steps from the score to the mask: the chain after the threshold, if it has no cut."""
        return with_threshold(self.chain, self.effective_threshold)

    def __str__(self) -> str:
        threshold = [] if self.threshold is None else [f"threshold {self.threshold:g}"]
        return ", ".join([*threshold, *map(str, self.chain)])


@dataclass(frozen=True)
class MaskSettings:
    """Threshold and post-processing of each target, which turn probabilities into classes."""

    cuts: tuple[ClassCut, ...]
    """One for each target, in their order."""
    targets: Targets

    @classmethod
    def alike(cls, targets: Targets, threshold: float | None, chain: Chain = ()) -> MaskSettings:
        """Return the same threshold and post-processing for every target."""
        cut = ClassCut(None if begins_with_cut(chain) else threshold, chain)
        return cls((cut,) * len(targets.names), targets)

    def classes(self, probs: Tensor, spacing: Spacing = (1.0, 1.0, 1.0)) -> ClassArray:
        """Return class indices (z, y, x) of probabilities.

        Of several classes the likeliest is predicted, each probability multiplied by its weight.
        The mask of each is then processed; a voxel of no mask is background, and one of several
        masks gets the likeliest of their classes. With regions, each has a threshold of its own,
        and a voxel of several regions is written as `Targets.written` says.

        Args:
            probs: (k, z, y, x), one channel of foreground probability, one for each class, or one
                for each region; rounded to steps of 1/200, see `vesuv.inference.levels`.
            spacing: Voxel edges along z, y, x, for post-processing in physical units.
        """
        probs = round_to_steps(probs, overlap=self.targets.overlap)
        if self.targets.overlap:
            return self._written_regions(probs, spacing)
        if len(self.cuts) == 1:
            score = class_score(probs, self.thresholds, 0, self.targets)
            return self._claim(0, score, spacing).astype(np.uint8)
        return self._claimed_classes(probs, spacing)

    @property
    def thresholds(self) -> tuple[float | None, ...]:
        """Threshold of each target."""
        return tuple(cut.threshold for cut in self.cuts)

    @property
    def weights(self) -> list[float]:
        """Weight of each class, see `class_weight`."""
        return [class_weight(threshold) for threshold in self.thresholds]

    def _written_regions(self, probs: Tensor, spacing: Spacing) -> ClassArray:
        classes = np.zeros(probs.shape[1:], np.uint8)
        for target, index in enumerate(self.targets.written):
            classes[self._claim(target, probs[target], spacing)] = index
        return classes

    def _claimed_classes(self, probs: Tensor, spacing: Spacing) -> ClassArray:
        weighted = weighted_probs(probs, self.weights)
        winner = likeliest(weighted).numpy()
        if not any(cut.chain for cut in self.cuts):
            return winner
        claims = []
        for target, cut in enumerate(self.cuts):
            if begins_with_cut(cut.chain):
                score = class_score(probs, self.thresholds, target, self.targets)
                claims.append(self._claim(target, score, spacing))
            else:
                claims.append(apply_chain(winner == target + 1, cut.chain, spacing))
        return likeliest_claim(weighted, claims)

    def _claim(self, target: int, score: Tensor, spacing: Spacing) -> Mask:
        return apply_chain(score.numpy(), self.cuts[target].score_chain, spacing)


def class_weight(threshold: float | None) -> float:
    """Return the factor on a class's probability that a threshold stands for.

    A class is likelier than another, each multiplied by its weight, where its score reaches its
    threshold: w = (1 - t) / t, as p / (p + q) >= t is p (1 - t) / t >= q. The background's is 1.
    """
    if threshold is None:
        return 1.0
    return (1.0 - threshold) / threshold if threshold > 0.0 else float(np.finfo(np.float32).max)


def weighted_probs(probs: Tensor, weights: Sequence[float]) -> Tensor:
    """Return probabilities (k, z, y, x), those of each foreground class times its weight."""
    weighted = probs.clone()
    for channel, weight in zip(weighted[1:], weights, strict=True):
        channel *= weight
    return weighted


def likeliest(weighted: Tensor) -> Tensor:
    """Return the index of the highest of (k, z, y, x), of equal ones the last; uint8."""
    highest = weighted[0].clone()
    winner = torch.zeros(highest.shape, dtype=torch.uint8)
    for index, channel in enumerate(weighted[1:], start=1):  # many times as fast as argmax
        winner.masked_fill_(channel >= highest, index)
        torch.maximum(highest, channel, out=highest)
    return winner


def likeliest_claim(weighted: Tensor, claims: Iterable[Mask]) -> ClassArray:
    """Return of each voxel the likeliest class whose mask holds it, else the background.

    Args:
        weighted: Result of `weighted_probs`; it is changed.
        claims: Mask (z, y, x) of each foreground class.
    """
    weighted[0] = 0.0
    for channel, claim in zip(weighted[1:], claims, strict=True):
        channel.masked_fill_(~torch.from_numpy(claim), -1.0)
    return likeliest(weighted).numpy()


def class_score(
    probs: Tensor, thresholds: Sequence[float | None], target: int, targets: Targets
) -> Tensor:
    """Return the score (z, y, x) of one target, which its threshold is compared with.

    A region's score, and that of the only foreground logit, is its probability. That of a class is
    p / (p + q), where q is the highest probability of the other classes, each multiplied by its
    weight; of two classes it is the probability of foreground.

    Args:
        probs: (k, z, y, x), rounded to steps.
        thresholds: Threshold of each target; that of `target` itself has no effect.
        target: Which target.
        targets: All targets.
    """
    if targets.overlap or len(probs) == 1:
        return probs[target]
    rival = probs[0].clone()
    for other, threshold in enumerate(thresholds):
        if other != target:
            torch.maximum(rival, probs[other + 1] * class_weight(threshold), out=rival)
    own = probs[target + 1]
    return own / (own + rival)
