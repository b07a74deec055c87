"""Search for the parameters of instances on out-of-fold probabilities, by VOI."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vesuv.config.labels import Targets
from vesuv.data.labels import IGNORE
from vesuv.data.store import StoredCase
from vesuv.errors import InputError
from vesuv.evaluation.contingency import Contingency
from vesuv.evaluation.instances import InstanceScores, instance_scores, label_cells
from vesuv.inference.instances.agglomeration import cut, merge_order
from vesuv.inference.instances.arrays import ArrayLevels
from vesuv.inference.instances.fragments import FragmentMethod
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.inference.instances.segmentation import InstanceRun, find_fragments, stored_fragments
from vesuv.selection.candidate_scores import Part
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.types import Array, Progress

SEED_THRESHOLDS = (0.1, 0.2, 0.3, 0.5)
SEED_SMOOTHINGS = (1.0, 2.0)
AGGLOMERATION_THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(20))
SMALLEST_INSTANCES = (0, 50, 200, 1000)


class Boundary(NamedTuple):
    """The class or region that separates instances."""

    name: str
    channel: int
    """Its channel in the probabilities."""
    num_channels: int
    members: tuple[int, ...]
    """Its class indices in labels."""

    @classmethod
    def of(cls, targets: Targets, name: str | None) -> Boundary:
        """Return a class or region by name; None: the only one.

        Raises:
            InputError: There is none of this name, or none is named where there are several.
        """
        if name is None and targets.has_several:
            raise InputError(
                f"--boundary: name the class that separates instances, one of "
                f"{', '.join(targets.names)}"
            )
        if name is not None and name not in targets.names:
            raise InputError(
                f"--boundary: must be one of {', '.join(targets.names)}; found {name!r:.60}"
            )
        name = name or targets.names[0]
        number, num_channels = targets.names.index(name), targets.num_logits
        has_background = num_channels > len(targets.names)
        return cls(name, number + has_background, num_channels, targets.members[number])

    def cells(self, case: StoredCase) -> NDArray[np.unsignedinteger]:
        """Return the cells of a case's label, 0 on the boundary and where nothing is known."""
        label = np.asarray(case.native_label)
        return label_cells(np.isin(label, self.members), label != IGNORE)


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
    boundary: Boundary,
    progress: Progress,
) -> InstanceSearch:
    """Score all candidates on all cases whose label holds cells.

    Args:
        predictions: Out-of-fold probabilities of each checkpoint.
        cases: Held-out cases.
        boundary: Class that separates instances.
        progress: Called with the numbers of finished and of all fragmentations.

    Raises:
        InputError: No label holds cells.
    """
    truths = {case.id: boundary.cells(case) for case in cases}
    judged = tuple(case for case in cases if truths[case.id].any())
    if not judged:
        raise InputError(
            f"labels: none of the {len(cases)} validation cases holds a voxel beside "
            f"{boundary.name}; name the class that separates instances with --boundary"
        )
    scores: dict[InstanceCandidate, list[InstanceScores | None]] = {}
    seeds = list(itertools.product(SEED_THRESHOLDS, SEED_SMOOTHINGS))
    total, num_done = len(predictions) * len(judged) * len(seeds), 0
    for one, case in itertools.product(predictions, judged):
        levels = one.levels(case)[boundary.channel].numpy()
        for threshold, smoothing in seeds:
            parameters = InstanceParameters(seed_threshold=threshold, seed_smoothing=smoothing)
            method = FragmentMethod(parameters, case.native_spacing)
            for cut_parameters, row in _score_cuts(levels, method, truths[case.id]):
                candidate = InstanceCandidate(one.name, cut_parameters)
                scores.setdefault(candidate, []).append(row)
            num_done += 1
            progress(num_done, total)
    return InstanceSearch(judged, {key: tuple(rows) for key, rows in scores.items()})


def _score_cuts(
    levels: Array, method: FragmentMethod, truth: NDArray[np.unsignedinteger]
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
    table = Contingency.of(stored_fragments(run, fragmentation), truth, truth != 0)
    order = merge_order(contacts, AGGLOMERATION_THRESHOLDS[-1])
    for one in parameters:
        names = cut(order, contacts, sizes, one.agglomeration_threshold, one.smallest_instance)
        yield one, instance_scores(table.with_predicted(names))
