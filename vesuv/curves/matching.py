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
from vesuv.curves.detector import NONE, Queries, stacked, targets_of
from vesuv.curves.picks import Pick
from vesuv.errors import InputError

_MAX_DIP = 90.0


@dataclass(frozen=True)
class CurveLoss:
    """Loss of the queries of a batch, the mean over the decoder's layers.

    Queries that no pick is assigned to are of no curve. The classification is summed over all
    queries and divided by the number of picks; the parameters' distance is its mean over picks.

    Args:
        config: Its section.
        rows: Rows of a strip.
    """

    config: CurveLossConfig
    rows: int

    def __call__(
        self, layers: Sequence[Queries], picks: Sequence[tuple[Pick, ...]]
    ) -> dict[str, Tensor]:
        """Return `loss`, and its terms `loss_class` and `loss_parameters` before weighting."""
        terms = [self._layer(queries, picks) for queries in layers]
        classification = torch.stack([term[0] for term in terms]).mean()
        parameters = torch.stack([term[1] for term in terms]).mean()
        total = self.config.class_weight * classification
        total = total + self.config.parameter_weight * parameters
        return {"loss": total, "loss_class": classification, "loss_parameters": parameters}

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
