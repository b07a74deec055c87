"""Blocks on the workers of a Ray cluster (extra `ray`), each an actor with networks of its own.

Blocks are numbers to the scheduler: voxels never pass through it. A worker reads the volume and
writes whole shards, so all workers need the paths of input and output.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vesuv.errors import InputErrors
from vesuv.inference.blocks.journal import BlockRecord, OnRecord
from vesuv.inference.blocks.plan import block_name
from vesuv.inference.blocks.work import BlockWork
from vesuv.inference.postprocess.blockwise import Block
from vesuv.runtime.ray_cluster import ray_cluster
from vesuv.types import Say

IN_FLIGHT = 2
"""Blocks that an actor has at most: one that it predicts, and one that waits for it."""
MAX_TRIES = 3
"""A block that fails so often is set aside."""


class BlockActor:
    """Process of the cluster that predicts blocks."""

    def __init__(self, work: BlockWork) -> None:
        self._work = work

    def predict(self, block: Block) -> BlockRecord:
        """Read, compute and write a block."""
        image = self._work.read(block)
        return self._work.write(self._work.compute(block, image))


@dataclass
class _Worker:
    """An actor and the blocks that it has, oldest first."""

    actor: Any
    blocks: dict[Any, Block] = field(default_factory=dict)


def predict_blocks_on_ray(
    work: BlockWork,
    blocks: Sequence[Block],
    on_record: OnRecord,
    workers: int | None,
    say: Say,
) -> None:
    """Predict blocks on all workers; those of a worker that dies are given to another.

    Args:
        work: Volume, networks and output.
        blocks: The blocks.
        on_record: Called in this thread after each block.
        workers: Number of actors; None: one for each GPU, else one for each CPU.
        say: Called with a message for each failure.

    Raises:
        InputErrors: Names the blocks that failed `MAX_TRIES` times; all others are written.
    """
    if not blocks:
        return
    with ray_cluster() as ray:
        faults = _Scheduler(ray, work, blocks, on_record, say).run(workers)
    if faults:
        raise InputErrors(faults)


class _Scheduler:
    def __init__(
        self, ray: Any, work: BlockWork, blocks: Sequence[Block], on_record: OnRecord, say: Say
    ) -> None:
        self.ray = ray
        self.shared = ray.put(work)
        self.needs_gpu = work.predictor.machine.device.type == "cuda"
        self.waiting = deque(blocks)
        self.on_record, self.say = on_record, say
        self.failures: Counter[str] = Counter()
        self.faults: list[str] = []

    def run(self, number: int | None) -> list[str]:
        """Predict all blocks; return a sentence for each that was set aside."""
        resources = self.ray.cluster_resources()
        available = int(resources.get("GPU" if self.needs_gpu else "CPU", 1)) or 1
        count = min(number or available, available, len(self.waiting))
        cpus = max(1, int(resources.get("CPU", 1)) // count)
        workers = [_Worker(self._actor(cpus)) for _ in range(count)]
        try:
            while self.waiting or any(worker.blocks for worker in workers):
                for worker in workers:
                    while self.waiting and len(worker.blocks) < IN_FLIGHT:
                        block = self.waiting.popleft()
                        worker.blocks[worker.actor.predict.remote(block)] = block
                (done,), _ = self.ray.wait([ref for one in workers for ref in one.blocks])
                worker = next(one for one in workers if done in one.blocks)
                self._take(worker, done, cpus)
        finally:
            for worker in workers:
                self.ray.kill(worker.actor)
        return self.faults

    def _actor(self, cpus: int) -> Any:
        actor_class = self.ray.remote(BlockActor)
        gpus = 1 if self.needs_gpu else 0
        return actor_class.options(num_cpus=cpus, num_gpus=gpus).remote(self.shared)

    def _take(self, worker: _Worker, done: Any, cpus: int) -> None:
        """Take the result of a block; where its worker died, also those of its other blocks."""
        if not self._is_lost(worker.blocks[done], done):
            del worker.blocks[done]
            return
        lost = [
            block
            for ref, block in worker.blocks.items()
            if ref == done or self._is_lost(block, ref)
        ]
        worker.blocks.clear()
        worker.actor = self._actor(cpus)
        self.waiting.extendleft(reversed(lost[1:]))  # which the dead worker had not begun
        self._retry(lost[0], "its worker ended (killed, or out of memory)")

    def _is_lost(self, block: Block, ref: Any) -> bool:
        """Return whether a block's worker died before its result; else take the result."""
        try:
            record = self.ray.get(ref)
        except self.ray.exceptions.RayActorError:
            return True
        except Exception as fault:  # of the block itself: the worker lives on
            cause = getattr(fault, "cause", None) or fault
            self._retry(block, str(cause).strip().rpartition("\n")[2])
        else:
            self.on_record(record)
        return False

    def _retry(self, block: Block, reason: str) -> None:
        name = block_name(block)
        self.failures[name] += 1
        num = self.failures[name]
        if num < MAX_TRIES:
            self.say(f"block {name}: {reason:.300}; tried again ({num + 1} of {MAX_TRIES})")
            self.waiting.append(block)
            return
        self.faults.append(
            f"block {name} failed {MAX_TRIES} times and was set aside: {reason:.300}; correct it "
            "and start the same command again"
        )
