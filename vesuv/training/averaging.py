"""Averaged copies of the weights: SWA once an epoch, EMA once a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vesuv.config.training import AveragingConfig
from vesuv.runtime.torch_internals import lerp_all_

ParameterList = tuple[Tensor, ...] | list[Tensor]


class Averages:
    """The averages that a run keeps, by the name of their checkpoint.

    The networks here normalise by instance or group and keep no batch statistics, so no pass over
    the data is needed before an average is used.

    Source:
        SWA: Izmailov et al. 2018. EMA with decay min(d, (1 + n)/(10 + n)) in its first steps.
    """

    def __init__(self, network: nn.Module, config: AveragingConfig) -> None:
        self.config = config
        self.models: dict[str, AveragedModel] = {}
        if config.swa is not None:
            self.models["swa"] = AveragedModel(network)
        if config.ema is not None:
            update = _ema_update(config.ema.decay)
            self.models["ema"] = AveragedModel(network, multi_avg_fn=update)

    def after_step(self, network: nn.Module) -> None:
        """Let the EMA see the weights of this step."""
        if "ema" in self.models:
            self.models["ema"].update_parameters(network)

    def after_epoch(self, network: nn.Module, epoch: int) -> None:
        """Let SWA see the weights of this epoch once it has started."""
        swa = self.config.swa
        if swa is not None and epoch >= swa.start_epoch:
            self.models["swa"].update_parameters(network)

    def learning_rate(self, epoch: int) -> float | None:
        """Return the rate that averaging asks for in `epoch`, or None."""
        swa = self.config.swa
        return swa.lr if swa is not None and epoch >= swa.start_epoch else None

    def started(self) -> dict[str, nn.Module]:
        """Return the averages that hold at least one set of weights."""
        return {
            name: model.module for name, model in self.models.items() if int(model.n_averaged) > 0
        }

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {name: model.state_dict() for name, model in self.models.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        for name, model in self.models.items():
            model.load_state_dict(state[name])


def _ema_update(decay: float) -> Callable[[ParameterList, ParameterList, Tensor | int], None]:
    @torch.no_grad()
    def update(averages: ParameterList, currents: ParameterList, seen: Tensor | int) -> None:
        count = int(seen)
        share = 1.0 - min(decay, (1.0 + count) / (10.0 + count))
        lerp_all_(averages, currents, share)

    return update
