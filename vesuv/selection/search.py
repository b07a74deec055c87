"""Search over checkpoints, thresholds and post-processing, with nested selection.

All thresholds are scored in one pass over the probabilities. More expensive candidates (hysteresis,
chains, leaderboard scores) are scored for the surviving thresholds only: the best
`selection.survivors` by the ranking, and as many by Dice alone, because post-processing may correct
their foreground fraction.

Nested selection leaves one part of the cases out, repeats the whole selection, survivors included,
on the rest, and scores the choice on that part; it does so for each part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from vesuv.config.labels import Targets
from vesuv.config.postprocess import Chain, begins_with_cut
from vesuv.config.training import Objective, SelectionConfig
from vesuv.data.labels import IGNORE
from vesuv.data.store import StoredCase
from vesuv.evaluation.distribution import Curve, threshold_curve
from vesuv.inference.masks import ClassCut, class_score
from vesuv.inference.postprocess.cuts import Hysteresis
from vesuv.runtime.pool import parallel_map
from vesuv.selection.candidate_scores import (
    CandidateScores,
    CaseScore,
    Part,
    choices,
    scores_at_thresholds,
)
from vesuv.selection.choice import Candidate, Choice, explain, rank
from vesuv.selection.oof_predictions import OofPredictions, score_candidate
from vesuv.types import Progress, no_progress


@dataclass(frozen=True)
class SearchProblem:
    """Predictions, cases and settings of a search."""

    predictions: Sequence[OofPredictions]
    cases: Sequence[StoredCase]
    targets: Targets
    config: SelectionConfig
    default_chain: Chain
    """Tried beside the chains of `selection.postprocess`."""
    part_kind: str
    """Kind of the parts: fold, group or case."""
    parts: Mapping[str, Part]
    """Name -> cases that nested selection leaves out together."""

    @property
    def maximises_leaderboard(self) -> bool:
        return self.config.objective.startswith("leaderboard")


@dataclass(frozen=True)
class NestedChoice:
    """The choice on all cases but one part."""

    part: str
    """Name of the part."""
    rest_scores: Choice
    """The choice with its scores over the rest, on which it was selected."""
    part_scores: Choice
    """The choice with its scores over the part."""
    num_cases: int
    """Cases of the part with a valid voxel."""


@dataclass(frozen=True)
class SearchResult:
    """The choice, with the scores of all candidates."""

    problem: SearchProblem
    curves: Mapping[str, Sequence[Curve]]
    """Name of the predictions -> one curve for each case."""
    scores: Sequence[CandidateScores]
    """Scores of all candidates by case, competing ones first."""
    competing: Sequence[Choice]
    """Competing candidates in the order of the search."""
    ranking: Sequence[Choice]
    """Competing candidates, best first."""
    why: str
    """Reason for the choice, in sentences."""
    nested: Sequence[NestedChoice]
    curves_by_class: Mapping[str, Sequence[Curve]] = field(default_factory=dict)
    """Class or region -> curves of the chosen checkpoint by case, where there are several: its
    threshold varies, those of the others are as chosen."""

    @property
    def chosen(self) -> Choice:
        return self.ranking[0]

    def scores_of(self, choice: Choice) -> CandidateScores:
        """Return the scores of a competing candidate by case."""
        return scores_of(self.scores, choice)


def search(problem: SearchProblem, progress: Progress = no_progress) -> SearchResult:
    """Score all candidates, rank them, and repeat the selection without each part.

    Args:
        problem: It has one target; at least one of its cases has a valid voxel.
        progress: Called with finished and all cases: for the thresholds, then for the survivors.
    """
    curves = _curves(problem, progress)
    plain = [
        scores
        for name in curves
        for scores in scores_at_thresholds(name, curves[name], problem.targets)
    ]
    all_cases = np.ones(len(problem.cases), bool)
    variants = {"": _variants(_survivors(plain, all_cases, problem.config), problem)}
    for name, part in problem.parts.items():
        if choices(plain, ~part):
            variants[name] = _variants(_survivors(plain, ~part, problem.config), problem)
    all_variants = [candidate for candidates in variants.values() for candidate in candidates]
    scores = score_candidates(problem, all_variants, progress)
    base = [] if problem.maximises_leaderboard else plain
    pools = {
        name: base + [scores[candidate] for candidate in candidates]
        for name, candidates in variants.items()
    }
    pool = pools.pop("")
    competing = choices(pool)
    ranking = rank(competing, problem.config)
    pool_candidates = {one.candidate for one in pool}
    return SearchResult(
        problem=problem,
        curves=curves,
        scores=pool + [one for one in plain if one.candidate not in pool_candidates],
        competing=competing,
        ranking=ranking,
        why=explain(ranking, problem.config),
        nested=nested_choices(problem, pools),
    )


def nested_choices(
    problem: SearchProblem, pools: Mapping[str, Sequence[CandidateScores]]
) -> list[NestedChoice]:
    """Select without each part, and score the choice on the part."""
    nested = []
    for name, pool in pools.items():
        part = problem.parts[name]
        best = rank(choices(pool, ~part), problem.config)[0]
        scores = scores_of(pool, best)
        part_scores = scores.choice(part)
        if part_scores is not None:
            nested.append(NestedChoice(name, best, part_scores, scores.count(part)))
    return nested


def scores_of(scores: Sequence[CandidateScores], choice: Choice) -> CandidateScores:
    """Return the scores of a candidate by case."""
    return next(one for one in scores if one.candidate == choice.candidate)


def _curves(problem: SearchProblem, progress: Progress) -> dict[str, list[Curve]]:
    curves: dict[str, list[Curve]] = {one.name: [] for one in problem.predictions}
    for number, case in enumerate(problem.cases, start=1):
        label = torch.from_numpy(case.native_label.copy())
        for one in problem.predictions:
            score = class_score(one.probs(case), (None,), 0, problem.targets)
            curve = threshold_curve(score, label, label != IGNORE, problem.config.thresholds)
            curves[one.name].append(curve)
        progress(number, len(problem.cases))
    return curves


def _survivors(
    plain: Sequence[CandidateScores], part: Part, config: SelectionConfig
) -> list[Candidate]:
    """Return the best thresholds by the ranking with Dice as objective, and by Dice alone."""
    at_thresholds = choices(plain, part)
    best = rank(at_thresholds, without_leaderboard(config))[: config.survivors]
    best += sorted(at_thresholds, key=lambda choice: -choice.dice)[: config.survivors]
    return list(dict.fromkeys(choice.candidate for choice in best))


def without_leaderboard(config: SelectionConfig) -> SelectionConfig:
    """Return the settings with Dice in place of a leaderboard score."""
    objective = "distribution" if config.objective == "distribution" else "dice"
    return config.model_copy(update={"objective": objective})


def cut_variants(cut: ClassCut, problem: SearchProblem) -> list[ClassCut]:
    """Return a threshold, and hysteresis in its place, each with every chain that is tried.

    The chains are none, the configured one, and those to compare.
    """
    pairs = [Hysteresis(low=low, high=high) for low, high in problem.config.hysteresis]
    chains: list[Chain] = [(), problem.default_chain, *problem.config.postprocess]
    variants = []
    for chain in dict.fromkeys(chains):
        if begins_with_cut(chain):
            variants.append(ClassCut(None, chain))
        else:
            variants.append(replace(cut, chain=chain))
            variants += [ClassCut(None, (pair, *chain)) for pair in pairs]
    return variants


def _variants(survivors: Sequence[Candidate], problem: SearchProblem) -> list[Candidate]:
    """Return the candidates to score by their masks: survivors with hysteresis and chains.

    For a leaderboard objective the survivors themselves are among them.
    """
    variants = []
    for survivor in survivors:
        for cut in cut_variants(survivor.cuts[0], problem):
            candidate = Candidate(survivor.checkpoint, cut.threshold, postprocess=cut.chain)
            if cut.chain or problem.maximises_leaderboard:
                variants.append(candidate)
    return list(dict.fromkeys(variants))


def score_candidates(
    problem: SearchProblem, candidates: Sequence[Candidate], progress: Progress = no_progress
) -> dict[Candidate, CandidateScores]:
    """Score the masks of the candidates on each case."""
    candidates = list(dict.fromkeys(candidates))
    if not candidates:
        return {}
    names = {candidate.checkpoint for candidate in candidates}
    predictions = tuple(one for one in problem.predictions if one.name in names)
    objective, targets = problem.config.objective, problem.targets
    work = partial(_score_case, predictions, candidates, objective, targets)
    results = parallel_map(work, problem.cases, name=lambda case: f"case {case.id}", ordered=True)
    rows = []
    for number, (_, case_scores) in enumerate(results, start=1):
        rows.append(case_scores)
        progress(number, len(problem.cases))
    return {
        candidate: CandidateScores(candidate, tuple(row[index] for row in rows))
        for index, candidate in enumerate(candidates)
    }


def _score_case(
    predictions: Sequence[OofPredictions],
    candidates: Sequence[Candidate],
    objective: Objective,
    targets: Targets,
    case: StoredCase,
) -> list[CaseScore]:
    """Score the candidates on one case, reading the probabilities of each prediction once."""
    scores: dict[Candidate, CaseScore] = {}
    for one in predictions:
        probs = one.probs(case)
        for candidate in candidates:
            if candidate.checkpoint == one.name:
                score = score_candidate(probs, case, candidate, objective, targets)
                scores[candidate] = score
    return [scores[candidate] for candidate in candidates]
