"""Made-up cases and probabilities, small enough to score by hand; scores of written masks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.selection.studies import make_study
from vesuv.config.labels import TWO_CLASSES, Targets
from vesuv.config.training import SelectionConfig
from vesuv.evaluation.folders import ScoreOptions, score_folders, write_scores
from vesuv.runs.folder import RunFolder
from vesuv.selection.cache import ProbabilityCache
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.selection.search import SearchProblem
from vesuv.selection.summary import nested_parts

__all__ = ["make_study"]  # a fixture of its own file

Voxels = Sequence[float] | np.ndarray


def _volume(values: Voxels, dtype: Any) -> np.ndarray:
    array = np.asarray(values, dtype=dtype)
    return array if array.ndim >= 3 else array.reshape(1, 1, -1)


def held_out_images(run: RunFolder, data: Path, tmp_path: Path) -> Path:
    """Copy the run's validation images into a folder of their own."""
    folder = tmp_path / "held_out"
    folder.mkdir()
    for name in run.facts.validation_cases:
        shutil.copy(data / "train_images" / f"{name}.tif", folder)
    return folder


def score_files(predictions: Path, labels: Path, run: RunFolder) -> dict[str, Any]:
    """Score written masks as the command line does; return the summary."""
    options = ScoreOptions(schema=run.config.labels)
    scores = score_folders([predictions], labels, predictions, options)
    write_scores(scores, predictions)
    return scores.summary


@pytest.fixture
def make_problem(tmp_path: Path) -> Callable[..., SearchProblem]:
    """Return a function of labels and probabilities by case, the latter by checkpoint."""

    def make(
        labels: Mapping[str, Voxels],
        probs: Mapping[str, Mapping[str, Voxels]],
        groups: Mapping[str, str] | None = None,
        folds: Sequence[Sequence[str]] = (),
        default_chain: Any = (),
        targets: Targets = TWO_CLASSES,
        **config: Any,
    ) -> SearchProblem:
        cases: list[Any] = [
            SimpleNamespace(
                id=name,
                group=groups[name] if groups else None,
                native_label=_volume(label, np.uint8),
                native_shape=_volume(label, np.uint8).shape,
                native_spacing=(1.0, 1.0, 1.0),
            )
            for name, label in labels.items()
        ]
        predictions = []
        for checkpoint, volumes in probs.items():
            settings = {"checkpoint_sha256": checkpoint}
            overlap = targets.overlap
            cache = ProbabilityCache.open(tmp_path, checkpoint, settings, overlap=overlap)
            for case in cases:
                probs = torch.from_numpy(_volume(volumes[case.id], np.float32))
                cache.store(case, probs if probs.ndim == 4 else probs[None])
            predictions.append(OofPredictions(checkpoint, {case.id: cache for case in cases}))
        kind, parts = nested_parts(cases, folds)
        selection = SelectionConfig(**config)
        return SearchProblem(predictions, cases, targets, selection, default_chain, kind, parts)

    return make


@pytest.fixture
def held_out_run(
    make_run: Callable[..., RunFolder], trained_run: RunFolder
) -> Callable[..., RunFolder]:
    """Return a function that writes <name>/fold_0, untrained, with held-out cases of tiny data."""

    def make(name: str, fold: int = 0, cases: Sequence[str] = (), **changes: Any) -> RunFolder:
        """Take the cases of the trained run unless named; changes are those of `make_run`."""
        data = trained_run.config.data.model_dump(mode="json")
        facts = trained_run.facts
        return make_run(
            f"{name}/fold_{fold}",
            facts={
                "fold": fold,
                "data_fingerprint": facts.data_fingerprint,
                "validation_cases": list(cases or facts.validation_cases),
            },
            **{"data": data, **changes},
        )

    return make
