"""Configurations and their ensembles, each with its selection."""

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
from vesuv.selection.search import NestedChoice, SearchResult
from vesuv.types import ShowProgress

ALL_SUBSETS_UP_TO = 4
"""Largest number of configurations for which all ensembles are tried; above it, the pairs and the
ensemble of all."""

Ensemble = tuple[str, ...]
"""Names of the configurations whose probabilities are averaged."""


@dataclass(frozen=True)
class System:
    """A configuration or an ensemble of several, with its selection."""

    name: str
    configurations: Ensemble
    result: SearchResult

    @property
    def chosen(self) -> Choice:
        return self.result.chosen


def possible_ensembles(configurations: Sequence[str]) -> list[Ensemble]:
    """Return all ensembles of up to four configurations; of more, the pairs and that of all."""
    num = len(configurations)
    sizes = range(2, num + 1) if num <= ALL_SUBSETS_UP_TO else sorted({2, num})
    return [subset for size in sizes for subset in itertools.combinations(configurations, size)]


def predict_ensembles(
    ensembles: Sequence[Ensemble],
    runs: Mapping[str, Sequence[HeldOutRun]],
    checkpoints: Mapping[str, str],
    show_progress: ShowProgress,
) -> dict[Ensemble, OofPredictions]:
    """Predict the held-out cases with ensembles, except cases in the cache.

    As in `predict`, the mean is that of the networks' float probabilities, before quantisation.
    Each network predicts a case once for all ensembles with equal windows and spacing.

    Args:
        ensembles: Each predicts with the settings of its first configuration.
        runs: Runs of each configuration; all hold out the same cases.
        checkpoints: Name of the checkpoint of each configuration.
        show_progress: Shows the progress of each case.
    """
    caches: dict[Ensemble, dict[str, ProbabilityCache]] = {ensemble: {} for ensemble in ensembles}
    for fold, ids in _fold_runs(runs):
        members = {name: (run, checkpoints[name]) for name, run in fold.items()}
        for group in _group_by_inference(ensembles, fold):
            cases = [case for case in fold[group[0][0]].cases if case.id in ids]
            fold_caches = {
                ensemble: fold[ensemble[0]].ensemble_cache([members[name] for name in ensemble])
                for ensemble in group
            }
            missing = [
                case
                for case in cases
                if not all(cache.holds(case) for cache in fold_caches.values())
            ]
            if missing:
                _predict(missing, members, fold_caches, show_progress)
            for ensemble, cache in fold_caches.items():
                caches[ensemble] |= dict.fromkeys(ids, cache)
    return {
        ensemble: OofPredictions(" + ".join(ensemble), by_case)
        for ensemble, by_case in caches.items()
    }


def _fold_runs(
    runs: Mapping[str, Sequence[HeldOutRun]],
) -> Iterator[tuple[dict[str, HeldOutRun], list[str]]]:
    """Yield one run of each configuration and the ids of the cases that all of them hold out."""
    run_numbers = [
        {case.id: number for number, one in enumerate(group) for case in one.cases}
        for group in runs.values()
    ]
    folds: dict[tuple[int, ...], list[str]] = {}
    for case_id in run_numbers[0]:
        folds.setdefault(tuple(numbers[case_id] for numbers in run_numbers), []).append(case_id)
    for numbers, ids in folds.items():
        yield {name: runs[name][k] for name, k in zip(runs, numbers, strict=True)}, ids


def _group_by_inference(
    ensembles: Sequence[Ensemble], fold: Mapping[str, HeldOutRun]
) -> list[list[Ensemble]]:
    """Group ensembles with equal inference settings and spacing."""
    groups: dict[str, list[Ensemble]] = {}
    for ensemble in ensembles:
        first = fold[ensemble[0]]
        groups.setdefault(f"{first.inference} {first.config.data.spacing}", []).append(ensemble)
    return list(groups.values())


def _predict(
    cases: Sequence[StoredCase],
    members: Mapping[str, tuple[HeldOutRun, str]],
    caches: Mapping[Ensemble, ProbabilityCache],
    show_progress: ShowProgress,
) -> None:
    names = [name for name in members if any(name in ensemble for ensemble in caches)]
    first = members[next(iter(caches))[0]][0]
    networks = [members[name][0].network(members[name][1], first.machine.device) for name in names]
    predictor = Predictor(networks, first.machine, first.config.inference)
    numbers = [[names.index(name) for name in ensemble] for ensemble in caches]
    for number, case in enumerate(cases, start=1):
        title = f"ensembles {number}/{len(cases)} {case.id}"
        with show_progress(title, "windows") as progress:
            means = predictor.ensemble.predict_case(case, numbers, progress)
        for cache, mean in zip(caches.values(), means, strict=True):
            cache.store(case, mean)


def rank_systems(systems: Sequence[System], config: SelectionConfig) -> list[System]:
    """Order systems by the ranking of candidates; ties by their order in `systems`."""
    remaining = list(systems)
    ranked = []
    for choice in rank([system.chosen for system in systems], config):
        ranked.append(next(system for system in remaining if system.chosen == choice))
        remaining.remove(ranked[-1])
    return ranked


def nested_choices(systems: Sequence[System], config: SelectionConfig) -> list[NestedChoice]:
    """Return for each part the nested choice of the system that is best on the rest."""
    by_part: dict[str, list[NestedChoice]] = {}
    for system in systems:
        for nested in system.result.nested:
            by_part.setdefault(nested.part, []).append(nested)
    best = []
    for choices in by_part.values():
        first = rank([nested.rest_scores for nested in choices], config)[0]
        best.append(next(nested for nested in choices if nested.rest_scores == first))
    return best
