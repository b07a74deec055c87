"""Agreement of prediction and label by mean, variance and covariance."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from vesuv.losses.prediction import VOXELS, Loss, Prediction, ratio

_ORIGINAL_FLOOR = 0.8277
"""Minimum of `original`: half of the voxels at p, half at 1 - p, with an entropy of 1/2 nat."""


class Variance(Loss):
    """One of three measures, each the mean over foreground classes.

    separation: one minus the gap between the mean probability on foreground and on background.
    Range [0, 2]; perfect mask 0; any constant prediction 1, with a gradient that does not vanish.

    ccc: one minus the concordance correlation of p and y. Range [0, 2]; perfect mask 0; any
    constant prediction 1.

    original: (1 - Var p)**2 + max(0, 1/2 - H), H the mean binary entropy in nats; independent of
    the label. Range [0.828, 1.5]; perfect mask 1.06 to 1.5; constant one half 1. It reproduces the
    diary's runs.

    The first two are means over the patches that hold both classes; 0 without such a patch.

    Source:
        separation: 1 - Cov(p, y) / Var(y), the slope of p regressed on a binary y.
        ccc: Lin 1989, A Concordance Correlation Coefficient to Evaluate Reproducibility, eq. 2.
    """

    uses_global_sums: ClassVar[bool] = True
    form: Literal["separation", "ccc", "original"] = "separation"
    """One of the three measures above."""

    @property
    def limits(self) -> tuple[float, float]:
        return (_ORIGINAL_FLOOR, 1.5) if self.form == "original" else (0.0, 2.0)

    @property
    def constant_score(self) -> float | None:
        return None if self.form == "original" else 1.0

    def perfect_score(self, share: float) -> float:
        # A perfect mask has entropy 0 and does not minimise `original`.
        return (1 - share * (1 - share)) ** 2 + 0.5 if self.form == "original" else 0.0

    def of(self, prediction: Prediction) -> Tensor:
        form = {"separation": _separation, "ccc": _ccc, "original": _original}[self.form]
        return form(prediction)


def _separation(prediction: Prediction) -> Tensor:
    num_labelled, num_valid = prediction.num_labelled, prediction.num_valid
    foreground_mean = ratio(prediction.overlap, num_labelled, empty=0.0)
    background_mean = ratio(
        prediction.probs_sum - prediction.overlap, num_valid - num_labelled, empty=0.0
    )
    return prediction.mean_where(
        1 - (foreground_mean - background_mean), _has_both_classes(prediction)
    )


def _ccc(prediction: Prediction) -> Tensor:
    num_valid = prediction.num_valid.clamp_min(1)
    mean_p, mean_y = prediction.probs_sum / num_valid, prediction.num_labelled / num_valid
    covariance = prediction.overlap / num_valid - mean_p * mean_y
    denominator = mean_y * (1 - mean_y) + (mean_p - mean_y) ** 2 + _prediction_variance(prediction)
    concordance = ratio(2 * covariance, denominator, empty=0.0)
    return prediction.mean_where(1 - concordance, _has_both_classes(prediction))


def _prediction_variance(prediction: Prediction) -> Tensor:
    """Variance of p over the valid voxels of each patch and class, in two passes."""
    num_valid = prediction.num_valid.clamp_min(1)
    mean = (prediction.probs_sum / num_valid)[..., None, None, None]
    deviation = (prediction.probs - mean) * prediction.valid
    return deviation.square().sum(dim=VOXELS) / num_valid


def _original(prediction: Prediction) -> Tensor:
    num_valid = prediction.total_valid
    mean = prediction.global_sum(prediction.probs_sum.sum(dim=0)) / num_valid.clamp_min(1)
    deviation = (prediction.probs - mean[None, :, None, None, None]) * prediction.valid
    # Ignored voxels hold probability 0, whose entropy is 0.
    sums = deviation.square(), _entropy(prediction.probs)
    pooled = prediction.global_sum(torch.stack([value.sum(dim=(0, *VOXELS)) for value in sums]))
    means = pooled / num_valid.clamp_min(1)
    loss = (1 - means[0]) ** 2 + (0.5 - means[1]).clamp_min(0)
    return (loss * (num_valid > 0)).mean()


def _entropy(probs: Tensor) -> Tensor:
    # At 0 and 1 p log p is 0, but the logarithm's slope is infinite.
    clamped = probs.clamp(1e-7, 1 - 1e-7)
    return -(torch.xlogy(clamped, clamped) + torch.xlogy(1 - clamped, 1 - clamped))


def _has_both_classes(prediction: Prediction) -> Tensor:
    return (prediction.num_labelled > 0) & (prediction.num_labelled < prediction.num_valid)
