"""Assignment of queries to picks, and the loss of the assigned and of the other queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from vesuv.curves.config import CurveLossConfig
from vesuv.curves.detector import NONE, Detection, Queries, stacked, targets_of
from vesuv.curves.picks import Pick
from vesuv.errors import InputError

_MAX_DIP = 90.0
_CURVE_WEIGHT = 5.0
"""Weight of pixels on a curve in the masks' cross-entropy."""


@dataclass(frozen=True)
class CurveLoss:
    """Loss of the proposals and queries of a batch, the mean over layers, and of the masks.

    Queries that no pick is assigned to are of no curve. The classification is summed over all
    queries and divided by the number of picks; the parameters' distance is its mean over picks. The
    masks' loss is weighted cross-entropy and Dice of the kinds' sinusoids: it shows the encoder
    what a curve is long before an assignment does.

    Args:
        config: Its section.
        rows: Rows of a strip.
    """

    config: CurveLossConfig
    rows: int

    def __call__(
        self, detection: Detection, picks: Sequence[tuple[Pick, ...]], masks: Tensor
    ) -> dict[str, Tensor]:
        """Return `loss`, and `loss_class`, `loss_parameters` and `loss_mask` before weighting.

        Args:
            detection: Output of the detector.
            picks: Picks of each strip, in the reference hole.
            masks: Their sinusoids, (b, kinds, rows, columns).
        """
        terms = [self._layer(queries, picks) for queries in detection.layers]
        classification = torch.stack([term[0] for term in terms]).mean()
        parameters = torch.stack([term[1] for term in terms]).mean()
        total = self.config.class_weight * classification
        total = total + self.config.parameter_weight * parameters
        of_masks = mask_loss(detection.masks, masks)
        total = total + self.config.mask_weight * of_masks
        return {
            "loss": total,
            "loss_class": classification,
            "loss_parameters": parameters,
            "loss_mask": of_masks,
        }

    def _layer(self, queries: Queries, picks: Sequence[tuple[Pick, ...]]) -> tuple[Tensor, Tensor]:
        device, num = queries.logits.device, queries.logits.shape[1]
        values, scale = stacked(queries), self.scale(device)
        target = torch.full(queries.logits.shape[:2], NONE, dtype=torch.long, device=device)
        distances = []
        for strip, strip_picks in enumerate(picks):
            kinds, parameters = targets_of(strip_picks[:num], self.rows, device)
            cost = self.cost(queries.logits[strip], values[strip], kinds, parameters)
            chosen, assigned = assignment(cost)
            target[strip, chosen] = kinds[assigned]
            distance = (values[strip, chosen] - parameters[assigned]).abs() / scale
            distances.append(distance.sum(-1))
        distance = torch.cat(distances)
        count = max(len(distance), 1)
        return self.classification(queries.logits, target).sum() / count, distance.sum() / count

    def classification(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted loss of the kind of each query.

        Args:
            logits: (..., kinds + 1).
            target: Kind, or `NONE`, (...).
        """
        log_probs = F.log_softmax(logits, -1).gather(-1, target[..., None])[..., 0]
        weights = logits.new_tensor([*self.config.kind_weights, self.config.none_weight])
        loss = -weights[target] * log_probs
        if self.config.classification == "focal":
            loss = loss * (1.0 - log_probs.exp()) ** self.config.gamma
        return loss

    @torch.no_grad()
    def cost(self, logits: Tensor, values: Tensor, kinds: Tensor, parameters: Tensor) -> Tensor:
        """Return the cost of assigning each pick to each query of a strip, (queries, picks)."""
        probs = logits.softmax(-1)[:, kinds]
        distance = (values[:, None] - parameters[None]).abs() / self.scale(logits.device)
        config = self.config
        return config.parameter_weight * distance.sum(-1) - config.class_weight * probs

    def scale(self, device: torch.device) -> Tensor:
        """Return what counts as 1 in depth, dip, cosine and sine, as the network states them."""
        depth, dip, direction = self.config.scales
        return torch.tensor(
            [depth / self.rows, dip / _MAX_DIP, direction, direction], device=device
        )


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy, curves weighted, plus one minus the mean Dice of the kinds.

    Args:
        logits: (b, kinds, rows, columns of the features).
        masks: (b, kinds, rows, columns of the strip); the pixels in the centres of the features'
            fields are taken.
    """
    down, right = (masks.shape[axis] // logits.shape[axis] for axis in (-2, -1))
    target = masks[..., ::down, ::right].to(logits.device, logits.dtype)
    weight = logits.new_tensor(_CURVE_WEIGHT)
    entropy = F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight)
    probs, axes = logits.sigmoid(), (0, 2, 3)
    overlap = 2 * (probs * target).sum(axes) + 1
    return entropy + 1 - (overlap / (probs.sum(axes) + target.sum(axes) + 1)).mean()


def assignment(cost: Tensor) -> tuple[Tensor, Tensor]:
    """Return the queries and the picks of the assignment with the least sum of costs.

    Args:
        cost: (queries, picks), with at least as many queries as picks.

    Raises:
        InputError: A cost is not finite, because the network has diverged.
    """
    if not torch.isfinite(cost).all():
        raise InputError(
            "optimizer.lr: the detector's output is not finite any more; lower it, or set "
            "runtime.precision=float32"
        )
    queries, picks = linear_sum_assignment(cost.cpu().numpy().astype(np.float64))
    device = cost.device
    return torch.from_numpy(queries).to(device), torch.from_numpy(picks).to(device)
