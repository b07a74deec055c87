"""Made-up cases and probabilities, small enough to score by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from vesuv.config.training import SelectionConfig
from vesuv.selection.cache import ProbabilityCache
from vesuv.selection.search import Problem
from vesuv.selection.source import Source
from vesuv.selection.verdict import left_out

Voxels = Sequence[float] | np.ndarray


def _volume(values: Voxels, dtype: Any) -> np.ndarray:
    array = np.asarray(values, dtype=dtype)
    return array if array.ndim == 3 else array.reshape(1, 1, -1)


@pytest.fixture
def make_problem(tmp_path: Path) -> Callable[..., Problem]:
    """Return a function of labels and probabilities by case, the latter by checkpoint."""

    def make(
        labels: Mapping[str, Voxels],
        probs: Mapping[str, Mapping[str, Voxels]],
        groups: Mapping[str, str] | None = None,
        folds: Sequence[Sequence[str]] = (),
        default_chain: Any = (),
        **config: Any,
    ) -> Problem:
        cases: list[Any] = [
            SimpleNamespace(
                id=name,
                group=groups[name] if groups else None,
                label=_volume(label, np.uint8),
                shape=_volume(label, np.uint8).shape,
            )
            for name, label in labels.items()
        ]
        sources = []
        for checkpoint, volumes in probs.items():
            cache = ProbabilityCache.open(tmp_path, checkpoint, {"checkpoint_sha256": checkpoint})
            for case in cases:
                cache.store(case, torch.from_numpy(_volume(volumes[case.id], np.float32))[None])
            sources.append(Source(checkpoint, {case.id: (cache,) for case in cases}))
        _, parts = left_out(cases, folds)
        selection = SelectionConfig(**config)
        return Problem(sources, cases, 2, selection, default_chain, parts)

    return make
