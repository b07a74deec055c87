"""What all losses share: one prediction beside its label, each derived tensor made once."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from vesuv.config.section import Section

VOXELS = (2, 3, 4)
"""Spatial dimensions of (b, c, z, y, x)."""


class Processes(Protocol):
    """The processes that share a batch; each holds the patches that are its own."""

    def sum(self, values: Tensor) -> Tensor:
        """Add up what the processes hold; differentiable."""

    def gather(self, values: Tensor) -> Tensor:
        """Join (b, ...) of all processes along the batch; differentiable."""


class Alone:
    """One process, which holds the whole batch."""

    def sum(self, values: Tensor) -> Tensor:
        """Return the values."""
        return values

    def gather(self, values: Tensor) -> Tensor:
        """Return the values."""
        return values


ALONE = Alone()


class Loss(Section, ABC):
    """A scalar measure of a batch, differentiable in its logits.

    A loss is its own section of the configuration: its fields are the keys below `loss.<name>`, and
    their defaults stand there alone.
    """

    pools: ClassVar[bool] = False
    """Whether `of` sends every sum over patches through `Prediction.pool`. With several processes
    such a loss works on each one's own patches; any other one is handed the patches of all, which
    is as right, and costs every process the work of all."""

    @abstractmethod
    def of(self, prediction: Prediction) -> Tensor:
        """Return the loss of a prediction whose shared tensors other losses may have made."""

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value that any prediction can score."""
        return 0.0, math.inf

    @property
    def constant(self) -> float | None:
        """What every constant prediction scores; None where that depends on the constant."""
        return None

    def perfect(self, _share: float) -> float:
        """Return what a perfect mask scores where this share of the voxels is foreground."""
        return 0.0

    def __call__(self, logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        """Return the loss.

        Args:
            logits: (b, k, z, y, x); k = 1 is one foreground logit, else one logit a class.
            label: Class index of each voxel, (b, z, y, x); arbitrary where not valid.
            valid: False where the label is ignored, (b, z, y, x).
        """
        return self.of(Prediction(logits, label, valid))


@dataclass(frozen=True)
class Prediction:
    """Logits, class indices and valid mask of one batch, with what the losses derive from them.

    Everything derived has a channel for each foreground class (one for a single logit) and is
    zero on ignored voxels, so no value there reaches a loss or its gradient. Sums run in float32
    (float64 when the logits are).
    """

    raw_logits: Tensor
    label: Tensor
    valid_voxels: Tensor
    processes: Processes = ALONE
    """Those that share the batch; tensors here are of this one's patches unless pooled."""

    def pool(self, values: Tensor) -> Tensor:
        """Add up sums over this process's patches with those of the others, differentiably."""
        return self.processes.sum(values)

    def mean_where(self, values: Tensor, counted: Tensor) -> Tensor:
        """Mean over the batch of the values that are counted; 0 when none is."""
        sums = (values * counted).sum(), counted.sum().to(values.dtype)
        pooled = self.pool(torch.stack(sums))
        return pooled[0] / pooled[1].clamp_min(1)

    @cached_property
    def whole_batch(self) -> Prediction:
        """The patches of all processes in one place."""
        if isinstance(self.processes, Alone):
            return self
        gather = self.processes.gather
        return Prediction(gather(self.raw_logits), gather(self.label), gather(self.valid_voxels))

    @cached_property
    def logits(self) -> Tensor:
        """Logits (b, k, z, y, x) in float32 or float64."""
        return (
            self.raw_logits if self.raw_logits.dtype == torch.float64 else self.raw_logits.float()
        )

    @property
    def is_binary(self) -> bool:
        """Whether one logit tells foreground from background."""
        return self.raw_logits.shape[1] == 1

    @property
    def num_classes(self) -> int:
        """Number of classes, background counted."""
        return max(2, self.raw_logits.shape[1])

    @cached_property
    def valid(self) -> Tensor:
        """Valid mask with a channel dimension, (b, 1, z, y, x)."""
        return self.valid_voxels.bool().unsqueeze(1)

    @cached_property
    def target(self) -> Tensor:
        """Whether each valid voxel belongs to each foreground class, boolean."""
        classes = range(1, self.num_classes)
        return torch.stack([self.label == index for index in classes], dim=1) & self.valid

    @cached_property
    def probs(self) -> Tensor:
        """Probability of each foreground class."""
        logits = self.logits
        probs = torch.sigmoid(logits) if self.is_binary else torch.softmax(logits, dim=1)[:, 1:]
        return probs * self.valid

    @cached_property
    def num_valid(self) -> Tensor:
        """Valid voxels of each patch, (b, 1)."""
        return self.valid.sum(dim=VOXELS).to(self.logits.dtype)

    @cached_property
    def total_valid(self) -> Tensor:
        """Valid voxels of the whole batch."""
        return self.pool(self.num_valid.sum())

    @cached_property
    def size(self) -> Tensor:
        """Labelled voxels of each patch and foreground class, (b, c)."""
        return self.target.sum(dim=VOXELS).to(self.logits.dtype)

    @cached_property
    def mass(self) -> Tensor:
        """Sum of the probabilities of each patch and foreground class, (b, c)."""
        return self.probs.sum(dim=VOXELS)

    @cached_property
    def overlap(self) -> Tensor:
        """Sum of the probabilities on labelled voxels, (b, c)."""
        return (self.probs * self.target).sum(dim=VOXELS)


def ratio(numerator: Tensor, denominator: Tensor, empty: float) -> Tensor:
    """Divide; where the denominator is nothing return `empty`, with a zero gradient.

    Nothing is also what is so small that its square is no normal number: the gradient divides by
    that square, and probabilities of saturated logits add up to 1e-40 and the like.
    """
    nothing = denominator < torch.finfo(denominator.dtype).tiny ** 0.5
    return torch.where(nothing, empty, numerator / denominator.masked_fill(nothing, 1.0))
