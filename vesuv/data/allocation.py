"""Room for large intermediate results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def empty_float32(shape: Sequence[int], device: torch.device) -> Tensor:
    """Return a contiguous tensor without settled values.

    On a CPU the memory is NumPy's, which asks the system for huge pages where PyTorch does not:
    touching fresh memory for the first time otherwise costs more than the work that is done in it.
    """
    if device.type == "cpu":
        return torch.from_numpy(np.empty(shape, np.float32))
    return torch.empty(tuple(shape), dtype=torch.float32, device=device)
