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
    """The averaged models of a run, by the name of their checkpoint.

    The networks have instance or group norms and no batch statistics, so that an average needs no
    pass over the data.

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

    def update_ema(self, network: nn.Module) -> None:
        """Add the weights after a step to the EMA."""
        if "ema" in self.models:
            self.models["ema"].update_parameters(network)

    def update_swa(self, network: nn.Module, epoch: int) -> None:
        """Add the weights after an epoch to SWA, from its start epoch on."""
        swa = self.config.swa
        if swa is not None and epoch >= swa.start_epoch:
            self.models["swa"].update_parameters(network)

    def swa_lr(self, epoch: int) -> float | None:
        """Return the learning rate of SWA in `epoch`; None: SWA sets none."""
        swa = self.config.swa
        return swa.lr if swa is not None and epoch >= swa.start_epoch else None

    def started_models(self) -> dict[str, nn.Module]:
        """Return the averaged models with at least one update."""
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
    def update(
        averages: ParameterList, currents: ParameterList, num_averaged: Tensor | int
    ) -> None:
        num_updates = int(num_averaged)
        weight = 1.0 - min(decay, (1.0 + num_updates) / (10.0 + num_updates))
        lerp_all_(averages, currents, weight)

    return update
