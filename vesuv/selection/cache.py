"""Probabilities of whole cases on disk, on the files' grids: each case is predicted once.

A run keeps them under distribution/probabilities/<checkpoint>-<key>/<case>.zarr, one byte a voxel,
compressed. The key is a digest of all that they depend on, which lies beside them in key.json. The
folder may be deleted at any time. What an earlier state of a checkpoint predicted is deleted when
the checkpoint is opened again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vesuv.data.store import StoredCase
from vesuv.errors import InputError
from vesuv.inference.levels import quantise
from vesuv.io.formats import read, write
from vesuv.io.tables import write_json

FOLDER = Path("distribution") / "probabilities"
_KEY = "key.json"


@dataclass(frozen=True)
class ProbabilityCache:
    """Levels of one checkpoint's probabilities, case by case."""

    folder: Path

    @classmethod
    def open(cls, run: Path, checkpoint: str, settings: Mapping[str, Any]) -> ProbabilityCache:
        """Open the folder for these settings, and delete what the checkpoint's old weights made.

        Args:
            run: A run folder.
            checkpoint: Name of the checkpoint.
            settings: All that the probabilities depend on, `checkpoint_sha256` among it.
        """
        text = json.dumps({"checkpoint": checkpoint, **settings}, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        for old in sorted((run / FOLDER).glob(f"{checkpoint}-*")):
            if _digest(old) != settings["checkpoint_sha256"]:
                shutil.rmtree(old, ignore_errors=True)
        folder = run / FOLDER / f"{checkpoint}-{key}"
        if not (folder / _KEY).is_file():
            write_json(folder / _KEY, {"checkpoint": checkpoint, **settings})
        return cls(folder)

    def holds(self, case: StoredCase) -> bool:
        """Whether a case lies there, whole."""
        return self._levels(case) is not None

    def store(self, case: StoredCase, probs: Tensor) -> None:
        """Keep the probabilities (k, z, y, x) of a case."""
        write(self._path(case), quantise(probs).numpy())

    def read(self, case: StoredCase) -> Tensor:
        """Return the levels (k, z, y, x), uint8, of a case that it holds.

        Raises:
            InputError: It was deleted or damaged in the meantime.
        """
        levels = self._levels(case)
        if levels is None:
            raise InputError(f"{self._path(case)}: is gone or damaged; run the command again")
        return levels

    def _path(self, case: StoredCase) -> Path:
        return self.folder / f"{case.id}.zarr"

    def _levels(self, case: StoredCase) -> Tensor | None:
        path = self._path(case)
        if not path.exists():
            return None
        try:
            levels = torch.from_numpy(read(path).channels)
        except InputError:
            return None  # damaged: predicted anew
        fits = levels.shape[1:] == case.native_shape and levels.dtype == torch.uint8
        return levels if fits else None


def _digest(folder: Path) -> str | None:
    """Digest of the checkpoint that a folder was made with; None when it does not say."""
    try:
        content = json.loads((folder / _KEY).read_text(encoding="utf-8"))
        return str(content["checkpoint_sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
