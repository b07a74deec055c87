"""Memory and work of a training step, from the same step on tensors without storage."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from vesuv.config import Config
from vesuv.models import recompute_levels
from vesuv.runtime.machine import Machine, for_training
from vesuv.training.network import build_compound, build_training_network
from vesuv.training.optimizers import build_optimizer
from vesuv.training.phases import weights_at
from vesuv.training.step import TrainingStep, label_objective
from vesuv.transforms.collate import Batch


@dataclass(frozen=True)
class StepCost:
    """Cost of one training step.

    Args:
        peak_bytes: Most bytes of tensors that are alive at once: weights, gradients, the batch,
            activations, and what the loss keeps; without the optimiser's moments.
        flops: Floating-point operations of its convolutions, forward and backward.
        num_parameters: Trainable parameters.
    """

    peak_bytes: int
    flops: int
    num_parameters: int


def step_cost(config: Config, machine: Machine) -> StepCost:
    """Run one step on tensors that have shapes and no storage, and count.

    Args:
        config: The whole configuration.
        machine: Its precision is used; the device makes no difference to shapes.
    """
    machine = for_training(machine, config)
    cpu = Machine(torch.device("cpu"), machine.precision, 0, machine.threads, "worker")
    with FakeTensorMode():
        step = build_step(config, cpu)
        batch = empty_batch(config, cpu.device)
        tracker, counter = _Tracker(), FlopCounterMode(display=False)
        for tensor in (*step.parameters, batch.image, batch.label):
            tracker.track(tensor)
        with counter, tracker:
            step(batch, weights_at(config.phases, 0, config.terms))
        num_parameters = sum(parameter.numel() for parameter in step.parameters)
        moments = tracker.bytes_of(step.optimizer.state)
    return StepCost(tracker.peak - moments, counter.get_total_flops(), num_parameters)


def build_step(config: Config, machine: Machine) -> TrainingStep:
    """Return a training step as the trainer builds it, with new weights."""
    with machine.device:
        network = build_training_network(config).train()
    recompute_levels(network, config.runtime.recompute_levels)
    return TrainingStep(
        network,
        list(network.parameters()),
        build_optimizer(network, config.optimizer),
        label_objective(build_compound(config), machine.group),
        machine,
        gradient_clip=config.train.gradient_clip,
        accumulate=config.runtime.accumulate,
    )


def empty_batch(config: Config, device: torch.device) -> Batch:
    """Return a batch of zeros in the configuration's size."""
    size = (config.sampling.batch_size, *config.sampling.patch_size)
    image = torch.zeros((size[0], config.model.in_channels, *size[1:]), device=device)
    return Batch(image, torch.zeros(size, dtype=torch.uint8, device=device), ())


class _Tracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sum of the bytes of all storages that are alive, and its largest value."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: dict[int, int] = {}
        self.current = self.peak = 0

    def track(self, tensor: Tensor) -> None:
        """Count a tensor's storage until it is freed."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.alive:
            return
        self.alive[key] = storage.nbytes()
        self.current += storage.nbytes()
        self.peak = max(self.peak, self.current)
        weakref.finalize(storage, self._free, key)

    def bytes_of(self, tree: object) -> int:
        """Return the bytes of the tensors in nested mappings and lists."""
        return sum(
            leaf.untyped_storage().nbytes()
            for leaf in tree_leaves(tree)
            if isinstance(leaf, Tensor)
        )

    def _free(self, key: int) -> None:
        self.current -= self.alive.pop(key, 0)

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.track(leaf)
        return result
