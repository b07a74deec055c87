"""Weight noise: small random changes of some layers, which become smaller with time."""

from __future__ import annotations

import torch
from torch import nn

from vesuv.config.training import WeightNoiseConfig
from vesuv.errors import InputError


class WeightNoise:
    """Adds Gaussian noise, relative to each tensor's own deviation, every few epochs.

    The n-th injection (from 0) has standard deviation std * decay**n. The noise of an epoch is a
    pure function of seed and epoch.
    """

    def __init__(self, config: WeightNoiseConfig, network: nn.Module, seed: int) -> None:
        self.config = config
        self.seed = seed
        names = [name for name, _ in network.named_parameters()]
        for prefix in config.layers:
            if not any(name.startswith(prefix) for name in names):
                modules = sorted({name.split(".")[0] for name in names})
                raise InputError(
                    f"noise.layers: no parameter begins with {prefix!r}; this network has "
                    f"{', '.join(modules)}"
                )

    def std_at(self, epoch: int) -> float | None:
        """Return the relative deviation of the noise before `epoch`; None: no noise."""
        epochs_since_start = epoch - self.config.start_epoch
        if epochs_since_start < 0 or epochs_since_start % self.config.every:
            return None
        num_before = epochs_since_start // self.config.every
        return self.config.std * self.config.decay**num_before

    @torch.no_grad()
    def inject(self, network: nn.Module, epoch: int) -> float | None:
        """Add noise if it is due before `epoch`; return its relative deviation, or None."""
        std = self.std_at(epoch)
        if std is None:
            return None
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        for name, parameter in network.named_parameters():
            if name.startswith(self.config.layers):
                scale = std * parameter.std(unbiased=False)
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise.to(parameter) * scale)
        return std
