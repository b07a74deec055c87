"""The prediction that all losses of a step share; each derived tensor is computed once."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from vesuv.config.section import Section
from vesuv.types import Spacing

VOXELS = (2, 3, 4)
"""Spatial dimensions of (b, c, z, y, x)."""


class Processes(Protocol):
    """The processes that share a batch; each holds some of its patches."""

    def sum(self, values: Tensor) -> Tensor:
        """Sum a tensor over all processes; differentiable."""

    def gather(self, values: Tensor) -> Tensor:
        """Concatenate (b, ...) of all processes along the batch; differentiable."""


class SingleProcess:
    """One process, which holds the whole batch."""

    def sum(self, values: Tensor) -> Tensor:
        return values

    def gather(self, values: Tensor) -> Tensor:
        return values


SINGLE_PROCESS = SingleProcess()


class Loss(Section, ABC):
    """A scalar measure of a batch, differentiable in its logits.

    A loss is also its section of the configuration: its fields are the keys below `loss.<name>`
    with their defaults.
    """

    uses_global_sums: ClassVar[bool] = False
    """Whether `of` calls `Prediction.global_sum` for every sum over patches. With several
    processes such a loss receives the process's own patches; any other loss receives the patches of
    all processes: the result is the same, and each process does the work of all."""

    auxiliary: ClassVar[bool] = False
    """Whether it judges an output of its own, which the network has in training only, and not the
    mask."""

    @abstractmethod
    def of(self, prediction: Prediction) -> Tensor:
        """Return the loss of a prediction; tensors that other losses computed are used again."""

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest value of any prediction."""
        return 0.0, math.inf

    @property
    def constant_score(self) -> float | None:
        """Value of every constant prediction; None where it depends on the constant."""
        return None

    def with_spacing(self, _spacing: Spacing) -> Loss:
        """Return the loss for voxels of these edges along z, y, x, where it depends on them."""
        return self

    @property
    def interval(self) -> int:
        """Steps from one computation to the next; 1: it is computed in every step."""
        return 1

    def perfect_score(self, _share: float) -> float:
        """Return the value of a perfect mask where this share of the voxels is foreground."""
        return 0.0

    def __call__(self, logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of one batch in this process.

        Args:
            logits: (b, k, z, y, x); k = 1 is one foreground logit, else one logit a class, or one a
                region.
            label: Class index of each voxel, (b, z, y, x); arbitrary where not valid. For regions,
                which may overlap: whether each voxel belongs to each, boolean (b, k, z, y, x).
            valid: False where the label is ignored, (b, z, y, x).
        """
        return self.of(Prediction(logits, label, valid))


@dataclass(frozen=True)
class Prediction:
    """Logits, label and valid mask of one batch, and the tensors derived from them.

    A derived tensor has a channel for each foreground class or region and is zero on ignored
    voxels, which therefore change neither a loss nor its gradient. Sums are float32 (float64 when
    the logits are).
    """

    raw_logits: Tensor
    label: Tensor
    valid_voxels: Tensor
    processes: Processes = SINGLE_PROCESS
    """The processes that share the batch; tensors here are of this process's patches."""
    distances: Tensor | None = None
    """Output of signed distances, (b, c, z, y, x); None: the network has none."""

    def global_sum(self, values: Tensor) -> Tensor:
        """Add this process's sums over its patches to those of the others; differentiable."""
        return self.processes.sum(values)

    def mean_where(self, values: Tensor, mask: Tensor) -> Tensor:
        """Mean over the batch of the values in the mask; 0 when the mask is empty."""
        sums = (values * mask).sum(), mask.sum().to(values.dtype)
        pooled = self.global_sum(torch.stack(sums))
        return pooled[0] / pooled[1].clamp_min(1)

    @cached_property
    def whole_batch(self) -> Prediction:
        """The patches of all processes."""
        if isinstance(self.processes, SingleProcess):
            return self
        gather = self.processes.gather
        tensors = gather(self.raw_logits), gather(self.label), gather(self.valid_voxels)
        distances = None if self.distances is None else gather(self.distances)
        return Prediction(*tensors, distances=distances)

    @cached_property
    def logits(self) -> Tensor:
        """Logits (b, k, z, y, x) in float32 or float64."""
        return (
            self.raw_logits if self.raw_logits.dtype == torch.float64 else self.raw_logits.float()
        )

    @property
    def has_regions(self) -> bool:
        """Whether the label tells of each region, instead of one class a voxel."""
        return self.label.ndim == self.raw_logits.ndim

    @property
    def is_sigmoid(self) -> bool:
        """Whether each channel is a foreground of its own, not one of classes that sum to 1."""
        return self.has_regions or self.raw_logits.shape[1] == 1

    @property
    def num_targets(self) -> int:
        """Number of foreground classes or regions."""
        channels = self.raw_logits.shape[1]
        return channels if self.is_sigmoid else channels - 1

    @cached_property
    def valid(self) -> Tensor:
        """Valid mask with a channel dimension, (b, 1, z, y, x)."""
        return self.valid_voxels.bool().unsqueeze(1)

    @cached_property
    def target(self) -> Tensor:
        """Whether each valid voxel belongs to each foreground class or region, boolean."""
        if self.has_regions:
            return self.label.bool() & self.valid
        indices = range(1, self.num_targets + 1)
        return torch.stack([self.label == index for index in indices], dim=1) & self.valid

    @cached_property
    def probs(self) -> Tensor:
        """Probability of each foreground class or region."""
        logits = self.logits
        probs = torch.sigmoid(logits) if self.is_sigmoid else torch.softmax(logits, dim=1)[:, 1:]
        return probs * self.valid

    @cached_property
    def num_valid(self) -> Tensor:
        """Valid voxels of each patch, (b, 1)."""
        return self.valid.sum(dim=VOXELS).to(self.logits.dtype)

    @cached_property
    def total_valid(self) -> Tensor:
        """Valid voxels of the whole batch."""
        return self.global_sum(self.num_valid.sum())

    @cached_property
    def num_labelled(self) -> Tensor:
        """Labelled voxels of each patch and foreground class, (b, c)."""
        return self.target.sum(dim=VOXELS).to(self.logits.dtype)

    @cached_property
    def probs_sum(self) -> Tensor:
        """Sum of the probabilities of each patch and foreground class, (b, c)."""
        return self.probs.sum(dim=VOXELS)

    @cached_property
    def overlap(self) -> Tensor:
        """Sum of the probabilities on labelled voxels, (b, c)."""
        return (self.probs * self.target).sum(dim=VOXELS)


def region_label(label: Tensor, members: Sequence[Sequence[int]]) -> Tensor:
    """Return whether each voxel belongs to each region, boolean (b, k, z, y, x).

    Args:
        label: Class index of each voxel, (b, z, y, x).
        members: Class indices of each of the k regions.
    """
    regions = []
    for indices in members:
        inside = torch.zeros_like(label, dtype=torch.bool)
        for index in indices:
            inside |= label == index
        regions.append(inside)
    return torch.stack(regions, dim=1)


def ratio(numerator: Tensor, denominator: Tensor, empty: float) -> Tensor:
    """Divide; where the denominator is zero return `empty`, with a zero gradient.

    A denominator whose square is no normal number counts as zero, because the gradient divides by
    that square; probabilities of saturated logits can sum to 1e-40.
    """
    is_zero = denominator < torch.finfo(denominator.dtype).tiny ** 0.5
    return torch.where(is_zero, empty, numerator / denominator.masked_fill(is_zero, 1.0))
