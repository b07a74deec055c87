"""Search over checkpoints and over the threshold and post-processing of each of several classes.

The classes depend on one another, because a voxel that one claims is lost to another. So they are
searched in turn: the thresholds of one class are counted in one pass, with the others as they are,
and the best is taken. Rounds over all classes begin where each has its even threshold, and again
where all have a low or a high one, if that is better; they end when nothing changes, at the latest
after `ROUNDS`. The class whose fraction is furthest off comes first: otherwise the others would
move to hide its error. Hysteresis and chains are then tried class by class for the surviving
thresholds. Every candidate that competes was scored by its masks.

Nested selection repeats all of it without each part of the cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.data.store import StoredCase
from vesuv.evaluation.distribution import (
    Curve,
    Step,
    likeliest_curve,
    step_matrices,
    target_curve,
)
from vesuv.inference.masks import (
    EVEN_THRESHOLD,
    ClassCut,
    MaskSettings,
    class_score,
    class_weight,
    likeliest,
    weighted_probs,
)
from vesuv.models.heads import foreground_probability
from vesuv.selection.candidate_scores import CandidateScores, Part, case_score, choices
from vesuv.selection.choice import Candidate, Choice, explain, rank
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.selection.search import (
    SearchProblem,
    SearchResult,
    cut_variants,
    nested_choices,
    score_candidates,
    without_leaderboard,
)
from vesuv.types import Progress, no_progress

ROUNDS = 5
"""Most times that the threshold of each class is chosen anew, given those of the others."""
_USUAL_ROUNDS = 3
"""Rounds that progress counts with; most searches need no more."""

Thresholds = tuple[float, ...]
"""Threshold of each class or region."""


def search_classes(problem: SearchProblem, progress: Progress = no_progress) -> SearchResult:
    """Score candidates, rank them, and repeat the selection without each part.

    Args:
        problem: It has several targets; at least one of its cases has a valid voxel.
        progress: Called with finished and all passes over the cases, of the thresholds.
    """
    return _ClassSearch(problem, progress).result()


@dataclass
class _ClassSearch:
    """One search, which keeps every count and score that it has made."""

    problem: SearchProblem
    progress: Progress
    counts: dict[tuple[str, int, Thresholds], list[Tensor]] = field(default_factory=dict)
    """Predictions, class and the others' thresholds -> matrices (threshold, C, C) of each case."""
    step_scores: dict[tuple[str, int, Thresholds], list[CandidateScores]] = field(
        default_factory=dict
    )
    """The same -> scores at every threshold of the class; each part of the cases ranks them."""
    scores: dict[Candidate, CandidateScores] = field(default_factory=dict)

    @cached_property
    def cuts(self) -> list[float]:
        """Thresholds that are tried for each class, ascending."""
        return sorted(set(self.problem.config.thresholds))

    def result(self) -> SearchResult:
        problem = self.problem
        all_cases = np.ones(len(problem.cases), bool)
        pool = self._pool(all_cases)
        pools = {
            name: self._pool(~part) for name, part in problem.parts.items() if choices(pool, ~part)
        }
        competing = choices(pool)
        ranking = rank(competing, problem.config)
        competing_set = {one.candidate for one in pool}
        return SearchResult(
            problem=problem,
            curves={one.name: self._likeliest_curves(one) for one in problem.predictions},
            scores=pool + [one for key, one in self.scores.items() if key not in competing_set],
            competing=competing,
            ranking=ranking,
            why=explain(ranking, problem.config),
            nested=nested_choices(problem, pools),
            curves_by_class=self._curves_by_class(ranking[0]),
        )

    def _pool(self, part: Part) -> list[CandidateScores]:
        """Return the candidates that compete where selection sees one part of the cases."""
        config = self.problem.config
        found: dict[Candidate, None] = {}
        for one in self.problem.predictions:
            found[self._even(one)] = None
            found[self._best_thresholds(one, part)] = None
        plain = self._scored(list(found))
        best = rank(choices(plain, part), without_leaderboard(config))[: config.survivors]
        for choice in best:
            for candidate in self._with_steps(choice.candidate, part):
                found[candidate] = None
        return self._scored(list(found))

    def _scored(self, candidates: Sequence[Candidate]) -> list[CandidateScores]:
        missing = [candidate for candidate in candidates if candidate not in self.scores]
        self.scores |= score_candidates(self.problem, missing)
        return [self.scores[candidate] for candidate in candidates]

    def _candidate(self, name: str, thresholds: Thresholds) -> Candidate:
        cuts = [ClassCut(threshold) for threshold in thresholds]
        return self._with_cuts(name, cuts)

    def _with_cuts(self, name: str, cuts: Sequence[ClassCut]) -> Candidate:
        classes = tuple(zip(self.problem.targets.names, cuts, strict=True))
        return Candidate(name, None, classes=classes)

    def _even(self, one: OofPredictions) -> Candidate:
        return self._candidate(one.name, (EVEN_THRESHOLD,) * len(self.problem.targets.names))

    def _best_thresholds(self, one: OofPredictions, part: Part) -> Candidate:
        """Return the best beginning or result of a round."""
        config = without_leaderboard(self.problem.config)
        even = choices(self._scored([self._even(one)]), part)[0]
        results = self._rounds(one, even, part)
        common = rank([even, *choices(self._common_scores(one), part)], config)[0]
        if common != even:
            results += self._rounds(one, common, part)
        return rank(results, config)[0].candidate

    def _rounds(self, one: OofPredictions, best: Choice, part: Part) -> list[Choice]:
        """Choose the threshold of one class after another, given those of the others.

        Returns:
            The beginning, and the choice after each round.
        """
        config, results = without_leaderboard(self.problem.config), [best]
        for _ in range(ROUNDS):
            waiting = list(range(len(best.cuts)))
            while waiting:
                gaps = {target: best.scores_by_class[target].gap for target in waiting}
                waiting.remove(target := max(waiting, key=lambda one: gaps[one]))
                thresholds = tuple(cut.effective_threshold for cut in best.cuts)
                scored = self._step_scores(one, target, thresholds)
                best = rank(choices(scored, part), config)[0]
            if best.cuts in [former.cuts for former in results]:
                break
            results.append(best)
        return results

    def _common_scores(self, one: OofPredictions) -> list[CandidateScores]:
        """Return the scores of a low and a high threshold that all classes have in common."""
        num_cuts, num_classes = len(self.cuts), len(self.problem.targets.names)
        return [
            self._step_scores(one, 0, (self.cuts[index],) * num_classes)[index]
            for index in (num_cuts // 4, 3 * num_cuts // 4)
        ]

    def _step_scores(
        self, one: OofPredictions, target: int, thresholds: Thresholds
    ) -> list[CandidateScores]:
        """Return the scores of all cases at every threshold of one class."""
        key = (one.name, target, _replaced(thresholds, target, EVEN_THRESHOLD))
        if key not in self.step_scores:
            matrices = self._matrices(one, target, thresholds)
            targets = self.problem.targets
            self.step_scores[key] = [
                CandidateScores(
                    self._candidate(one.name, _replaced(thresholds, target, cut)),
                    tuple(case_score(case[index], targets) for case in matrices),
                )
                for index, cut in enumerate(self.cuts)
            ]
        return self.step_scores[key]

    def _matrices(self, one: OofPredictions, target: int, thresholds: Thresholds) -> list[Tensor]:
        """Return each case's confusion matrices at every threshold of one class."""
        key = (one.name, target, _replaced(thresholds, target, EVEN_THRESHOLD))
        if key not in self.counts:
            matrices = []
            for case in self.problem.cases:
                label = torch.from_numpy(case.native_label.copy())
                step = self._step(one, case, target, thresholds)
                num_classes = self.problem.targets.num_classes
                matrices.append(step_matrices(step, label, label != IGNORE, self.cuts, num_classes))
            self.counts[key] = matrices
            total = max(self._expected_passes(), len(self.counts))
            self.progress(len(self.counts), total)
        return self.counts[key]

    def _expected_passes(self) -> int:
        return _USUAL_ROUNDS * len(self.problem.targets.names) * len(self.problem.predictions)

    def _step(
        self, one: OofPredictions, case: StoredCase, target: int, thresholds: Thresholds
    ) -> Step:
        """Return what is predicted with and without one class."""
        probs, targets = one.probs(case), self.problem.targets
        if targets.overlap:
            score = probs[target]
            below = torch.zeros(score.shape, dtype=torch.uint8)
            for other, index in enumerate(targets.written):
                reached = probs[other] >= thresholds[other]
                if other != target:
                    below[reached] = index
                if other > target:
                    score = score.masked_fill(reached, -1.0)  # the later region is written
            return Step(score, below, targets.written[target])
        others = [0.0 if k == target else class_weight(t) for k, t in enumerate(thresholds)]
        weighted = weighted_probs(probs, others)
        rival = weighted[: target + 1].amax(dim=0)
        if target + 1 < len(others):  # of equal ones the later class is predicted
            later = weighted[target + 2 :].amax(dim=0)
            rival = torch.maximum(rival, torch.nextafter(later, torch.tensor(torch.inf)))
        weights = [class_weight(cut) for cut in self.cuts]
        return Step(probs[target + 1], likeliest(weighted), target + 1, rival, weights)

    def _with_steps(self, survivor: Candidate, part: Part) -> list[Candidate]:
        """Try hysteresis and chains on one class after another; return all that were tried."""
        tried = [survivor]
        best = survivor
        for target in range(len(self.problem.targets.names)):
            variants = [best]
            for cut in cut_variants(best.cuts[target], self.problem):
                cuts = list(best.cuts)
                cuts[target] = cut
                variants.append(self._with_cuts(best.checkpoint, cuts))
            found = choices(self._scored(list(dict.fromkeys(variants))), part)
            best = rank(found, self.problem.config)[0].candidate
            tried += variants
        return tried

    def _likeliest_curves(self, one: OofPredictions) -> list[Curve]:
        """Return each case's scores at even thresholds, with the histogram of any foreground."""
        targets = self.problem.targets
        settings = MaskSettings.alike(targets, EVEN_THRESHOLD)
        curves = []
        for case in self.problem.cases:
            probs = one.probs(case)
            foreground = foreground_probability(probs[None], overlap=targets.overlap)[0]
            classes = torch.from_numpy(settings.classes(probs))
            label = torch.from_numpy(case.native_label.copy())
            curves.append(likeliest_curve(foreground, classes, label, targets.num_classes))
        return curves

    def _curves_by_class(self, chosen: Choice) -> dict[str, list[Curve]]:
        """Return the curves of each class of the chosen checkpoint, the others as chosen."""
        problem = self.problem
        one = next(one for one in problem.predictions if one.name == chosen.checkpoint)
        thresholds = tuple(cut.effective_threshold for cut in chosen.cuts)
        curves = {}
        for target, name in enumerate(problem.targets.names):
            matrices = self._matrices(one, target, thresholds)
            members = problem.targets.members[target]
            by_case = []
            for case, counts in zip(problem.cases, matrices, strict=True):
                probs = one.probs(case)
                score = class_score(probs, thresholds, target, problem.targets)
                label = torch.from_numpy(case.native_label.copy())
                by_case.append(target_curve(score, label, counts, members, self.cuts))
            curves[name] = by_case
        return curves


def _replaced(thresholds: Thresholds, target: int, value: float) -> Thresholds:
    return (*thresholds[:target], value, *thresholds[target + 1 :])
