from __future__ import annotations

import pytest
import torch

from vesuv.selection.search import search
from vesuv.selection.systems import System, average, ensembles, nested_rounds, rank_systems
from vesuv.selection.verdict import Verdict, honest

LABELS = {"A": [1, 1, 0, 0], "B": [1, 1, 0, 0]}
# a finds one of A's two voxels and all of B's, b the other way round; each is sure of the rest
PROBS_A = {"A": [0.9, 0.2, 0.1, 0.1], "B": [0.9, 0.9, 0.1, 0.1]}
PROBS_B = {"A": [0.9, 0.9, 0.1, 0.1], "B": [0.2, 0.9, 0.1, 0.1]}


def system(make_problem, name: str, probs) -> System:
    problem = make_problem(LABELS, {name: probs}, thresholds=(0.5,), tolerance=1.0)
    return System(name, (name,), Verdict(problem, search(problem, lambda *_: None), "case"))


def test_every_ensemble_of_up_to_four_and_pairs_of_more() -> None:
    assert ensembles(["a"]) == []
    assert ensembles(["a", "b"]) == [("a", "b")]
    assert ensembles(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    assert len(ensembles(list("abcd"))) == 6 + 4 + 1
    assert len(ensembles(list("abcde"))) == 10 + 1


def test_a_mean_of_two_finds_what_each_of_them_misses(make_problem) -> None:
    a, b = (system(make_problem, name, probs) for name, probs in (("a", PROBS_A), ("b", PROBS_B)))
    problem = a.verdict.problem

    mean = average([a.verdict.problem.sources[0], b.verdict.problem.sources[0]])

    assert mean.name == "a + b"
    expected = torch.tensor([0.9025, 0.5525, 0.1025, 0.1025])
    torch.testing.assert_close(mean.probs(problem.cases[0]).flatten(), expected)
    both = make_problem(LABELS, {}, thresholds=(0.5,), tolerance=1.0)
    both = type(both)((mean,), *(getattr(both, name) for name in FIELDS))
    assert search(both, lambda *_: None).chosen.dice == 1.0


FIELDS = ("cases", "num_classes", "config", "default_chain", "parts")


def test_the_choice_among_systems_is_made_without_the_part_too(make_problem) -> None:
    a, b = (system(make_problem, name, probs) for name, probs in (("a", PROBS_A), ("b", PROBS_B)))
    config = a.verdict.problem.config

    ranked = rank_systems([b, a], config)
    rounds = nested_rounds([a, b], config)

    # each scores 1 on one case, and on the other one of two voxels: 2 * 1 / (1 + 2)
    assert [one.chosen.dice for one in ranked] == [pytest.approx(5 / 6)] * 2
    assert [one.name for one in ranked] == ["b", "a"]  # of equals the one named first
    # without A, a looks perfect, and scores 2 / 3 there; without B it is b
    assert [(one.left_out, one.choice.checkpoint) for one in rounds] == [("A", "a"), ("B", "b")]
    estimate = honest(rounds, "case")
    assert estimate is not None and estimate["dice"] == pytest.approx(2 / 3)
