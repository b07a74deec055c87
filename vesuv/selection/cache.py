"""Cache of probabilities of whole cases on the files' grids, so that each is predicted once.

A run has them in distribution/probabilities/<checkpoint>-<key>/<case>.zarr, one byte a voxel,
compressed unless they are small. The key is a digest of all settings that they depend on; key.json
lists these settings. The folder may be deleted at any time. When a checkpoint has changed, the
probabilities of its former weights are deleted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vesuv.data.array_files import write_array
from vesuv.data.store import StoredCase
from vesuv.errors import InputError
from vesuv.files import read_text
from vesuv.inference.levels import quantise
from vesuv.io.atomic import atomic_replace, catch_write_errors
from vesuv.io.formats import read, write
from vesuv.io.tables import write_json
from vesuv.runs.own_files import CACHE_KEY, cache_checkpoint, remove_cache

FOLDER = Path("distribution") / "probabilities"
_MAX_BYTES = 1 << 26
"""Bytes of levels that stay in memory, so that many small cases are read once."""
_SMALL = 1 << 20
"""Bytes of levels up to which a case is one chunk: many small files are slow."""


class _Memory:
    """Levels that were read or written, as long as there is room for them."""

    def __init__(self) -> None:
        self.levels: dict[str, Tensor] = {}
        self._num_bytes = 0

    def keep(self, case: str, levels: Tensor) -> None:
        self.forget(case)
        if self._num_bytes + levels.nbytes <= _MAX_BYTES:
            self.levels[case] = levels
            self._num_bytes += levels.nbytes

    def forget(self, case: str) -> None:
        levels = self.levels.pop(case, None)
        self._num_bytes -= 0 if levels is None else levels.nbytes


@dataclass(frozen=True)
class ProbabilityCache:
    """Levels of the probabilities of one checkpoint, by case."""

    folder: Path
    overlap: bool = False
    """Whether the channels are regions, see `quantise`."""
    _memory: _Memory = field(default_factory=_Memory, compare=False, repr=False)

    @classmethod
    def open(
        cls, run: Path, checkpoint: str, settings: Mapping[str, Any], *, overlap: bool = False
    ) -> ProbabilityCache:
        """Open the folder for these settings; delete folders of the checkpoint's former weights.

        Args:
            run: A run folder.
            checkpoint: Name of the checkpoint.
            settings: All settings that the probabilities depend on, with `checkpoint_sha256`.
            overlap: Whether the channels are regions.
        """
        text = json.dumps({"checkpoint": checkpoint, **settings}, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        for former in sorted((run / FOLDER).iterdir()) if (run / FOLDER).is_dir() else []:
            is_own = cache_checkpoint(former) == checkpoint
            if is_own and _checkpoint_digest(former) != settings["checkpoint_sha256"]:
                remove_cache(former)
        folder = run / FOLDER / f"{checkpoint}-{key}"
        if not (folder / CACHE_KEY).is_file():
            write_json(folder / CACHE_KEY, {"checkpoint": checkpoint, **settings})
        return cls(folder, overlap)

    def holds(self, case: StoredCase) -> bool:
        """Whether the probabilities of a case are in the cache's folder, undamaged."""
        levels = self._read_file(case)
        if levels is None:
            self._memory.forget(case.id)
        return levels is not None

    def store(self, case: StoredCase, probs: Tensor) -> None:
        """Write the probabilities (k, z, y, x) of a case as levels."""
        levels = quantise(probs, overlap=self.overlap)
        path = self._path(case)
        if levels.nbytes <= _SMALL:
            with catch_write_errors(path), atomic_replace(path) as temporary:
                write_array(temporary, levels.numpy())
        else:
            write(path, levels.numpy())
        self._memory.keep(case.id, levels)

    def read(self, case: StoredCase) -> Tensor:
        """Return the levels (k, z, y, x), uint8, of a case; they are shared, not to be changed.

        Raises:
            InputError: They are missing or damaged.
        """
        levels = self._memory.levels.get(case.id)
        if levels is None:
            levels = self._read_file(case)
        if levels is None:
            raise InputError(f"{self._path(case)}: is gone or damaged; run the command again")
        return levels

    def __reduce__(self) -> tuple[type[ProbabilityCache], tuple[Path, bool]]:
        """Leave out what is in memory; another process reads the files."""
        return ProbabilityCache, (self.folder, self.overlap)

    def _path(self, case: StoredCase) -> Path:
        return self.folder / f"{case.id}.zarr"

    def _read_file(self, case: StoredCase) -> Tensor | None:
        path = self._path(case)
        if not path.exists():
            return None
        try:
            levels = torch.from_numpy(read(path).channels)
        except InputError:
            return None  # damaged: the case is predicted again
        matches = levels.shape[1:] == case.native_shape and levels.dtype == torch.uint8
        if not matches:
            return None
        self._memory.keep(case.id, levels)
        return levels


def _checkpoint_digest(folder: Path) -> str | None:
    """Read the digest of a folder's checkpoint; None where key.json is missing or invalid."""
    try:
        content = json.loads(read_text(folder / CACHE_KEY))
        return str(content["checkpoint_sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
