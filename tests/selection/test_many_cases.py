"""Selection on many small cases: each is read once, scored once, and left out once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vesuv.config.labels import TWO_CLASSES, Targets
from vesuv.data.labels import IGNORE
from vesuv.selection import cache, class_search
from vesuv.selection import search as threshold_search
from vesuv.selection.calibration import calibrate_selection
from vesuv.selection.class_search import search_classes
from vesuv.selection.level_counts import LevelCounts, PooledCounts
from vesuv.selection.search import SearchProblem, SearchResult

NUM_CASES = 20
THRESHOLDS = (0.3, 0.5, 0.7)
THREE = Targets.of_classes(("air", "one", "two"))


def strip(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a label of classes 0 to 2, empty in most strips, and probabilities near it."""
    rng = np.random.default_rng(seed)
    label = np.zeros((1, 4, 6), np.uint8)
    if seed % 5 == 0:
        label[0, 1, :] = 1 + seed % 2
    label[0, 0, :2] = IGNORE
    logits = rng.normal(size=(3, 1, 4, 6)) + 2.0 * np.stack([label == k for k in range(3)])
    probs = np.exp(logits) / np.exp(logits).sum(axis=0)
    return label, probs.astype(np.float32)


@pytest.fixture(params=[THREE, TWO_CLASSES], ids=["three classes", "two classes"])
def problem(request: pytest.FixtureRequest, make_problem: Callable[..., Any]) -> SearchProblem:
    strips = {f"c{seed:02d}": strip(seed) for seed in range(NUM_CASES)}
    is_binary = request.param == TWO_CLASSES
    made: SearchProblem = make_problem(
        {
            name: np.where(label == 2, 1, label) if is_binary else label
            for name, (label, _) in strips.items()
        },
        {
            "best": {
                name: probs[1:].sum(axis=0) if is_binary else probs
                for name, (_, probs) in strips.items()
            }
        },
        thresholds=THRESHOLDS,
        tolerance=1.0,
        postprocess=[[{"name": "keep_largest"}]],
        targets=request.param,
    )
    reopened = [
        replace(one, caches={name: copy(cache) for name, cache in one.caches.items()})
        for one in made.predictions
    ]
    return replace(made, predictions=reopened)


def searched(problem: SearchProblem) -> SearchResult:
    search = search_classes if problem.targets.has_several else threshold_search.search
    return search(problem)


def test_a_case_is_read_once_and_its_masks_are_scored_once(
    problem: SearchProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Counter[str] = Counter()
    masks: Counter[tuple[str, str]] = Counter()
    passes: Counter[str] = Counter()
    read, score = cache.read, threshold_search.score_candidate
    count_thresholds = class_search._ClassSearch._step

    def counted_read(path: Any) -> Any:
        reads[path.stem] += 1
        return read(path)

    def counted_score(probs: Any, case: Any, candidate: Any, *settings: Any) -> Any:
        masks[case.id, str(candidate)] += 1
        return score(probs, case, candidate, *settings)

    def counted_pass(self: Any, one: Any, case: Any, target: int, thresholds: Any) -> Any:
        others = [value for other, value in enumerate(thresholds) if other != target]
        passes[f"{case.id} {target} {others}"] += 1
        return count_thresholds(self, one, case, target, thresholds)

    monkeypatch.setattr(cache, "read", counted_read)
    monkeypatch.setattr(threshold_search, "score_candidate", counted_score)
    monkeypatch.setattr(class_search._ClassSearch, "_step", counted_pass)

    result = searched(problem)
    calibration = calibrate_selection(result)

    assert set(reads.values()) == {1} and len(reads) == NUM_CASES
    assert masks and set(masks.values()) == {1}
    if problem.targets.has_several:
        assert set(passes.values()) == {1}
    assert len(result.nested) == len(calibration.rounds) == NUM_CASES


def test_the_temperature_without_a_case_is_that_of_a_search_that_never_saw_it(
    problem: SearchProblem,
) -> None:
    rounds = {one.left_out: one for one in calibrate_selection(searched(problem)).rounds}

    for left_out in ("c00", "c11"):
        others = [case for case in problem.cases if case.id != left_out]
        alone = SearchProblem(
            problem.predictions, others, problem.targets, problem.config, (), "case", {}
        )
        expected = calibrate_selection(searched(alone)).temperature
        assert rounds[left_out].temperature == expected


def test_counts_within_and_without_a_part_are_those_of_the_cases_themselves() -> None:
    rng = np.random.default_rng(7)
    cases = [
        (rng.integers(0, 4, (9, num)).astype(np.uint8), rng.integers(0, 2, num).astype(np.uint8))
        for num in (50, 0, 31)
    ]
    pooled = PooledCounts.of([LevelCounts.of(*case) for case in cases])
    part = np.array([True, True, False])

    assert columns_of(pooled.within(part)) == columns_of(LevelCounts.of(*cases[0]))
    assert columns_of(pooled.without(part)) == columns_of(LevelCounts.of(*cases[2]))


def columns_of(counts: LevelCounts) -> dict[tuple[int, ...], int]:
    """Return levels with class -> voxels."""
    columns = np.vstack([counts.levels, counts.classes[None]]).T.tolist()
    voxels = counts.voxels.tolist()
    assert len({tuple(column) for column in columns}) == len(columns)
    return {tuple(column): num for column, num in zip(columns, voxels, strict=True)}
