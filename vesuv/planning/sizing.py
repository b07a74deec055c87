"""Size of patch, network and batch: the largest that memory and time allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from vesuv.config import Config
from vesuv.io.printable import number_of
from vesuv.planning.cost import StepCost, step_cost
from vesuv.planning.memory import MemoryEstimate, estimate_memory
from vesuv.planning.network_shape import NetworkShape, shape_network
from vesuv.planning.survey import DatasetSurvey
from vesuv.runtime.machine import Machine
from vesuv.training.run_length import STEP_SHARE
from vesuv.types import Spacing

MIN_STEPS = 1500
"""Steps that a run of the wanted duration shall have at least."""
_SIZES = (
    (256, 32, False),
    (224, 32, False),
    (192, 32, False),
    (160, 32, False),
    (128, 32, False),
    (112, 32, False),
    (96, 32, False),
    (80, 32, False),
    (64, 32, False),
    (96, 32, True),
    (80, 32, True),
    (64, 32, True),
    (48, 32, True),
    (32, 16, False),
)
"""Edge of a cubic patch of this many voxels, filters of the first level, and whether that level
works on blocks of voxels; largest first. With little time, 32 filters on blocks segment thin sheets
better than 16 filters on voxels, at a third of the work."""
_BATCH_SIZE, _MAX_BATCH_SIZE = 2, 8
_NETWORK_KEYS = {
    "plain_unet": (
        "filters",
        "depth",
        "strides",
        "kernels",
        "space_to_depth",
        "refinement",
        "initialisation",
    ),
    "residual_encoder_unet": (
        "name",
        "features_per_stage",
        "strides",
        "kernel_sizes",
        "deep_supervision",
    ),
}
"""Network -> its keys that a proposal sets."""
_MAX_DEPTH_CPU, _MAX_DEPTH = 3, 4
"""A fifth level would have four times the weights of all others together."""


@dataclass(frozen=True)
class Resources:
    """What training may use.

    Args:
        machine: Device and precision.
        memory: Bytes.
        minutes: Duration of a run; None: any.
        flops_per_second: Measured speed; None: it is not known, and sets no limit.
    """

    machine: Machine
    memory: int
    minutes: float | None = None
    flops_per_second: float | None = None

    def step_seconds(self, num_steps: int) -> float | None:
        """Longest duration of a step that leaves so many of them; None: any."""
        return None if self.minutes is None else 60 * self.minutes * STEP_SHARE / num_steps


@dataclass(frozen=True)
class Size:
    """A patch with its network.

    Args:
        shape: Patch size, strides and kernels; the first stride is that of the blocks of voxels
            where the network works on them.
        filters: Filters of the first level.
        batch_size: Patches of a step.
        config: The whole configuration of this size.
        cost: Cost of its step.
        memory: Memory of its training.
        limit: What keeps the next larger size out: memory, time, or the volumes.
        network: Kind of network in words, with the reason.
        min_steps: Steps that a run needs for it.
    """

    shape: NetworkShape
    filters: int
    batch_size: int
    config: Config
    cost: StepCost
    memory: MemoryEstimate
    limit: str = ""
    network: str = ""
    min_steps: int = MIN_STEPS


Configure = Callable[[dict[str, Any]], Config]
"""Returns the whole configuration for the keys of sampling and model."""


def choose_size(
    survey: DatasetSurvey, spacing: Spacing, resources: Resources, configure: Configure
) -> Size:
    """Return the largest size that fits, or the smallest of all where none does."""
    max_depth = _MAX_DEPTH_CPU if resources.machine.device.type == "cpu" else _MAX_DEPTH
    voxels = survey.shape[0] * survey.shape[1] * survey.shape[2]
    first = next((i for i, (edge, *_) in enumerate(_SIZES) if edge**3 <= voxels), len(_SIZES))
    sizes = _SIZES[max(0, first - 1) :]
    limit = "the volumes are no larger"
    low, high = 0, len(sizes) - 1
    fitting: Size | None = None
    while low <= high:  # costs fall along the list, so the first that fits is found by halves
        middle = (low + high) // 2
        edge, filters, on_blocks = sizes[middle]
        shape = shape_network(edge**3, survey.shape, spacing, max_depth)
        keys = {"model.filters": filters, **_level_keys(shape, on_blocks=on_blocks)}
        size = _size(shape, keys, edge**3, survey, resources, configure)
        fault = size_fault(size, resources)
        if fault is None or middle == len(sizes) - 1:
            fitting, high = size, middle - 1
            limit = limit if fault is None else "the smallest size that is proposed"
        else:
            limit, low = f"the next larger size {fault}", middle + 1
    assert fitting is not None
    return replace(fitting, limit=limit)


def _level_keys(shape: NetworkShape, *, on_blocks: bool) -> dict[str, Any]:
    """Return the keys of the levels; a network on blocks has one pooling less."""
    strides, kernels = shape.strides, shape.kernels
    keys: dict[str, Any] = {}
    if on_blocks and len(strides) > 1:
        keys["model.space_to_depth"] = list(strides[0])
        keys["model.refinement"] = True
        keys["model.initialisation"] = "dirac"
        strides, kernels = strides[1:], kernels[1:]
    keys["model.depth"] = len(strides)
    if set(strides) != {(2, 2, 2)} or set(kernels) != {(3, 3, 3)}:
        keys["model.strides"] = [list(stride) for stride in strides]
        if any(1 in kernel for kernel in kernels):
            keys["model.kernels"] = [list(kernel) for kernel in kernels]
    return keys


def _size(
    shape: NetworkShape,
    model_keys: dict[str, Any],
    num_voxels: int,
    survey: DatasetSurvey,
    resources: Resources,
    configure: Configure,
) -> Size:
    """Where volumes are smaller than the wanted patch, more patches fill the batch."""
    batch_size = round(_BATCH_SIZE * num_voxels / shape.voxels)
    batch_size = min(_MAX_BATCH_SIZE, max(_BATCH_SIZE, batch_size))
    keys: dict[str, Any] = {
        "sampling.patch_size": list(shape.patch_size),
        "sampling.batch_size": batch_size,
        **model_keys,
    }
    config = configure(keys)
    cost = step_cost(config, resources.machine)
    memory = estimate_memory(config, cost, survey, resources.machine)
    filters = model_keys["model.filters"]
    return Size(shape, filters, batch_size, config, cost, memory)


def size_fault(size: Size, resources: Resources) -> str | None:
    """What forbids a size, as the predicate of a sentence; None: it fits."""
    if size.memory.needed > resources.memory:
        return f"would take {size.memory.needed / 1e9:.1f} GB"
    return time_fault(size.cost.flops, size.min_steps, resources)


def time_fault(flops: int, min_steps: int, resources: Resources) -> str | None:
    """Say what forbids steps of this work, as the predicate of a sentence; None: they fit."""
    allowed, speed = resources.step_seconds(min_steps), resources.flops_per_second
    minutes = resources.minutes
    if minutes is None or allowed is None or speed is None or flops / speed <= allowed:
        return None
    return f"would leave fewer than {min_steps} steps in {number_of(float(minutes), 'minute')}"


def network_keys(config: Config) -> dict[str, Any]:
    """Return the keys of the network that was chosen; those at their defaults are left out."""
    model = config.model.model_dump(mode="json")
    return {
        f"model.{key}": model[key]
        for key in _NETWORK_KEYS[config.model.name]
        if model[key] not in (None, False, [1, 1, 1])
    }
