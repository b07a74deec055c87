"""Blocks in this process: the next one is read while one is computed and the last is written."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from vesuv.inference.blocks.blending import OnWindows
from vesuv.inference.postprocess.blockwise import Block
from vesuv.types import Array

ResultT = TypeVar("ResultT")
RecordT = TypeVar("RecordT")
RecordT_co = TypeVar("RecordT_co", covariant=True)


class BlockStages(Protocol[ResultT, RecordT_co]):
    """What is done with each block of a volume; see `vesuv.inference.blocks.work.BlockWork`."""

    def read(self, block: Block) -> Array: ...

    def compute(
        self, block: Block, image: Array, on_windows: OnWindows | None = None
    ) -> ResultT: ...

    def write(self, result: ResultT) -> RecordT_co: ...


def predict_blocks(
    work: BlockStages[ResultT, RecordT],
    blocks: Sequence[Block],
    on_record: Callable[[RecordT], None],
    on_windows: OnWindows | None = None,
) -> None:
    """Predict blocks one after the other.

    At most three blocks are in memory: one that is read or waits, one that is computed and one that
    is written.

    Args:
        work: What is done with each block; blocks are written in their order.
        blocks: The blocks.
        on_record: Called in this thread with the record of each written block.
        on_windows: Called with the number of windows that are finished since the last call.

    Raises:
        InputError: A block cannot be read, predicted or written; the others before it are.
    """
    with _Reader(work, blocks) as images, ThreadPoolExecutor(1, "write") as writer:
        last: Future[RecordT] | None = None
        for block in blocks:
            result = work.compute(block, images.get(), on_windows)
            if last is not None:
                on_record(last.result())
            last = writer.submit(work.write, result)
            del result
        if last is not None:
            on_record(last.result())


class _Reader:
    """Thread that reads the next block, and the one after it when that block is taken."""

    def __init__(self, work: BlockStages[Any, Any], blocks: Sequence[Block]) -> None:
        self._work, self._blocks = work, blocks
        self._images: queue.Queue[Array | BaseException] = queue.Queue()
        self._may_read = threading.Semaphore(1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="read", daemon=True)

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._stop.set()
        self._may_read.release()
        self._thread.join()

    def get(self) -> Array:
        """Return the image of the next block."""
        image = self._images.get()
        self._may_read.release()
        if isinstance(image, BaseException):
            raise image
        return image

    def _read(self) -> None:
        for block in self._blocks:
            self._may_read.acquire()
            if self._stop.is_set():
                return
            try:
                image = self._work.read(block)
            except BaseException as fault:
                self._images.put(fault)
                return
            self._images.put(image)
            del image
