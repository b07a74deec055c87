"""What the machine offers, and what a run therefore uses."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from vesuv.config import Config
from vesuv.config.training import RuntimeConfig
from vesuv.errors import InputError
from vesuv.runtime.distributed import ALONE, Group
from vesuv.runtime.torch_internals import cpu_has_bfloat16

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Machine:
    """Resolved runtime settings; nothing in here is `auto`."""

    device: torch.device
    precision: Precision
    workers: int
    threads: int
    augment_on: Literal["worker", "device"]
    group: Group = ALONE
    """The processes that train together, and which of them this is."""

    def alone(self) -> Machine:
        """Return the same machine for what one process computes by itself."""
        return replace(self, group=ALONE)

    def forward(self, network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        """Return a network's logits of a batch, under the precision."""
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"
        ):
            return network(image)

    def __str__(self) -> str:
        """One line for the log."""
        size = self.group.size
        each = f"{size} processes, each: " if size > 1 else ""
        return (
            f"{each}device {self.device}, {self.precision}, {self.threads} threads, "
            f"{self.workers} loader workers, augmentation on the {self.augment_on}"
        )


def resolve(runtime: RuntimeConfig, group: Group = ALONE) -> Machine:
    """Fill in whatever the configuration leaves to the machine.

    Processes that train together have a GPU each and share the machine's cores.

    Raises:
        InputError: The configuration asks for a device that is not there, or for too many.
    """
    device = _device(runtime.device)
    if group.size > 1:
        device = _own_device(device, group)
    cores = max(1, usable_cores() // group.local_size)
    on_accelerator = device.type != "cpu"
    workers = runtime.workers
    if workers is None:
        # On a CPU the network keeps every core busy: a loader process would only compete with it.
        workers = min(8, max(1, cores - 1)) if on_accelerator else 0
    threads = runtime.threads or (max(1, cores - workers) if on_accelerator else cores)
    if runtime.augment_on == "auto":
        # Metal has no volumetric grid_sample, so only CUDA warps patches itself.
        augment_on: Literal["worker", "device"] = "device" if device.type == "cuda" else "worker"
    else:
        augment_on = runtime.augment_on
    precision = _precision(runtime.precision, device)
    return Machine(device, precision, workers, threads, augment_on, group)


def for_training(machine: Machine, config: Config) -> Machine:
    """Return the machine with a precision whose gradients are right for this network.

    PyTorch's bfloat16 convolutions on a CPU give meaningless weight gradients, not even the same
    twice, where a 3x3x3 convolution sees features exactly two voxels deep (seen with torch 2.13,
    oneDNN, AVX-512: relative errors from 1 to 1e36; depths 1, 3 and more are right, and so are
    forward passes).

    Raises:
        InputError: bfloat16 was asked for by name.
    """
    depths = {config.sampling.patch_size[0] >> level for level in range(config.model.halvings + 1)}
    wrong = machine.device.type == "cpu" and machine.precision == "bfloat16" and 2 in depths
    if not wrong:
        return machine
    if config.runtime.precision == "bfloat16":
        raise InputError(
            "runtime.precision: bfloat16 gradients are wrong on a CPU where the network has a "
            f"level 2 voxels deep, found sampling.patch_size={list(config.sampling.patch_size)} "
            f"with {config.model.halvings} halvings; use float32, or a first edge of a power of "
            "two times 3"
        )
    return replace(machine, precision="float32")


def usable_cores() -> int:
    """Return the cores this process may run on, which on a cluster are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _device(wanted: str) -> torch.device:
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if there[name]))
    if not there[wanted]:
        found = ", ".join(name for name, present in there.items() if present)
        raise InputError(f"runtime.device: {wanted} is not available here, found {found}; use auto")
    return torch.device(wanted)


def _own_device(device: torch.device, group: Group) -> torch.device:
    if device.type == "mps":
        raise InputError(
            f"runtime.device: mps serves one process, found {group.size}; start without torchrun, "
            "or set it to cpu"
        )
    if device.type != "cuda":
        return device
    gpus = torch.cuda.device_count()
    if group.local_size > gpus:
        raise InputError(
            f"--nproc-per-node: each process needs a GPU of its own, found {group.local_size} "
            f"processes for the {gpus} of this machine; start at most {gpus}, or set "
            "runtime.device=cpu"
        )
    own = torch.device("cuda", group.local_rank)
    torch.cuda.set_device(own)
    return own


def _precision(wanted: Literal["auto", "float32", "bfloat16"], device: torch.device) -> Precision:
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu":
        return "bfloat16" if cpu_has_bfloat16() else "float32"
    return "float32"
