"""The search over checkpoints, cuts and post-processing, and what its choice is honestly worth.

Thresholds are counted in one pass over the probabilities. Everything dearer (hysteresis, chains,
leaderboard scores) is tried only on the survivors of the thresholds: `selection.survivors` of the
rule, and as many of the highest Dice whatever their foreground fraction, which post-processing may
still bring right.

The honest estimate leaves a part of the cases out, makes the whole choice on the rest, survivors
included, and scores it on the part; each part in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from vesuv.selection.choice import Candidate, Choice, rank, select
from vesuv.selection.measured import Cases, CaseScore, Measured, choices, from_curves
from vesuv.selection.source import Source, score

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Problem:
    """What to choose among, and on what."""

    sources: Sequence[Source]
    cases: Sequence[StoredCase]
    num_classes: int
    config: SelectionConfig
    default_chain: Chain
    """Tried like a chain of `selection.postprocess`."""
    parts: Mapping[str, Cases]
    """Name -> cases that the honest estimate leaves out together."""

    @property
    def leaderboard(self) -> bool:
        """Whether the objective is a leaderboard score."""
        return self.config.objective.startswith("leaderboard")


@dataclass(frozen=True)
class Round:
    """A choice on all cases but a part, and what it scores on that part."""

    left_out: str
    seen: Choice
    """Scores over the rest, which it was chosen on."""
    choice: Choice
    """Scores over the part."""
    num_cases: int
    """Of the part, with a judged voxel."""


@dataclass(frozen=True)
class Found:
    """The outcome of a search."""

    curves: Mapping[str, Sequence[Curve]]
    """Source -> one curve a case."""
    measured: Sequence[Measured]
    """Everything that was measured, what competes first."""
    competing: Sequence[Choice]
    """The candidates in the order of the search."""
    ranking: Sequence[Choice]
    """The same, the chosen one first."""
    why: str
    rounds: Sequence[Round]

    @property
    def chosen(self) -> Choice:
        """The first of the ranking."""
        return self.ranking[0]

    def of(self, choice: Choice) -> Measured:
        """Return what a competing candidate scores case by case."""
        return _of(self.measured, choice)


def search(problem: Problem, tell: Tell) -> Found:
    """Measure, choose, and estimate what the choice is worth.

    Args:
        problem: Candidates and cases; at least one case has a judged voxel.
        tell: Told the cases done and all of them: of the thresholds first, then of the survivors.
    """
    curves = _curves(problem, tell)
    plain = [one for name in curves for one in from_curves(name, curves[name])]
    everything = np.ones(len(problem.cases), bool)
    wanted = {"": _variants(_survivors(plain, everything, problem.config), problem)}
    for name, part in problem.parts.items():
        if choices(plain, ~part):
            wanted[name] = _variants(_survivors(plain, ~part, problem.config), problem)
    dear = _measure(problem, [one for names in wanted.values() for one in names], tell)
    base = [] if problem.leaderboard else plain
    pools = {name: base + [dear[one] for one in names] for name, names in wanted.items()}
    pool = pools.pop("")
    competing = choices(pool)
    known = {one.candidate for one in pool}
    return Found(
        curves=curves,
        measured=pool + [one for one in plain if one.candidate not in known],
        competing=competing,
        ranking=rank(competing, problem.config),
        why=select(competing, problem.config)[1],
        rounds=_rounds(problem, pools),
    )


def _rounds(problem: Problem, pools: Mapping[str, Sequence[Measured]]) -> list[Round]:
    """Choose without each part in turn, and score the choice on it."""
    rounds = []
    for name, pool in pools.items():
        part = problem.parts[name]
        best, _ = select(choices(pool, ~part), problem.config)
        measured = _of(pool, best)
        there = measured.choice(part)
        if there is not None:
            rounds.append(Round(name, best, there, measured.count(part)))
    return rounds


def _of(measured: Sequence[Measured], choice: Choice) -> Measured:
    return next(one for one in measured if one.candidate == choice.candidate)


def _curves(problem: Problem, tell: Tell) -> dict[str, list[Curve]]:
    curves: dict[str, list[Curve]] = {source.name: [] for source in problem.sources}
    for number, case in enumerate(problem.cases, start=1):
        label = torch.from_numpy(case.label.copy())
        for source in problem.sources:
            thresholds = problem.config.thresholds
            curves[source.name].append(
                threshold_curve(
                    source.probs(case), label, label != IGNORE, thresholds, problem.num_classes
                )
            )
        tell(number, len(problem.cases))
    return curves


def _survivors(plain: Sequence[Measured], part: Cases, config: SelectionConfig) -> list[Candidate]:
    """The best thresholds by the rule and by Dice alone, which is known for all of them."""
    by_dice = config.model_copy(
        update={"objective": "distribution" if config.objective == "distribution" else "dice"}
    )
    found = choices(plain, part)
    ranked = rank(found, by_dice)[: config.survivors]
    ranked += sorted(found, key=lambda choice: -choice.dice)[: config.survivors]
    return list(dict.fromkeys(choice.candidate for choice in ranked))


def _variants(survivors: Sequence[Candidate], problem: Problem) -> list[Candidate]:
    """What is tried beside the plain thresholds; for a leaderboard the survivors themselves too."""
    config = problem.config
    chains: list[Chain] = list(dict.fromkeys(((), problem.default_chain, *config.postprocess)))
    pairs = [Hysteresis(low=a, high=b) for a, b in config.hysteresis]
    found = []
    for survivor in survivors:
        name = survivor.checkpoint
        for chain in chains:
            if begins_with_cut(chain):
                found.append(Candidate(name, None, postprocess=chain))
                continue
            if chain or problem.leaderboard:
                found.append(Candidate(name, survivor.threshold, postprocess=chain))
            found += [Candidate(name, None, postprocess=(pair, *chain)) for pair in pairs]
    return list(dict.fromkeys(found))


def _measure(
    problem: Problem, candidates: Sequence[Candidate], tell: Tell
) -> dict[Candidate, Measured]:
    """Make each candidate's mask of each case."""
    candidates = list(dict.fromkeys(candidates))
    if not candidates:
        return {}
    used = {candidate.checkpoint for candidate in candidates}
    sources = tuple(source for source in problem.sources if source.name in used)
    work = partial(_score_case, sources, candidates, problem.config.objective, problem.num_classes)
    results = parallel_map(work, problem.cases, name=lambda case: f"case {case.id}", ordered=True)
    by_case = []
    for done, (_, found) in enumerate(results, start=1):
        by_case.append(found)
        tell(done, len(problem.cases))
    return {
        candidate: Measured(candidate, tuple(found[index] for found in by_case))
        for index, candidate in enumerate(candidates)
    }


def _score_case(
    sources: Sequence[Source],
    candidates: Sequence[Candidate],
    objective: Objective,
    num_classes: int,
    case: StoredCase,
) -> list[CaseScore]:
    """Score the candidates on one case; probabilities are read once a source."""
    scores: dict[Candidate, CaseScore] = {}
    for source in sources:
        probs = source.probs(case)
        for candidate in candidates:
            if candidate.checkpoint == source.name:
                scores[candidate] = score(probs, case, candidate, objective, num_classes)
    return [scores[candidate] for candidate in candidates]
