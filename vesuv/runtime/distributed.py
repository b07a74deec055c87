"""Distributed training: processes that torchrun starts, and the data that they exchange.

All processes run the same steps on different patches. `sampling.batch_size` counts the patches of
all processes together. They are planned from seed, epoch and step as for one process, and each
process reads its share. The processes exchange:

- Gradients: DistributedDataParallel sums them during backward.
- Losses: some pool over the batch (batch Dice, clDice, every mean over valid voxels), so the mean
  of the processes' losses is not the loss of the batch. The processes sum their sums over patches
  instead (`Prediction.pool`), a few numbers for each term. A loss that does not pool gets the
  gathered logits of the whole batch. This is exact too, but every process then computes the loss of
  the whole batch: with eight processes, eight times the work of its own share.
- Decisions (stop, save): `Group.any_process`, since clocks and signals differ between processes.
- Validation: counts are summed as integers, loss terms tile by tile in a fixed order.

Only the main process (rank 0) writes files and messages; the others compute the same numbers.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from vesuv.errors import RESUME, InputError, Interrupted

_VARIABLES = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_EXCHANGE_TIMEOUT = timedelta(minutes=30)
"""Longest wait for other processes in an exchange on the device."""
_BARRIER_TIMEOUT = timedelta(days=2)
"""Longest wait while the main process prepares the store or writes."""
_GRACE_SECONDS = 10.0
"""Wait before a process exits after another one failed.

torchrun ends the other processes of a machine within a second after the first one fails.
"""
_FAULT_KEY = "fault"


@dataclass(frozen=True)
class Group:
    """This process and the group of processes that train one network together."""

    rank: int = 0
    size: int = 1
    """Number of processes."""
    local_rank: int = 0
    """Rank among the processes of this machine, and number of this process's GPU."""
    local_size: int = 1
    """Number of processes on this machine."""
    store: Store | None = None
    """Key-value store of all processes; the first process that fails writes its error there."""
    cpu_group: dist.ProcessGroup | None = None
    """Group for exchanges from host memory, which do not wait for the device."""

    @property
    def is_main(self) -> bool:
        """Whether this is the main process, which writes files and messages."""
        return self.rank == 0

    def batch_places(self, batch_size: int) -> tuple[int, ...]:
        """Return the places in a step's batch whose patches this process reads.

        Raises:
            InputError: The batch cannot be divided evenly among the processes.
        """
        if batch_size % self.size:
            raise InputError(
                f"sampling.batch_size: is the batch of all processes together, so it must be a "
                f"multiple of {self.size} processes, found {batch_size}; change it, or torchrun's "
                "--nproc-per-node"
            )
        share = batch_size // self.size
        return tuple(range(self.rank * share, (self.rank + 1) * share))

    def share_gradients(self, network: nn.Module) -> nn.Module:
        """Wrap the network so that backward averages gradients over processes.

        The average is the gradient of the batch: every process differentiates the loss of the whole
        batch, and the backward of each exchange sums the gradients of all processes.
        """
        if self.size == 1:
            return network
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of the values of all processes; differentiable."""
        if self.size == 1:
            return values
        total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
        return total

    def gather(self, values: Tensor) -> Tensor:
        """Concatenate (b, ...) of all processes along the batch, by rank; differentiable."""
        if self.size == 1:
            return values
        gathered: Tensor = _Gather.apply(values, self.rank, self.size)  # type: ignore[no-untyped-call]
        return gathered

    def any_process(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether it is set in any process; all processes get the same."""
        if self.size == 1:
            return flags
        maxima = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(maxima, dist.ReduceOp.MAX, group=self.cpu_group)
        return tuple(bool(flag) for flag in maxima)

    def broadcast_weights(self, network: nn.Module) -> None:
        """Copy the network's weights from the main process to all others."""
        if self.size > 1:
            for tensor in network.state_dict().values():
                dist.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Wait until all processes arrive here; the main process may take long."""
        if self.size > 1:
            dist.barrier(group=self.cpu_group)

    @contextmanager
    def attribute_errors(self) -> Iterator[None]:
        """Attribute an error to the process that failed first.

        Raises:
            OtherProcessError: Another process failed first and caused the error of this one.
            InputError: Another process was killed and could not report an error.
        """
        try:
            yield
        except (Interrupted, OtherProcessError):
            raise
        except BaseException as fault:
            rank, message = self._first_fault(fault)
            if rank != self.rank:
                raise OtherProcessError(rank, message) from None
            if self.size > 1 and _lost_connection(fault):
                detail = " ".join(str(fault).split())[:160]
                raise InputError(
                    "another process of this job was ended, or cannot be reached any more "
                    f"({detail}); torchrun says which, memory is the first thing to look at; what "
                    "was saved is whole, go on with --resume"
                ) from None
            raise

    def _first_fault(self, fault: BaseException) -> tuple[int, str]:
        """Publish this process's error unless another was published; return the first one."""
        if self.store is None:
            return self.rank, str(fault)
        own_entry = f"{self.rank} {type(fault).__name__} {fault}"
        try:
            first_entry = self.store.compare_set(_FAULT_KEY, "", own_entry).decode()
        except RuntimeError:  # the store ended together with the main process, which hosts it
            return 0, "it ended without an error message"
        rank, _, message = first_entry.partition(" ")
        return int(rank), message

    def gather_objects(self, item: Any) -> list[Any]:
        """Return the picklable items of all processes, by rank."""
        if self.size == 1:
            return [item]
        items: list[Any] = [None] * self.size
        dist.all_gather_object(items, item, group=self.cpu_group)
        return items


