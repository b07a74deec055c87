"""Several processes that train one network, as torchrun starts them: who each is, what they share.

All processes do the same thing at the same time, on different patches. The batch of a step is the
whole job's: `sampling.batch_size` patches, planned from seed, epoch and step as for one process, of
which each process reads its share. What they exchange:

- Gradients: DistributedDataParallel adds them up while backward still runs.
- Losses: some pool over the batch (batch Dice, clDice, every mean over judged voxels), so the mean
  of the processes' losses is not the loss of the batch. They add up their sums over patches
  instead (`Prediction.pool`), a few numbers a term. Gathering the logits would be as exact for any
  loss, and is what a loss gets that does not pool; but then every process computes the loss of the
  whole batch, which with eight of them is eight times the work of its own share.
- Decisions (stop, save) by `Group.agree`, since clocks and signals differ between processes.
- Validation: counts are added up as integers, loss terms tile by tile in one order.

The first process alone writes files and speaks; the others compute the same numbers and are silent.
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
_EXCHANGE = timedelta(minutes=30)
"""Longest wait for the others in an exchange on the device; none of ours waits for a person."""
_PATIENCE = timedelta(days=2)
"""Longest wait while the first process prepares the store or writes."""
_GRACE_SECONDS = 10.0
"""torchrun ends the others of a machine within a second after the first that failed has ended."""
_FAULT = "fault"


@dataclass(frozen=True)
class Group:
    """This process among those that train one network together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Its place among the processes of its machine, and its GPU's number."""
    local_size: int = 1
    store: Store | None = None
    """Where a process that fails says so."""
    host: dist.ProcessGroup | None = None
    """For what is exchanged from the processor's memory, without waiting for the device."""

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def places(self, batch_size: int) -> tuple[int, ...]:
        """Return which patches of a step's batch are this process's.

        Raises:
            InputError: The batch cannot be shared evenly.
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
        """Return the network in a shell whose backward averages gradients over processes.

        The average is the right one: every process differentiates the loss of the whole batch,
        through exchanges whose backward adds up what all of them feed back.
        """
        if self.size == 1:
            return network
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    def sum(self, values: Tensor) -> Tensor:
        """Add up the values of all processes; differentiable."""
        if self.size == 1:
            return values
        total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
        return total

    def gather(self, values: Tensor) -> Tensor:
        """Join (b, ...) of all processes along the batch, in their order; differentiable."""
        if self.size == 1:
            return values
        whole: Tensor = _Gather.apply(values, self.rank, self.size)  # type: ignore[no-untyped-call]
        return whole

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether it is up in any process; the answer is the same in all."""
        if self.size == 1:
            return flags
        shared = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(shared, dist.ReduceOp.MAX, group=self.host)
        return tuple(bool(flag) for flag in shared)

    def copy_from_first(self, network: nn.Module) -> None:
        """Give the network the weights that it has in the first process."""
        if self.size > 1:
            for tensor in network.state_dict().values():
                dist.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Go on when all processes are here, however long the first is busy."""
        if self.size > 1:
            dist.barrier(group=self.host)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Tell an error of this process from one that is only the echo of another's.

        Raises:
            AnotherFailed: It is an echo, whatever was raised.
            InputError: The other one was killed before it could say so.
        """
        try:
            yield
        except (Interrupted, AnotherFailed):
            raise
        except BaseException as fault:
            rank, said = self._first_fault(fault)
            if rank != self.rank:
                raise AnotherFailed(rank, said) from None
            if self.size > 1 and _lost_connection(fault):
                detail = " ".join(str(fault).split())[:160]
                raise InputError(
                    "another process of this job was ended, or cannot be reached any more "
                    f"({detail}); torchrun says which, memory is the first thing to look at; what "
                    "was saved is whole, go on with --resume"
                ) from None
            raise

    def _first_fault(self, fault: BaseException) -> tuple[int, str]:
        """Tell the others of a fault unless one was told of before; return the first."""
        if self.store is None:
            return self.rank, str(fault)
        mine = f"{self.rank} {type(fault).__name__} {fault}"
        try:
            first = self.store.compare_set(_FAULT, "", mine).decode()
        except RuntimeError:  # the store is gone, and with it the process that kept it
            return 0, "it is gone"
        rank, _, said = first.partition(" ")
        return int(rank), said

    def collect(self, thing: Any) -> list[Any]:
        """Return the thing that each process brings, in their order."""
        if self.size == 1:
            return [thing]
        things: list[Any] = [None] * self.size
        dist.all_gather_object(things, thing, group=self.host)
        return things


