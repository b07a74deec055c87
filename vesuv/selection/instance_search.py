"""Search for the parameters of instances on out-of-fold probabilities, by VOI."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vesuv.data.store import StoredCase
from vesuv.errors import InputError
from vesuv.evaluation.instances import InstanceScores
from vesuv.inference.instances.agglomeration import cut, merge_order
from vesuv.inference.instances.arrays import ArrayLevels
from vesuv.inference.instances.fragments import BlockMethod
from vesuv.inference.instances.methods import method_of
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.inference.instances.segmentation import InstanceRun, find_fragments, stored_fragments
from vesuv.selection.candidate_scores import Part
from vesuv.selection.instance_truth import Boundary, Foreground, Numbers, Truth
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.types import Array, Progress

SEED_THRESHOLDS = (0.1, 0.2, 0.3, 0.5)
SEED_SMOOTHINGS = (1.0, 2.0)
AGGLOMERATION_THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(20))
SMALLEST_INSTANCES = (0, 50, 200, 1000)
FOREGROUND_THRESHOLDS = (0.3, 0.5, 0.7)
OBJECT_SEED_THRESHOLDS = (0.2, 0.5)
OBJECT_SEED_SMOOTHINGS = (1.0, 2.0, 4.0)


@dataclass(frozen=True)
class InstanceCandidate:
    """A checkpoint with parameters."""

    checkpoint: str
    parameters: InstanceParameters

    def __str__(self) -> str:
        return f"{self.checkpoint}, {self.parameters}"


@dataclass(frozen=True)
class NestedInstances:
    """The choice without a part of the cases, and its scores on that part."""

    part: str
    chosen: InstanceCandidate
    scores: tuple[InstanceScores, ...]


@dataclass(frozen=True)
class InstanceSearch:
    """Scores of all candidates on all cases."""

    cases: tuple[StoredCase, ...]
    """Cases whose label holds cells."""
    scores: Mapping[InstanceCandidate, tuple[InstanceScores | None, ...]]
    """Scores by case; None where a candidate finds no instance."""

    def best(self, part: Part | None = None) -> InstanceCandidate:
        """Return the candidate of the lowest mean VOI; of equal ones the first.

        Args:
            part: Whether each case counts; None: all do.

        Raises:
            InputError: No candidate finds instances in all these cases.
        """
        counted = np.ones(len(self.cases), bool) if part is None else part
        means = {candidate: self._mean_voi(candidate, counted) for candidate in self.scores}
        best = min(means, key=means.__getitem__)
        if not np.isfinite(means[best]):
            ids = ", ".join(
                case.id for case, is_in in zip(self.cases, counted, strict=True) if is_in
            )
            raise InputError(
                f"cases {ids:.200}: no parameters give instances in all of them, as the boundary "
                "is predicted nowhere or everywhere; train longer"
            )
        return best

    def of(
        self, candidate: InstanceCandidate, part: Part | None = None
    ) -> tuple[InstanceScores, ...]:
        """Return the scores of a candidate by case; those of one that finds no instance raise.

        Raises:
            InputError: It finds no instance in one of the cases.
        """
        rows = self.scores[candidate]
        chosen = [row for k, row in enumerate(rows) if part is None or part[k]]
        scores = tuple(row for row in chosen if row is not None)
        if len(scores) < len(chosen):
            raise InputError(f"{candidate}: finds no instance in a case that it was not chosen on")
        return scores

    def nested(self, parts: Mapping[str, Part]) -> list[NestedInstances]:
        """Choose without each part, and score on it."""
        rounds = []
        for name, part in parts.items():
            if part.any() and not part.all():
                chosen = self.best(~part)
                rounds.append(NestedInstances(name, chosen, self.of(chosen, part)))
        return rounds

    def _mean_voi(self, candidate: InstanceCandidate, counted: Part) -> float:
        rows = [row for row, is_in in zip(self.scores[candidate], counted, strict=True) if is_in]
        return float(np.mean([np.inf if row is None else sum(row.voi) for row in rows]))


def search_instances(
    predictions: Sequence[OofPredictions],
    cases: Sequence[StoredCase],
    kind: Boundary,
    progress: Progress,
    numbers: Mapping[str, Numbers] | None = None,
) -> InstanceSearch:
    """Score all candidates on all cases whose label holds cells, or for objects on all cases.

    Args:
        predictions: Out-of-fold probabilities of each checkpoint.
        cases: Held-out cases.
        kind: Class that separates instances, or whose objects they are.
        progress: Called with the numbers of finished and of all fragmentations.
        numbers: Case -> true name of the instance of each voxel; None: the labels give them.

    Raises:
        InputError: No label holds an instance.
    """
    truths = {case.id: kind.truth(case, (numbers or {}).get(case.id)) for case in cases}
    judged = tuple(case for case in cases if truths[case.id].judged.any())
    if not any(truths[case.id].names.any() for case in judged):
        where = "beside" if kind.role() == "boundary" else "of"
        raise InputError(
            f"labels: none of the {len(cases)} validation cases holds a voxel {where} {kind.name}; "
            f"name the class with --{kind.role()}"
        )
    scores: dict[InstanceCandidate, list[InstanceScores | None]] = {}
    tried = _fragment_parameters(kind)
    total, num_done = len(predictions) * len(judged) * len(tried), 0
    for one, case in itertools.product(predictions, judged):
        levels = one.levels(case)[kind.channel].numpy()
        for parameters in tried:
            method = method_of(parameters, case.native_spacing)
            for cut_parameters, row in _score_cuts(levels, method, truths[case.id], kind):
                candidate = InstanceCandidate(one.name, cut_parameters)
                scores.setdefault(candidate, []).append(row)
            num_done += 1
            progress(num_done, total)
    return InstanceSearch(judged, {key: tuple(rows) for key, rows in scores.items()})


def _fragment_parameters(kind: Boundary) -> list[InstanceParameters]:
    """Return the parameters of fragments that are tried."""
    if not isinstance(kind, Foreground):
        return [
            InstanceParameters(seed_threshold=threshold, seed_smoothing=smoothing)
            for threshold, smoothing in itertools.product(SEED_THRESHOLDS, SEED_SMOOTHINGS)
        ]
    choices = itertools.product(
        FOREGROUND_THRESHOLDS, OBJECT_SEED_THRESHOLDS, OBJECT_SEED_SMOOTHINGS
    )
    return [
        InstanceParameters(
            foreground_threshold=foreground, seed_threshold=threshold, seed_smoothing=smoothing
        )
        for foreground, threshold, smoothing in choices
    ]


def _score_cuts(
    levels: Array, method: BlockMethod, truth: Truth, kind: Boundary
) -> Iterator[tuple[InstanceParameters, InstanceScores | None]]:
    """Yield the scores of all thresholds and sizes for the fragments of one case."""
    run = InstanceRun(ArrayLevels(levels), method)
    cuts = itertools.product(AGGLOMERATION_THRESHOLDS, SMALLEST_INSTANCES)
    parameters = [
        method.parameters.model_copy(
            update={"agglomeration_threshold": threshold, "smallest_instance": smallest}
        )
        for threshold, smallest in cuts
    ]
    try:
        fragmentation = find_fragments(run)
    except InputError:  # all of it is boundary, or nothing is
        yield from ((one, None) for one in parameters)
        return
    sizes, contacts = fragmentation.sizes, fragmentation.contacts
    table = kind.table(stored_fragments(run, fragmentation), truth)
    order = merge_order(contacts, AGGLOMERATION_THRESHOLDS[-1])
    for one in parameters:
        names = cut(order, contacts, sizes, one)
        yield one, kind.scores(table.with_predicted(names))
