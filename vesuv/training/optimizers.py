"""Optimisers by the name that `optimizer.name` gives them; all run as one fused kernel."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from vesuv.config.data import PositiveFloat, Probability
from vesuv.config.training import OptimizerConfig
from vesuv.runtime.torch_internals import prepare_for_skips


class AdamWConfig(OptimizerConfig):
    """`optimizer: {name: adamw}`."""

    name: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 5e-4
    weight_decay: float = Field(default=1e-4, ge=0.0)
    betas: tuple[Probability, Probability] = (0.9, 0.999)
    """Share of the old mean, and of the old mean square, that is kept at each step."""

    def build(self, parameters: list[nn.Parameter]) -> Optimizer:
        return AdamW(
            parameters, lr=self.lr, betas=self.betas, weight_decay=self.weight_decay, fused=True
        )


class SGDConfig(OptimizerConfig):
    """`optimizer: {name: sgd}`."""

    name: Literal["sgd"] = "sgd"
    lr: PositiveFloat = 1e-2
    weight_decay: float = Field(default=3e-5, ge=0.0)
    momentum: Probability = 0.99
    """Share of the last update that is kept."""
    nesterov: bool = True

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SGDConfig:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0; set nesterov to false")
        return self

    def build(self, parameters: list[nn.Parameter]) -> Optimizer:
        return SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            fused=True,
        )


OPTIMIZERS: dict[str, type[OptimizerConfig]] = {"adamw": AdamWConfig, "sgd": SGDConfig}
"""Name in the configuration -> optimiser."""


def build_optimizer(network: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Build the optimiser of a network's trained parameters, with empty moments."""
    optimizer = config.build([p for p in network.parameters() if p.requires_grad])
    prepare_for_skips(optimizer)
    forget_moments(optimizer)
    return optimizer


def forget_moments(optimizer: Optimizer) -> None:
    """Drop what the optimiser remembers of past gradients.

    SGD's momentum starts from zeros rather than from nothing: the two give the same first update,
    but fused SGD leaves an unset buffer behind when it skips its first step.
    """
    optimizer.state.clear()
    if isinstance(optimizer, SGD):
        for group in optimizer.param_groups:
            if group["momentum"]:
                for parameter in group["params"]:
                    optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
