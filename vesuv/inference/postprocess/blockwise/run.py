"""What the passes over the blocks of one volume share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from vesuv.inference.postprocess.blockwise.grid import BlockGrid
from vesuv.types import ShowProgress, no_shown_progress

Item = TypeVar("Item")
Result = TypeVar("Result")


class MapFunction(Protocol):
    """Applies a picklable function to all items, as `vesuv.runtime.pool.parallel_map` does."""

    def __call__(
        self, work: Callable[[Item], Result], items: Sequence[Item], /
    ) -> Iterable[tuple[Item, Result]]:
        """Yield every item with its result, in any order."""
        ...


def map_here(
    work: Callable[[Item], Result], items: Sequence[Item], /
) -> Iterator[tuple[Item, Result]]:
    """Apply a function to all items in this process."""
    for item in items:
        yield item, work(item)


@dataclass(frozen=True)
class BlockRun:
    """Where and how the blocks of one volume are processed."""

    grid: BlockGrid
    """Blocks of the volume."""
    scratch: Path
    """Folder for intermediate masks, which are removed at the end."""
    map_blocks: MapFunction = map_here
    """Runs one pass. A pass reads only what earlier passes have finished."""
    show_progress: ShowProgress = no_shown_progress
    """Enters the progress of one pass."""

    def run_pass(
        self, title: str, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield every item with its result, in any order, and report the progress."""
        with self.show_progress(title, "blocks") as progress:
            for count, result in enumerate(self.map_blocks(work, items), start=1):
                progress(count, len(items))
                yield result

    def finish_pass(self, title: str, work: Callable[[Item], None], items: Sequence[Item]) -> None:
        """Run a pass that returns nothing."""
        for _ in self.run_pass(title, work, items):
            pass

    def new_folder(self) -> Path:
        """Return a new folder in the scratch folder."""
        return Path(tempfile.mkdtemp(dir=self.scratch))
