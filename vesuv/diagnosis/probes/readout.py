"""Linear readout of frozen features: what a straight boundary between them tells of the labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_PENALTY = 1e-3
"""Weight of the squared coefficients, for each voxel's share of the loss."""
_ITERATIONS = 60
_THRESHOLDS = 99


@dataclass(frozen=True)
class Voxels:
    """Labelled voxels with their features."""

    features: Tensor
    """(n, f) float32."""
    foreground: Tensor
    """(n,) boolean."""


def held_out_dice(train: Voxels, held_out: Voxels) -> float:
    """Return the Dice of a logistic readout on voxels that it was not fitted to.

    Features are standardised, and the threshold is chosen, on the voxels of the fit.
    """
    mean, std = train.features.mean(dim=0), train.features.std(dim=0)
    std = torch.where(std > 1e-6, std, torch.ones_like(std))
    inputs = [(voxels.features - mean) / std for voxels in (train, held_out)]
    weight, bias = _fit(inputs[0], train.foreground.float())
    probs = [torch.sigmoid(part @ weight + bias) for part in inputs]
    thresholds = torch.quantile(probs[0], torch.linspace(0.005, 0.995, _THRESHOLDS))
    best = max(thresholds, key=lambda cut: dice(probs[0] >= cut, train.foreground))
    return dice(probs[1] >= best, held_out.foreground)


def dice(predicted: Tensor, foreground: Tensor) -> float:
    """Return the Dice of boolean vectors; 0 where neither holds a voxel."""
    size = int(predicted.sum() + foreground.sum())
    return 2 * int((predicted & foreground).sum()) / max(size, 1)


def _fit(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return coefficients and intercept of the penalised logistic regression."""
    weight = torch.zeros(inputs.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        error = F.binary_cross_entropy_with_logits(inputs @ weight + bias, targets)
        total = error + _PENALTY * weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()