SINGLE_PROCESS = Group()
"""The group of a process that trains without others."""


class OtherProcessError(Exception):
    """Another process failed, which ends the job."""

    def __init__(self, rank: int, message: str) -> None:
        super().__init__(f"process {rank} failed: {message}")
        self.rank = rank


@contextmanager
def join_processes(environment: Mapping[str, str] = os.environ) -> Iterator[Group]:
    """Join the group of processes that torchrun started; without torchrun it has one process.

    The process that fails first shows its error. The other processes print nothing and wait until
    torchrun ends them; on every other machine, one process prints that error.

    Raises:
        InputError: The environment variables are not those of torchrun.
    """
    group = _join(environment)
    try:
        with group.attribute_errors():
            yield group
    except Interrupted:
        if not group.is_main:
            raise SystemExit(RESUME) from None
        raise
    except OtherProcessError as fault:
        same_machine = fault.rank // group.local_size == group.rank // group.local_size
        prints_error = group.local_rank == 0 and not same_machine
        _wait_for_torchrun()
        raise SystemExit(f"error: {fault}" if prints_error else 1) from None
    if group.size > 1:
        dist.destroy_process_group()


def _join(environment: Mapping[str, str]) -> Group:
    size_text = environment.get("WORLD_SIZE", "1")
    if size_text == "1":
        return SINGLE_PROCESS
    missing = [name for name in _VARIABLES if name not in environment]
    if missing:
        raise InputError(
            f"WORLD_SIZE={size_text}: one of several processes also needs {', '.join(missing)} in "
            "its environment; start them with torchrun, or unset WORLD_SIZE"
        )
    store, rank, size = next(rendezvous("env://", timeout=_EXCHANGE_TIMEOUT))
    # gloo sends tensors in host memory, NCCL tensors on a GPU
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=_EXCHANGE_TIMEOUT
    )
    return Group(
        rank,
        size,
        int(environment["LOCAL_RANK"]),
        int(environment["LOCAL_WORLD_SIZE"]),
        store,
        dist.new_group(backend="gloo", timeout=_BARRIER_TIMEOUT),
    )


def _wait_for_torchrun() -> None:
    """Wait until torchrun ends this process; it reports the process that ends first."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    time.sleep(_GRACE_SECONDS)


def _lost_connection(fault: BaseException) -> bool:
    signs = ("gloo/", "NCCL", "Connection closed by peer", "Connection reset by peer")
    return isinstance(fault, RuntimeError) and any(sign in str(fault) for sign in signs)


class _Sum(torch.autograd.Function):
    """Sum over processes; the gradient is the sum of the upstream gradients of all processes.

    A sum may enter another sum (a deviation from the mean of the batch): then the upstream
    gradients differ between processes, and only their sum is the gradient.
    """

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        return _all_reduce_sum(values)

    @staticmethod
    def backward(_ctx: Any, upstream: Tensor) -> Tensor:
        return _all_reduce_sum(upstream)


class _Gather(torch.autograd.Function):
    """Gather over processes; all compute the same from it, so the upstream gradients are equal."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rank: int, size: int) -> Tensor:
        ctx.rank, ctx.size = rank, size
        contiguous = values.contiguous()
        # gloo cannot send booleans
        sendable = contiguous.view(torch.uint8) if values.dtype == torch.bool else contiguous
        parts = [torch.empty_like(sendable) for _ in range(size)]
        dist.all_gather(parts, sendable)
        return torch.cat(parts).view(values.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        return upstream.chunk(ctx.size)[ctx.rank] * ctx.size, None, None


def _all_reduce_sum(values: Tensor) -> Tensor:
    total = values.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
