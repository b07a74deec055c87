"""How far the prediction moves with the label."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from vesuv.losses.prediction import VOXELS, Loss, Prediction, ratio

_ORIGINAL_FLOOR = 0.8277
"""Of `original`: half of the voxels at p, half at 1 - p, where their entropy is just 1/2 nat."""


class Variance(Loss):
    """One of three measures, each the mean over foreground classes.

    separation: one minus the gap between the mean probability on foreground and on background.
    Range [0, 2]; perfect mask 0; any constant prediction 1, with a gradient that does not vanish.

    ccc: one minus the concordance correlation of p and y. Range [0, 2]; perfect mask 0; any
    constant prediction 1.

    original: (1 - Var p)**2 + max(0, 1/2 - H), H the mean binary entropy in nats. It never sees the
    label. Range [0.828, 1.5]; perfect mask 1.06 to 1.5; constant one half 1. For reproducing the
    diary's runs.

    The first two are means over the patches that hold both classes, 0 when none does.

    Source:
        separation: 1 - Cov(p, y) / Var(y), the slope of p regressed on a binary y.
        ccc: Lin 1989, A Concordance Correlation Coefficient to Evaluate Reproducibility, eq. 2.
    """

    pools: ClassVar[bool] = True
    form: Literal["separation", "ccc", "original"] = "separation"
    """Which of the three."""

    @property
    def limits(self) -> tuple[float, float]:
        return (_ORIGINAL_FLOOR, 1.5) if self.form == "original" else (0.0, 2.0)

    @property
    def constant(self) -> float | None:
        return None if self.form == "original" else 1.0

    def perfect(self, share: float) -> float:
        # the original's is no minimum: a perfect mask has no entropy
        return (1 - share * (1 - share)) ** 2 + 0.5 if self.form == "original" else 0.0

    def of(self, prediction: Prediction) -> Tensor:
        form = {"separation": _separation, "ccc": _ccc, "original": _original}[self.form]
        return form(prediction)


def _separation(prediction: Prediction) -> Tensor:
    size, count = prediction.size, prediction.num_valid
    on_foreground = ratio(prediction.overlap, size, empty=0.0)
    on_background = ratio(prediction.mass - prediction.overlap, count - size, empty=0.0)
    return prediction.mean_where(1 - (on_foreground - on_background), _holds_both(prediction))


def _ccc(prediction: Prediction) -> Tensor:
    count = prediction.num_valid.clamp_min(1)
    mean_p, mean_y = prediction.mass / count, prediction.size / count
    covariance = prediction.overlap / count - mean_p * mean_y
    spread = mean_y * (1 - mean_y) + (mean_p - mean_y) ** 2 + _spread(prediction)
    slope = ratio(2 * covariance, spread, empty=0.0)
    return prediction.mean_where(1 - slope, _holds_both(prediction))


def _spread(prediction: Prediction) -> Tensor:
    """Variance of p over the valid voxels of each patch and class, in two passes."""
    count = prediction.num_valid.clamp_min(1)
    mean = (prediction.mass / count)[..., None, None, None]
    deviation = (prediction.probs - mean) * prediction.valid
    return deviation.square().sum(dim=VOXELS) / count


def _original(prediction: Prediction) -> Tensor:
    count = prediction.total_valid
    mean = prediction.pool(prediction.mass.sum(dim=0)) / count.clamp_min(1)
    deviation = (prediction.probs - mean[None, :, None, None, None]) * prediction.valid
    # Ignored voxels hold probability 0, whose entropy is 0.
    sums = deviation.square(), _entropy(prediction.probs)
    pooled = prediction.pool(torch.stack([values.sum(dim=(0, *VOXELS)) for values in sums]))
    means = pooled / count.clamp_min(1)
    loss = (1 - means[0]) ** 2 + (0.5 - means[1]).clamp_min(0)
    return (loss * (count > 0)).mean()


def _entropy(probs: Tensor) -> Tensor:
    # Kept off 0 and 1, where the logarithm's slope is infinite and p log p is 0.
    inside = probs.clamp(1e-7, 1 - 1e-7)
    return -(torch.xlogy(inside, inside) + torch.xlogy(1 - inside, 1 - inside))


def _holds_both(prediction: Prediction) -> Tensor:
    return (prediction.size > 0) & (prediction.size < prediction.num_valid)
