"""Journal of a prediction in blocks: its settings, and which blocks are written with which bytes.

It lies in the output, in the folder `.vesuv`: `job.json`, and one small file for each finished
block, so that any number of processes may write at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.inference.blocks.plan import block_name
from vesuv.inference.postprocess.blockwise import Block
from vesuv.io.lock import hold_lock
from vesuv.io.sharded import Digests
from vesuv.io.tables import read_json, read_json_or_none, write_json
from vesuv.types import Say

FOLDER = ".vesuv"
_IGNORED_KEYS = {"software", "threshold.why", "postprocess.why", "written", "threads"}
"""Dotted keys in which a run that goes on may differ; a class may have such a name too."""
_NEW_KEYS = {"input.voxels"}
"""Dotted keys that the journals of former versions lack."""


@dataclass(frozen=True)
class BlockRecord:
    """A finished block.

    Args:
        name: Its position.
        digests: Array -> digest of each of the block's shards.
        computed: Windows that networks predicted.
        empty: Windows of zeros.
    """

    name: str
    digests: dict[str, Digests]
    computed: int = 0
    empty: int = 0


OnRecord = Callable[[BlockRecord], None]
"""Called with each block that is written."""


@dataclass(frozen=True)
class Journal:
    """Records in the folder of an output."""

    folder: Path

    @classmethod
    def of(cls, output: Path) -> Journal:
        """Return the journal of an output, which need not exist."""
        return cls(output / FOLDER)

    @property
    def exists(self) -> bool:
        return (self.folder / "job.json").is_file()

    @property
    def is_finished(self) -> bool:
        return (self.folder / "finished.json").is_file()

    def job(self) -> dict[str, Any]:
        """Return the settings.

        Raises:
            InputError: They are damaged.
        """
        return read_json(self.folder / "job.json")

    def start(self, job: Mapping[str, Any]) -> None:
        """Write the settings."""
        write_json(self.folder / "job.json", job)

    def add(self, record: BlockRecord) -> None:
        """Record a block whose shards are all written."""
        content = {
            "digests": record.digests,
            "windows": {"computed": record.computed, "empty": record.empty},
        }
        write_json(self._file(record.name), content)

    def finish(self) -> None:
        """Record that the output is whole."""
        write_json(self.folder / "finished.json", {})

    def records(self, blocks: Iterable[Block]) -> dict[str, BlockRecord]:
        """Return the records of finished blocks by name."""
        records = {}
        for block in blocks:
            name = block_name(block)
            content = read_json_or_none(self._file(name))
            if content is not None:
                windows = content["windows"]
                records[name] = BlockRecord(
                    name, content["digests"], windows["computed"], windows["empty"]
                )
        return records

    def remove(self, record: BlockRecord) -> None:
        """Forget a block whose shards are not those that were written."""
        self._file(record.name).unlink(missing_ok=True)

    def lock(self, say: Say) -> AbstractContextManager[None]:
        """Hold the lock under which a run starts and finishes; wait for other processes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return hold_lock(
            self.folder / "lock",
            f"{self.folder.parent}: {{holder}} starts or finishes it; waiting",
            wait=say,
        )

    def _file(self, name: str) -> Path:
        return self.folder / "blocks" / f"{name}.json"


def plain_json(content: Any) -> Any:
    """Return content as it is read back from JSON."""
    return json.loads(json.dumps(content, default=str))


def first_difference(earlier: Any, now: Any, key: str = "") -> str | None:
    """Return the first setting that differs, in words; None where all are equal."""
    if isinstance(earlier, dict) and isinstance(now, dict):
        for name in {**earlier, **now}:
            inner = f"{key}.{name}" if key else name
            if inner in _IGNORED_KEYS or (inner in _NEW_KEYS and name not in earlier):
                continue
            difference = first_difference(earlier.get(name), now.get(name), inner)
            if difference is not None:
                return difference
        return None
    if earlier == now:
        return None
    return f"{key} {earlier!r:.60}, now {now!r:.60}"
