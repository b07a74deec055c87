"""Weight noise: small random changes to named layers, rarer and weaker with time."""

from __future__ import annotations

import torch
from torch import nn

from vesuv.config.training import WeightNoiseConfig
from vesuv.errors import InputError


class WeightNoise:
    """Adds Gaussian noise, relative to each tensor's own deviation, every few epochs.

    The n-th injection (from 0) has standard deviation std * decay**n. Which noise an epoch
    receives depends on the seed and the epoch alone.
    """

    def __init__(self, config: WeightNoiseConfig, network: nn.Module, seed: int) -> None:
        self.config = config
        self.seed = seed
        names = [name for name, _ in network.named_parameters()]
        for prefix in config.layers:
            if not any(name.startswith(prefix) for name in names):
                first = sorted({name.split(".")[0] for name in names})
                raise InputError(
                    f"noise.layers: no parameter begins with {prefix!r}; this network has "
                    f"{', '.join(first)}"
                )

    def std_at(self, epoch: int) -> float | None:
        """Return the relative deviation injected before `epoch`, or None."""
        since = epoch - self.config.start_epoch
        if since < 0 or since % self.config.every:
            return None
        return self.config.std * self.config.decay ** (since // self.config.every)

    @torch.no_grad()
    def inject(self, network: nn.Module, epoch: int) -> float | None:
        """Change the weights if `epoch` is due; return the relative deviation used."""
        std = self.std_at(epoch)
        if std is None:
            return None
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        for name, parameter in network.named_parameters():
            if name.startswith(self.config.layers):
                scale = std * parameter.std(unbiased=False)
                draw = torch.randn(parameter.shape, generator=generator)
                parameter.add_(draw.to(parameter) * scale)
        return std
