"""Error of reconstructed intensities."""

from __future__ import annotations

import torch
from torch import Tensor

from vesuv.losses.prediction import SINGLE_PROCESS, Processes


def masked_error(
    outputs: Tensor, target: Tensor, mask: Tensor, processes: Processes = SINGLE_PROCESS
) -> Tensor:
    """Return the mean squared error over the masked voxels of all processes; 0 without any.

    Args:
        outputs: Output of the network, (b, c, z, y, x).
        target: Intensities of the same shape.
        mask: True where the error counts, (b, z, y, x).
        processes: The processes that share the batch.
    """
    weight = mask.unsqueeze(1).expand_as(target)
    squares = (outputs.float() - target).square()
    sums = torch.stack([squares.masked_fill(~weight, 0.0).sum(), weight.sum().float()])
    pooled = processes.sum(sums)
    return pooled[0] / pooled[1].clamp_min(1)
