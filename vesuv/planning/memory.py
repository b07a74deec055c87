"""Memory of a training process, from the parts that make it up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from vesuv.config import Config
from vesuv.io.memory import available_memory
from vesuv.planning.cost import StepCost
from vesuv.planning.survey import DatasetSurvey
from vesuv.runtime.machine import Machine, for_training

_PROCESS = 477 * 10**6
"""Resident bytes of a training process on a CPU beside the other parts, measured: interpreter and
libraries after their import (327 MB), and what they build at the first step."""
_COPIES = 0.35
"""Share of a step's tensors that convolutions take for reordered copies, by PyTorch's profiler."""
_MAPPED_BYTES = 32 * 2**20
"""Size from which glibc returns freed memory to the system at once."""
_FRAGMENTS, _FRAGMENTS_MAPPED = 0.6, 0.2
"""Share of a step's tensors that is lost between them, measured: below that size, and above."""
_CUDA_WORK_SPACE = 0.25
"""The same for cuDNN and the fragments of PyTorch's allocator."""
_CUDA_CONTEXT = 600 * 10**6
_MOMENT_BYTES = {"adamw": 8, "sgd": 4, "muon": 4}
"""Optimiser -> bytes that it keeps for a parameter."""
_AVERAGE_BYTES = 4
"""Bytes for a parameter of each average of the weights."""
_MEMORY_SHARE = 0.8
"""Share of the available memory that a proposal may use."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of a training process: on a CPU its resident memory, on a GPU what is reserved there.

    Args:
        libraries: Interpreter and libraries; on a GPU its context.
        parameters: Moments of the optimiser and averages of the weights.
        step: Tensors of a step, weights and gradients among them.
        work_space: Copies inside the libraries.
        data: Prepared cases, which are mapped into memory; the system takes these pages back
            where memory is short.
    """

    libraries: int
    parameters: int
    step: int
    work_space: int
    data: int

    @property
    def needed(self) -> int:
        """Bytes without which training fails."""
        return self.libraries + self.parameters + self.step + self.work_space

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        return self.needed + self.data


def estimate_memory(
    config: Config, cost: StepCost, survey: DatasetSurvey, machine: Machine
) -> MemoryEstimate:
    """Estimate the peak memory of training.

    Args:
        config: The whole configuration.
        cost: Cost of its training step.
        survey: The data set.
        machine: Device and precision of the training.
    """
    on_cpu = machine.device.type == "cpu"
    averages = (config.averaging.ema is not None) + (config.averaging.swa is not None)
    per_parameter = _MOMENT_BYTES.get(config.optimizer.name, 8) + averages * _AVERAGE_BYTES
    share = _cpu_work_space(config, machine) if on_cpu else _CUDA_WORK_SPACE
    return MemoryEstimate(
        libraries=_PROCESS if on_cpu else _CUDA_CONTEXT,
        parameters=per_parameter * cost.num_parameters,
        step=cost.peak_bytes,
        work_space=int(share * cost.peak_bytes),
        data=data_bytes(survey) if on_cpu else 0,
    )


def _cpu_work_space(config: Config, machine: Machine) -> float:
    """Share of a step's tensors that is taken beside them."""
    itemsize = 2 if for_training(machine, config).precision == "bfloat16" else 4
    voxels = math.prod(config.sampling.patch_size) * config.sampling.batch_size
    block = math.prod(getattr(config.model, "space_to_depth", (1, 1, 1)))
    top_level = voxels // block * _first_features(config) * itemsize
    return _COPIES + (_FRAGMENTS if top_level < _MAPPED_BYTES else _FRAGMENTS_MAPPED)


def _first_features(config: Config) -> int:
    """Channels of the top level."""
    stages = getattr(config.model, "features_per_stage", None)
    return int(stages[0] if stages else config.model.filters)


def data_bytes(survey: DatasetSurvey) -> int:
    """Return the bytes of the prepared images and labels."""
    voxel_bytes = survey.num_channels * survey.itemsize + 1
    return survey.num_cases * math.prod(survey.shape) * voxel_bytes


def memory_budget(device: torch.device, limit: float | None = None) -> int:
    """Return the bytes that training may take.

    Args:
        device: Device of the training.
        limit: Bytes that the user allows; None: most of what is available now.
    """
    if limit is not None:
        return int(limit)
    if device.type == "cuda":
        return int(_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0])
    available = available_memory()
    return int(_MEMORY_SHARE * (available if math.isfinite(available) else 16e9))
