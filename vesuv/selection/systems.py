"""Configurations and their ensembles, compared by what was chosen for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vesuv.config.training import SelectionConfig
from vesuv.data.store import StoredCase
from vesuv.inference.predictor import Predictor
from vesuv.selection.cache import ProbabilityCache
from vesuv.selection.choice import Choice, rank
from vesuv.selection.held_out import HeldOutRun
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.selection.search import NestedChoice
from vesuv.selection.verdict import Verdict
from vesuv.types import ShowProgress

ALL_SUBSETS_UP_TO = 4
"""Configurations of which every ensemble is tried; of more, the pairs and the whole."""

Names = tuple[str, ...]
"""Names of configurations."""


@dataclass(frozen=True)
class System:
    """A configuration, or the mean of several, with the best way to make masks of it."""

    name: str
    configurations: Names
    verdict: Verdict

    @property
    def chosen(self) -> Choice:
        """What was chosen for it."""
        return self.verdict.result.chosen


def ensembles(configurations: Sequence[str]) -> list[Names]:
    """Return which configurations are averaged: every two and more of up to four."""
    num = len(configurations)
    sizes = range(2, num + 1) if num <= ALL_SUBSETS_UP_TO else sorted({2, num})
    return [subset for size in sizes for subset in itertools.combinations(configurations, size)]


def predict_ensembles(
    subsets: Sequence[Names],
    runs: Mapping[str, Sequence[HeldOutRun]],
    checkpoints: Mapping[str, str],
    show_progress: ShowProgress,
) -> dict[Names, OofPredictions]:
    """Predict the held-out cases with ensembles, unless they are on disk.

    The mean is that of `predict`: of the networks' float probabilities, before they are kept in
    steps. Each network predicts a case once for all ensembles of like windows and spacing.

    Args:
        subsets: Configurations of each ensemble; the first one's settings count.
        runs: Runs of each configuration; all hold out the same cases.
        checkpoints: Name of the checkpoint of each configuration.
        show_progress: Told how far each case is.
    """
    caches: dict[Names, dict[str, ProbabilityCache]] = {subset: {} for subset in subsets}
    for fold, ids in _by_fold(runs):
        members = {name: (run, checkpoints[name]) for name, run in fold.items()}
        for alike in _alike(subsets, fold):
            cases = [case for case in fold[alike[0][0]].cases if case.id in ids]
            opened = {
                subset: fold[subset[0]].ensemble_cache([members[name] for name in subset])
                for subset in alike
            }
            missing = [case for case in cases if not all(c.holds(case) for c in opened.values())]
            if missing:
                _predict(missing, members, opened, show_progress)
            for subset, cache in opened.items():
                caches[subset] |= dict.fromkeys(ids, cache)
    return {subset: OofPredictions(" + ".join(subset), found) for subset, found in caches.items()}


def _by_fold(
    runs: Mapping[str, Sequence[HeldOutRun]],
) -> Iterator[tuple[dict[str, HeldOutRun], list[str]]]:
    """Yield the runs, one a configuration, that hold out the same cases, with those cases' ids."""
    holders = [
        {case.id: number for number, one in enumerate(of_name) for case in one.cases}
        for of_name in runs.values()
    ]
    folds: dict[tuple[int, ...], list[str]] = {}
    for case_id in holders[0]:
        folds.setdefault(tuple(holder[case_id] for holder in holders), []).append(case_id)
    for numbers, ids in folds.items():
        yield {name: runs[name][k] for name, k in zip(runs, numbers, strict=True)}, ids


def _alike(subsets: Sequence[Names], fold: Mapping[str, HeldOutRun]) -> list[list[Names]]:
    """Group ensembles that predict in the same way, at the same spacing."""
    groups: dict[str, list[Names]] = {}
    for subset in subsets:
        first = fold[subset[0]]
        groups.setdefault(f"{first.inference} {first.config.data.spacing}", []).append(subset)
    return list(groups.values())


def _predict(
    cases: Sequence[StoredCase],
    members: Mapping[str, tuple[HeldOutRun, str]],
    caches: Mapping[Names, ProbabilityCache],
    show_progress: ShowProgress,
) -> None:
    used = [name for name in members if any(name in subset for subset in caches)]
    first = members[next(iter(caches))[0]][0]
    networks = [members[name][0].network(members[name][1], first.machine.device) for name in used]
    predictor = Predictor(networks, first.machine, first.config.inference)
    numbers = [[used.index(name) for name in subset] for subset in caches]
    for number, case in enumerate(cases, start=1):
        title = f"ensembles {number}/{len(cases)} {case.id}"
        with show_progress(title, "windows") as progress:
            means = predictor.ensemble_probs(case, numbers, progress)
        for cache, mean in zip(caches.values(), means, strict=True):
            cache.store(case, mean)


def rank_systems(systems: Sequence[System], config: SelectionConfig) -> list[System]:
    """Order systems by the rule that orders candidates; of equals the one named first."""
    remaining = list(systems)
    ranked = []
    for choice in rank([system.chosen for system in systems], config):
        ranked.append(next(system for system in remaining if system.chosen == choice))
        remaining.remove(ranked[-1])
    return ranked


def nested_choices(systems: Sequence[System], config: SelectionConfig) -> list[NestedChoice]:
    """Choose among systems without each part too: the system that is best on the rest."""
    by_part: dict[str, list[NestedChoice]] = {}
    for system in systems:
        for nested in system.verdict.result.nested:
            by_part.setdefault(nested.left_out, []).append(nested)
    best = []
    for of_part in by_part.values():
        chosen = rank([nested.on_rest for nested in of_part], config)[0]
        best.append(next(nested for nested in of_part if nested.on_rest == chosen))
    return best
