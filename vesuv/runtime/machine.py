"""The machine of a run: device, precision, processes and threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor

from vesuv.config import Config
from vesuv.config.training import RuntimeConfig
from vesuv.errors import InputError
from vesuv.io.printable import number_of
from vesuv.runtime.distributed import SINGLE_PROCESS, Group
from vesuv.runtime.torch_internals import cpu_has_bfloat16

Precision = Literal["float32", "bfloat16"]
Logits = TypeVar("Logits")
"""Logits of one scale, or of several."""


@dataclass(frozen=True)
class Machine:
    """Resolved runtime settings, without `auto`."""

    device: torch.device
    precision: Precision
    workers: int
    threads: int
    augment_on: Literal["worker", "device"]
    group: Group = SINGLE_PROCESS
    """This process and the processes that train together with it."""

    def for_single_process(self) -> Machine:
        """Return the same machine without exchange between processes."""
        return replace(self, group=SINGLE_PROCESS)

    def forward(self, network: Callable[[Tensor], Logits], image: Tensor) -> Logits:
        """Return a network's logits of a batch, computed in this precision."""
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"
        ):
            return network(image)

    def __str__(self) -> str:
        """One line for the log."""
        size = self.group.size
        prefix = f"{size} processes, each: " if size > 1 else ""
        return (
            f"{prefix}device {self.device}, {self.precision}, "
            f"{number_of(self.threads, 'thread')}, {number_of(self.workers, 'loader worker')}, "
            f"augmentation on the {self.augment_on}"
        )


def resolve(runtime: RuntimeConfig, group: Group = SINGLE_PROCESS) -> Machine:
    """Choose the settings that the configuration leaves to the machine.

    Processes that train together have one GPU each and share the machine's cores.

    Raises:
        InputError: The device is not available, or there are more processes than devices.
    """
    device = _device(runtime.device)
    if group.size > 1:
        device = _process_device(device, group)
    cores = max(1, usable_cores() // group.local_size)
    on_accelerator = device.type != "cpu"
    workers = runtime.workers
    if workers is None:
        # On a CPU the network uses all cores: loader processes would only slow it down.
        workers = min(8, max(1, cores - 1)) if on_accelerator else 0
    threads = runtime.threads or (max(1, cores - workers) if on_accelerator else cores)
    if runtime.augment_on == "auto":
        # Metal has no 3D grid_sample, so only CUDA devices warp patches.
        augment_on: Literal["worker", "device"] = "device" if device.type == "cuda" else "worker"
    else:
        augment_on = runtime.augment_on
    precision = _precision(runtime.precision, device)
    return Machine(device, precision, workers, threads, augment_on, group)


def for_training(machine: Machine, config: Config) -> Machine:
    """Return the machine with a precision that gives correct gradients for this network.

    On a CPU, PyTorch's bfloat16 convolutions give wrong and random weight gradients where a 3x3x3
    convolution gets features exactly two voxels deep. Measured with torch 2.13, oneDNN, AVX-512:
    relative errors from 1 to 1e36. Depths 1, 3 and more are correct, and so are forward passes.

    Raises:
        InputError: The configuration sets bfloat16, not auto.
    """
    halvings = config.model.halvings[0]
    depths = {config.sampling.patch_size[0] >> level for level in range(halvings + 1)}
    on_cpu_in_bfloat16 = machine.device.type == "cpu" and machine.precision == "bfloat16"
    if not (on_cpu_in_bfloat16 and 2 in depths):
        return machine
    if config.runtime.precision == "bfloat16":
        raise InputError(
            "runtime.precision: bfloat16 gradients are wrong on a CPU where the network has a "
            f"level 2 voxels deep, found sampling.patch_size={list(config.sampling.patch_size)} "
            f"with {halvings} halvings; use float32, or a first edge of a power of "
            "two times 3"
        )
    return replace(machine, precision="float32")


def usable_cores() -> int:
    """Return the number of cores this process may use; a cluster can restrict them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _device(name: str) -> torch.device:
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if not available[name]:
        names = ", ".join(kind for kind, is_available in available.items() if is_available)
        raise InputError(f"runtime.device: {name} is not available here, found {names}; use auto")
    return torch.device(name)


def _process_device(device: torch.device, group: Group) -> torch.device:
    if device.type == "mps":
        raise InputError(
            f"runtime.device: mps serves one process, found {group.size}; start without torchrun, "
            "or set it to cpu"
        )
    if device.type != "cuda":
        return device
    num_gpus = torch.cuda.device_count()
    if group.local_size > num_gpus:
        raise InputError(
            f"--nproc-per-node: each process needs a GPU of its own, found {group.local_size} "
            f"processes for the {num_gpus} of this machine; start at most {num_gpus}, or set "
            "runtime.device=cpu"
        )
    gpu = torch.device("cuda", group.local_rank)
    torch.cuda.set_device(gpu)
    return gpu


def _precision(setting: Literal["auto", "float32", "bfloat16"], device: torch.device) -> Precision:
    if setting != "auto":
        return setting
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu":
        return "bfloat16" if cpu_has_bfloat16() else "float32"
    return "float32"
