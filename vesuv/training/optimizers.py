"""Optimisers by `optimizer.name`; none waits for the device."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from vesuv.config.data import PositiveFloat, Probability
from vesuv.config.training import OptimizerConfig
from vesuv.runtime.torch_internals import prepare_for_skips
from vesuv.training.muon import Muon, is_matrix


class AdamWConfig(OptimizerConfig):
    """`optimizer: {name: adamw}`."""

    name: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 5e-4
    weight_decay: float = Field(default=1e-4, ge=0.0)
    betas: tuple[Probability, Probability] = (0.9, 0.999)
    """Decay of the gradient's running mean and of its running mean square, per step."""

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
    """Share of the last update in the next one."""
    nesterov: bool = True
    """Look ahead by the momentum before the gradient is taken."""

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


class MuonConfig(OptimizerConfig):
    """`optimizer: {name: muon}`."""

    name: Literal["muon"] = "muon"
    lr: PositiveFloat = 5e-2
    weight_decay: float = Field(default=0.05, ge=0.0)
    momentum: Probability = 0.95
    """Decay of the running mean of a convolution's gradient, per step."""
    other_rate: PositiveFloat = 0.1
    """Learning rate of biases, norms and convolutions of one voxel, which AdamW updates, as a share
    of lr."""
    betas: tuple[Probability, Probability] = (0.9, 0.999)
    """AdamW's decays for these."""

    def build(self, parameters: list[nn.Parameter]) -> Optimizer:
        return Muon(
            parameters,
            lr=self.lr,
            other_rate=self.other_rate,
            momentum=self.momentum,
            betas=self.betas,
            weight_decay=self.weight_decay,
        )


OPTIMIZERS: dict[str, type[OptimizerConfig]] = {
    "adamw": AdamWConfig,
    "sgd": SGDConfig,
    "muon": MuonConfig,
}
"""Name in the configuration -> optimiser."""


def build_optimizer(network: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Build the optimiser of a network's trainable parameters, with empty moments."""
    optimizer = config.build([p for p in network.parameters() if p.requires_grad])
    prepare_for_skips(optimizer)
    reset_moments(optimizer)
    return optimizer


def reset_moments(optimizer: Optimizer) -> None:
    """Reset the optimiser's moments of past gradients.

    SGD gets momentum buffers of zeros. The first update is the same as without buffers, but fused
    SGD would create uninitialised ones if it skipped its first step.
    """
    optimizer.state.clear()
    if isinstance(optimizer, SGD):
        for group in optimizer.param_groups:
            if group["momentum"]:
                for parameter in group["params"]:
                    optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def moment_names(optimizer: Optimizer, parameter: nn.Parameter) -> set[str]:
    """Return the names of the moments that an optimiser keeps of a parameter."""
    is_mean = isinstance(optimizer, SGD) or (isinstance(optimizer, Muon) and is_matrix(parameter))
    return {"momentum_buffer"} if is_mean else {"step", "exp_avg", "exp_avg_sq"}
