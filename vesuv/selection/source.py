"""Cached probabilities of a checkpoint, or the mean of several, and the masks made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vesuv.config.training import Objective
from vesuv.data.labels import IGNORE
from vesuv.data.store import StoredCase
from vesuv.evaluation.leaderboard import leaderboard_score
from vesuv.evaluation.overlap import confusion
from vesuv.inference.masks import class_mask
from vesuv.selection.cache import ProbabilityCache
from vesuv.selection.choice import Candidate
from vesuv.selection.levels import dequantise
from vesuv.selection.measured import CaseScore, case_score


@dataclass(frozen=True)
class Source:
    """What candidates cut: for each case the networks that were trained without it."""

    name: str
    caches: Mapping[str, tuple[ProbabilityCache, ...]]
    """Case id -> where its probabilities lie; those of several are averaged."""

    def probs(self, case: StoredCase) -> Tensor:
        """Return the probabilities (k, z, y, x) of a case."""
        parts = [dequantise(cache.read(case)) for cache in self.caches[case.id]]
        return sum(parts[1:], start=parts[0]) / len(parts)

    @property
    def folders(self) -> list[Path]:
        """Where the probabilities lie."""
        found = dict.fromkeys(c.folder for caches in self.caches.values() for c in caches)
        return list(found)


def score(
    probs: Tensor, case: StoredCase, candidate: Candidate, objective: Objective, num_classes: int
) -> CaseScore:
    """Make a candidate's mask of a case and compare it with the label."""
    prediction = class_mask(probs, candidate.threshold, candidate.postprocess)
    label = torch.from_numpy(case.label.copy())
    matrix = confusion(torch.from_numpy(prediction), label, label != IGNORE, num_classes)
    return case_score(matrix, _leaderboard(prediction, case, objective))


def _leaderboard(
    prediction: NDArray[np.uint8], case: StoredCase, objective: Objective
) -> float | None:
    """The score, or the middle of its bounds; None where the objective does not ask for it."""
    if objective not in ("leaderboard_bounds", "leaderboard_exact"):
        return None
    mode: Literal["exact", "bounds"] = "exact" if objective == "leaderboard_exact" else "bounds"
    found = leaderboard_score(prediction, case.label, ignore=IGNORE, mode=mode)
    return (found.score_low + found.score_high) / 2
