"""The weighted sum of losses of a phase."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vesuv.config.labels import Targets
from vesuv.losses.prediction import SINGLE_PROCESS, Loss, Prediction, Processes, region_label


class Compound:
    """Sum of w_k L_k over one shared prediction; a term of weight 0 is not computed.

    Args:
        losses: Loss by name.
        targets: What the network predicts; None: the classes.
        num_logits: Logits of a voxel; further channels are signed distances. None: all channels
            are logits.
    """

    def __init__(
        self,
        losses: Mapping[str, Loss],
        targets: Targets | None = None,
        num_logits: int | None = None,
    ) -> None:
        self.losses = dict(losses)
        self.targets = targets
        self.num_logits = num_logits

    @property
    def mask_terms(self) -> list[str]:
        """Names of the losses that judge the mask; the others need outputs of training."""
        return [name for name, loss in self.losses.items() if not loss.auxiliary]

    def __call__(
        self,
        logits: Tensor,
        label: Tensor,
        valid: Tensor,
        weights: Mapping[str, float],
        processes: Processes = SINGLE_PROCESS,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum and each of its terms, unweighted and detached.

        Args:
            logits: (b, k, z, y, x), with the signed distances behind them where there are any.
            label: Class index of each voxel, (b, z, y, x), or `target_label` of it.
            valid: False where the label is ignored, (b, z, y, x).
            weights: Weight by loss name; a loss that is left out has weight 0.
            processes: The processes that share the batch; each returns the whole batch's loss.
        """
        unknown = weights.keys() - self.losses.keys()
        assert not unknown, f"weights for losses that were not built: {sorted(unknown)}"
        prediction = self.prediction(logits, label, valid, processes)
        values = {name: self._value(name, prediction) for name, weight in weights.items() if weight}
        assert values, "every loss has weight 0"
        total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def step_weights(self, weights: Mapping[str, float], step: int) -> dict[str, float]:
        """Return the weights of one step, where losses with an interval n run in every n-th step.

        There, such a loss has n times its weight, so that the mean gradient is that of every step;
        in the other steps its weight is 0. Without a loss of the mask that runs in every step, all
        of them do.

        Args:
            weights: Weight by loss name.
            step: Number of the step in the run.
        """
        intervals = {name: self.losses[name].interval for name, weight in weights.items() if weight}
        if not any(intervals.get(name) == 1 for name in self.mask_terms):
            return dict(weights)
        return {
            name: 0.0 if step % intervals.get(name, 1) else weight * intervals.get(name, 1)
            for name, weight in weights.items()
        }

    def prediction(
        self,
        logits: Tensor,
        label: Tensor,
        valid: Tensor,
        processes: Processes = SINGLE_PROCESS,
    ) -> Prediction:
        """Return what the losses are computed of; arguments are those of a call."""
        distances = None
        if self.num_logits is not None and logits.shape[1] > self.num_logits:
            logits, distances = logits[:, : self.num_logits], logits[:, self.num_logits :]
        return Prediction(logits, self.target_label(label), valid, processes, distances)

    def target_label(self, label: Tensor) -> Tensor:
        """Return the label that the losses compare with: the regions of targets that overlap.

        Args:
            label: Class index (b, z, y, x), or already the regions (b, k, z, y, x).
        """
        if self.targets is None or not self.targets.overlap or label.ndim == 5:
            return label
        return region_label(label, self.targets.members)

    def _value(self, name: str, prediction: Prediction) -> Tensor:
        loss = self.losses[name]
        return loss.of(prediction if loss.uses_global_sums else prediction.whole_batch)

    @torch.no_grad()
    def components(self, logits: Tensor, label: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """Return the value of every loss of the mask, unweighted and without gradient."""
        prediction = self.prediction(logits, label, valid)
        return {name: self.losses[name].of(prediction) for name in self.mask_terms}
