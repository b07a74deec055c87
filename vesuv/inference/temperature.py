"""Temperature scaling of probabilities, with the temperature of a selection."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vesuv.config.data import PROBABILITY_STEPS
from vesuv.inference.levels import round_to_steps
from vesuv.inference.members import Member
from vesuv.models.heads import activate

SMALLEST = 0.5 / PROBABILITY_STEPS
"""Middle of the lowest step; probabilities are kept this far from 0 and 1."""


def calibrate(probs: Tensor, temperatures: Sequence[float], *, overlap: bool = False) -> Tensor:
    """Return calibrated probabilities (k, z, y, x).

    They are made from probabilities in steps of 1/200, as the temperature was chosen and judged.

    Args:
        probs: Result of a prediction, (k, z, y, x).
        temperatures: One for each region, otherwise one.
        overlap: Whether the channels are regions.
    """
    return with_temperature(round_to_steps(probs, overlap=overlap), temperatures, overlap=overlap)


def with_temperature(
    probs: Tensor, temperatures: Sequence[float], *, overlap: bool = False
) -> Tensor:
    """Divide the logits of probabilities (k, ...) by a temperature.

    Args:
        probs: One channel of foreground probability, or one for each class or region.
        temperatures: One for each region, otherwise one. Above 1 probabilities become less
            extreme, below 1 more.
        overlap: Whether the channels are regions.

    Source:
        Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.
    """
    shape = (-1, *(1,) * (probs.ndim - 1))
    divisor = torch.tensor(temperatures, dtype=probs.dtype, device=probs.device).reshape(shape)
    logits = logits_of(probs, overlap=overlap).div_(divisor)
    return activate(logits[None], overlap=overlap)[0]


def logits_of(probs: Tensor, *, overlap: bool = False) -> Tensor:
    """Return logits (k, ...) that give probabilities (k, ...), which are moved off 0 and 1.

    Args:
        probs: Of a sigmoid, log(p / (1 - p)) is returned; of a softmax log(p). They are kept
            `SMALLEST` from 0 and 1.
        overlap: Whether the channels are regions, each with a sigmoid.
    """
    inside = probs.clamp(SMALLEST, 1.0 - SMALLEST)
    return torch.logit(inside) if overlap or len(probs) == 1 else torch.log(inside)


def selected_temperatures(members: Sequence[Member]) -> tuple[float, ...] | None:
    """Return the temperatures of an ensemble: the geometric means of those of its members.

    None where a member has none.
    """
    names = members[0].config.labels.targets.names
    of_members = [
        one.selected.calibration.of(names) if one.selected and one.selected.calibration else None
        for one in members
    ]
    chosen = [values for values in of_members if values is not None]
    if len(chosen) < len(members):
        return None
    return tuple(
        math.exp(math.fsum(map(math.log, values)) / len(values)) if len(set(values)) > 1
        else values[0]
        for values in zip(*chosen, strict=True)
    )  # fmt: skip
