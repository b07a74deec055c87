"""Out-of-fold probabilities that candidates binarize, and the scores of their masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vesuv.config.labels import Targets
from vesuv.config.training import Objective
from vesuv.data.labels import IGNORE
from vesuv.data.store import StoredCase
from vesuv.evaluation.leaderboard import leaderboard_score
from vesuv.evaluation.overlap import confusion
from vesuv.inference.levels import dequantise
from vesuv.inference.masks import MaskSettings
from vesuv.selection.cache import ProbabilityCache
from vesuv.selection.candidate_scores import CaseScore, case_score
from vesuv.selection.choice import Candidate
from vesuv.types import ClassArray


@dataclass(frozen=True)
class OofPredictions:
    """Probabilities of each case from networks that were trained without it."""

    name: str
    caches: Mapping[str, ProbabilityCache]
    """Case id -> cache of its probabilities."""

    def probs(self, case: StoredCase) -> Tensor:
        """Return the quantised probabilities (k, z, y, x) of a case on its file's grid."""
        return dequantise(self.levels(case))

    def levels(self, case: StoredCase) -> Tensor:
        """Return the levels (k, z, y, x), uint8, of these probabilities."""
        return self.caches[case.id].read(case)

    @property
    def folders(self) -> list[Path]:
        """Folders of the probabilities."""
        return list(dict.fromkeys(cache.folder for cache in self.caches.values()))


def score_candidate(
    probs: Tensor, case: StoredCase, candidate: Candidate, objective: Objective, targets: Targets
) -> CaseScore:
    """Make a candidate's mask of a case as `predict` does, and compare it with the file's label."""
    mask = MaskSettings(candidate.cuts, targets).classes(probs, case.native_spacing)
    label = torch.from_numpy(case.native_label.copy())
    matrix = confusion(torch.from_numpy(mask), label, label != IGNORE, targets.num_classes)
    return case_score(matrix, targets, _leaderboard(mask, case, objective, targets))


def _leaderboard(
    mask: ClassArray, case: StoredCase, objective: Objective, targets: Targets
) -> float | None:
    """Return the score, or the middle of its bounds; None where the objective does not need it.

    Of several classes it is the mean over those that the mask or the label holds where judged.
    """
    if objective not in ("leaderboard_bounds", "leaderboard_exact"):
        return None
    mode: Literal["exact", "bounds"] = "exact" if objective == "leaderboard_exact" else "bounds"
    label = np.asarray(case.native_label)
    scores = []
    for members in targets.members:
        predicted = np.isin(mask, members)
        labelled = np.where(label == IGNORE, IGNORE, np.isin(label, members)).astype(np.uint8)
        is_held = predicted[label != IGNORE].any() or (labelled == 1).any()
        if len(targets.members) == 1 or is_held:
            score = leaderboard_score(
                predicted.astype(np.uint8), labelled, ignore=IGNORE, mode=mode
            )
            scores.append((score.score_low + score.score_high) / 2)
    return sum(scores) / len(scores) if scores else 1.0
