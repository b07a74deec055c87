"""The search over checkpoints, cuts and post-processing, and what its choice is honestly worth.

Thresholds are counted in one pass over the probabilities. Everything dearer (hysteresis, chains,
leaderboard scores) is tried only on the survivors of the thresholds: `selection.survivors` of the
rule, and as many of the highest Dice whatever their foreground fraction, which post-processing may
still bring right.

The honest estimate leaves a part of the cases out, makes the whole choice on the rest, survivors
included, and scores it on the part; each part in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from vesuv.config.postprocess import Chain, begins_with_cut
from vesuv.config.training import Objective, SelectionConfig
from vesuv.data.labels import IGNORE
from vesuv.data.store import StoredCase
from vesuv.evaluation.distribution import Curve, threshold_curve
from vesuv.inference.postprocess.cuts import Hysteresis
from vesuv.runtime.pool import parallel_map
from vesuv.selection.candidate_scores import (
    CandidateScores,
    CaseScore,
    Part,
    choices,
    from_curves,
)
from vesuv.selection.choice import Candidate, Choice, rank, select
from vesuv.selection.oof_predictions import OofPredictions, score_candidate
from vesuv.types import Progress, no_progress


@dataclass(frozen=True)
class SearchProblem:
    """What to choose among, and on what."""

    predictions: Sequence[OofPredictions]
    cases: Sequence[StoredCase]
    num_classes: int
    config: SelectionConfig
    default_chain: Chain
    """Tried like a chain of `selection.postprocess`."""
    parts: Mapping[str, Part]
    """Name -> cases that the honest estimate leaves out together."""

    @property
    def leaderboard(self) -> bool:
        """Whether the objective is a leaderboard score."""
        return self.config.objective.startswith("leaderboard")


@dataclass(frozen=True)
class NestedChoice:
    """A choice on all cases but a part, and what it scores on that part."""

    left_out: str
    on_rest: Choice
    """Scores over the rest, which it was chosen on."""
    on_part: Choice
    """Scores over the part."""
    num_cases: int
    """Of the part, with a judged voxel."""


@dataclass(frozen=True)
class SearchResult:
    """The outcome of a search."""

    curves: Mapping[str, Sequence[Curve]]
    """Predictions -> one curve a case."""
    scores: Sequence[CandidateScores]
    """Everything that was measured, what competes first."""
    competing: Sequence[Choice]
    """The candidates in the order of the search."""
    ranking: Sequence[Choice]
    """The same, the chosen one first."""
    why: str
    nested: Sequence[NestedChoice]

    @property
    def chosen(self) -> Choice:
        """The first of the ranking."""
        return self.ranking[0]

    def scores_of(self, choice: Choice) -> CandidateScores:
        """Return what a competing candidate scores case by case."""
        return _scores_of(self.scores, choice)


def search(problem: SearchProblem, progress: Progress = no_progress) -> SearchResult:
    """Measure, choose, and estimate what the choice is worth.

    Args:
        problem: Candidates and cases; at least one case has a judged voxel.
        progress: Called with finished and all cases: for the thresholds, then for the survivors.
    """
    curves = _curves(problem, progress)
    plain = [scores for name in curves for scores in from_curves(name, curves[name])]
    all_cases = np.ones(len(problem.cases), bool)
    variants = {"": _variants(_survivors(plain, all_cases, problem.config), problem)}
    for name, part in problem.parts.items():
        if choices(plain, ~part):
            variants[name] = _variants(_survivors(plain, ~part, problem.config), problem)
    masked = _score(problem, [one for of_part in variants.values() for one in of_part], progress)
    base = [] if problem.leaderboard else plain
    pools = {name: base + [masked[one] for one in of_part] for name, of_part in variants.items()}
    pool = pools.pop("")
    competing = choices(pool)
    pooled = {scores.candidate for scores in pool}
    return SearchResult(
        curves=curves,
        scores=pool + [scores for scores in plain if scores.candidate not in pooled],
        competing=competing,
        ranking=rank(competing, problem.config),
        why=select(competing, problem.config)[1],
        nested=_nested_choices(problem, pools),
    )


def _nested_choices(
    problem: SearchProblem, pools: Mapping[str, Sequence[CandidateScores]]
) -> list[NestedChoice]:
    """Choose without each part in turn, and score the choice on it."""
    nested = []
    for name, pool in pools.items():
        part = problem.parts[name]
        best, _ = select(choices(pool, ~part), problem.config)
        scores = _scores_of(pool, best)
        on_part = scores.choice(part)
        if on_part is not None:
            nested.append(NestedChoice(name, best, on_part, scores.count(part)))
    return nested


def _scores_of(scores: Sequence[CandidateScores], choice: Choice) -> CandidateScores:
    return next(one for one in scores if one.candidate == choice.candidate)


def _curves(problem: SearchProblem, progress: Progress) -> dict[str, list[Curve]]:
    curves: dict[str, list[Curve]] = {of_one.name: [] for of_one in problem.predictions}
    for number, case in enumerate(problem.cases, start=1):
        label = torch.from_numpy(case.native_label.copy())
        thresholds, num_classes = problem.config.thresholds, problem.num_classes
        for of_one in problem.predictions:
            probs = of_one.probs(case)
            curve = threshold_curve(probs, label, label != IGNORE, thresholds, num_classes)
            curves[of_one.name].append(curve)
        progress(number, len(problem.cases))
    return curves


def _survivors(
    plain: Sequence[CandidateScores], part: Part, config: SelectionConfig
) -> list[Candidate]:
    """The best thresholds by the rule and by Dice alone, which is known for all of them."""
    by_dice = config.model_copy(
        update={"objective": "distribution" if config.objective == "distribution" else "dice"}
    )
    scored = choices(plain, part)
    ranked = rank(scored, by_dice)[: config.survivors]
    ranked += sorted(scored, key=lambda choice: -choice.dice)[: config.survivors]
    return list(dict.fromkeys(choice.candidate for choice in ranked))


def _variants(survivors: Sequence[Candidate], problem: SearchProblem) -> list[Candidate]:
    """What is tried beside the plain thresholds; for a leaderboard the survivors themselves too."""
    config = problem.config
    chains: list[Chain] = list(dict.fromkeys(((), problem.default_chain, *config.postprocess)))
    pairs = [Hysteresis(low=a, high=b) for a, b in config.hysteresis]
    variants = []
    for survivor in survivors:
        name = survivor.checkpoint
        for chain in chains:
            if begins_with_cut(chain):
                variants.append(Candidate(name, None, postprocess=chain))
                continue
            if chain or problem.leaderboard:
                variants.append(Candidate(name, survivor.threshold, postprocess=chain))
            variants += [Candidate(name, None, postprocess=(pair, *chain)) for pair in pairs]
    return list(dict.fromkeys(variants))


def _score(
    problem: SearchProblem, candidates: Sequence[Candidate], progress: Progress
) -> dict[Candidate, CandidateScores]:
    """Make each candidate's mask of each case, and score it."""
    candidates = list(dict.fromkeys(candidates))
    if not candidates:
        return {}
    names = {candidate.checkpoint for candidate in candidates}
    used = tuple(one for one in problem.predictions if one.name in names)
    work = partial(_score_case, used, candidates, problem.config.objective, problem.num_classes)
    results = parallel_map(work, problem.cases, name=lambda case: f"case {case.id}", ordered=True)
    by_case = []
    for number, (_, of_case) in enumerate(results, start=1):
        by_case.append(of_case)
        progress(number, len(problem.cases))
    return {
        candidate: CandidateScores(candidate, tuple(of_case[index] for of_case in by_case))
        for index, candidate in enumerate(candidates)
    }


def _score_case(
    predictions: Sequence[OofPredictions],
    candidates: Sequence[Candidate],
    objective: Objective,
    num_classes: int,
    case: StoredCase,
) -> list[CaseScore]:
    """Score the candidates on one case; each probabilities are read once."""
    scores: dict[Candidate, CaseScore] = {}
    for one in predictions:
        probs = one.probs(case)
        for candidate in candidates:
            if candidate.checkpoint == one.name:
                score = score_candidate(probs, case, candidate, objective, num_classes)
                scores[candidate] = score
    return [scores[candidate] for candidate in candidates]