ALONE = Group()


class AnotherFailed(Exception):  # noqa: N818 - the error is the other process's
    """Another process failed, and with it the job."""

    def __init__(self, rank: int, said: str) -> None:
        super().__init__(f"process {rank} failed: {said}")
        self.rank = rank


@contextmanager
def joined(environment: Mapping[str, str] = os.environ) -> Iterator[Group]:
    """Join the processes that torchrun started; without torchrun there is one.

    The process that fails first shows its error. The others, which can only tell that it is gone,
    keep silent until torchrun ends them; on another machine one of them says what it heard.

    Raises:
        InputError: The environment is not one that torchrun makes.
    """
    group = _join(environment)
    try:
        with group.guard():
            yield group
    except Interrupted:
        if not group.leads:
            raise SystemExit(RESUME) from None
        raise
    except AnotherFailed as fault:
        same_machine = fault.rank // group.local_size == group.rank // group.local_size
        speaks = group.local_rank == 0 and not same_machine
        _await_the_end()
        raise SystemExit(f"error: {fault}" if speaks else 1) from None
    if group.size > 1:
        dist.destroy_process_group()


def _join(environment: Mapping[str, str]) -> Group:
    size = environment.get("WORLD_SIZE", "1")
    if size == "1":
        return ALONE
    missing = [name for name in _VARIABLES if name not in environment]
    if missing:
        raise InputError(
            f"WORLD_SIZE={size}: one of several processes also needs {', '.join(missing)} in its "
            "environment; start them with torchrun, or unset WORLD_SIZE"
        )
    store, rank, number = next(rendezvous("env://", timeout=_EXCHANGE))
    # Tensors in the processor's memory travel by gloo, those on a GPU by NCCL.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=number, timeout=_EXCHANGE)
    return Group(
        rank,
        number,
        int(environment["LOCAL_RANK"]),
        int(environment["LOCAL_WORLD_SIZE"]),
        store,
        dist.new_group(backend="gloo", timeout=_PATIENCE),
    )


def _await_the_end() -> None:
    """Let the process that failed be the first to end: torchrun reports that one."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    time.sleep(_GRACE_SECONDS)


def _lost_connection(fault: BaseException) -> bool:
    signs = ("gloo/", "NCCL", "Connection closed by peer", "Connection reset by peer")
    return isinstance(fault, RuntimeError) and any(sign in str(fault) for sign in signs)


class _Sum(torch.autograd.Function):
    """Each process returns the same total, so what it feeds back is the sum of all upstreams.

    A total may enter another sum (a deviation from the mean of the batch): then the upstreams
    differ between processes, and only their sum is the gradient.
    """

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        return _added_up(values)

    @staticmethod
    def backward(_ctx: Any, upstream: Tensor) -> Tensor:
        return _added_up(upstream)


class _Gather(torch.autograd.Function):
    """What is made of the joined patches is the same everywhere, and so is its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rank: int, size: int) -> Tensor:
        ctx.rank, ctx.size = rank, size
        sent = values.contiguous()
        plain = sent.view(torch.uint8) if sent.dtype == torch.bool else sent
        received = [torch.empty_like(plain) for _ in range(size)]
        dist.all_gather(received, plain)
        return torch.cat(received).view(values.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        return upstream.chunk(ctx.size)[ctx.rank] * ctx.size, None, None


def _added_up(values: Tensor) -> Tensor:
    total = values.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
