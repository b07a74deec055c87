"""Where the fragments of blocks are kept between the passes: in memory, or in a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from vesuv.types import Array


class FragmentStore(Protocol):
    """Arrays of blocks by name: their fragments, numbered from 1 in the block, and their levels."""

    def save(self, name: str, array: Array) -> None: ...

    def load(self, name: str) -> Array: ...


@dataclass(frozen=True)
class MemoryFragments:
    """Arrays in memory."""

    arrays: dict[str, Array] = field(default_factory=dict)

    def save(self, name: str, array: Array) -> None:
        self.arrays[name] = array

    def load(self, name: str) -> Array:
        return self.arrays[name]


@dataclass(frozen=True)
class StoredFragments:
    """Arrays in a folder, one file each."""

    folder: Path

    def save(self, name: str, array: Array) -> None:
        np.save(self.folder / f"{name}.npy", array)

    def load(self, name: str) -> Array:
        array: Array = np.load(self.folder / f"{name}.npy")
        return array
