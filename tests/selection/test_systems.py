from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from vesuv.inference.levels import dequantise, quantise
from vesuv.inference.load import load
from vesuv.runs.folder import RunFolder
from vesuv.selection.held_out import open_held_out
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.selection.search import search
from vesuv.selection.summary import nested_estimate
from vesuv.selection.systems import (
    System,
    nested_choices,
    possible_ensembles,
    predict_ensembles,
    rank_systems,
)
from vesuv.types import no_shown_progress

LABELS = {"A": [1, 1, 0, 0], "B": [1, 1, 0, 0]}
# a finds one of A's two voxels and all of B's, b the other way round; each is sure of the rest
PROBS_A = {"A": [0.9, 0.2, 0.1, 0.1], "B": [0.9, 0.9, 0.1, 0.1]}
PROBS_B = {"A": [0.9, 0.9, 0.1, 0.1], "B": [0.2, 0.9, 0.1, 0.1]}


def _system(make_problem, name: str, probs) -> System:
    problem = make_problem(LABELS, {name: probs}, thresholds=(0.5,), tolerance=1.0)
    return System(name, (name,), search(problem))


def test_every_ensemble_of_up_to_four_and_pairs_of_more() -> None:
    assert possible_ensembles(["a"]) == []
    assert possible_ensembles(["a", "b"]) == [("a", "b")]
    assert possible_ensembles(["a", "b", "c"]) == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
        ("a", "b", "c"),
    ]
    assert len(possible_ensembles(list("abcd"))) == 6 + 4 + 1
    assert len(possible_ensembles(list("abcde"))) == 10 + 1


def test_a_mean_of_two_finds_what_each_of_them_misses(make_problem) -> None:
    mean = {name: np.mean([PROBS_A[name], PROBS_B[name]], axis=0) for name in LABELS}

    assert _system(make_problem, "a", PROBS_A).chosen.dice == pytest.approx(5 / 6)
    assert _system(make_problem, "a + b", mean).chosen.dice == 1.0


def test_the_choice_among_systems_is_made_without_the_part_too(make_problem) -> None:
    a, b = (_system(make_problem, name, probs) for name, probs in (("a", PROBS_A), ("b", PROBS_B)))
    config = a.result.problem.config

    ranking = rank_systems([b, a], config)
    nested = nested_choices([a, b], config)

    # each scores 1 on one case, and on the other one of two voxels: 2 * 1 / (1 + 2)
    assert [one.chosen.dice for one in ranking] == [pytest.approx(5 / 6)] * 2
    assert [one.name for one in ranking] == ["b", "a"]  # of equals the one named first
    # without A, a looks perfect, and scores 2 / 3 there; without B it is b
    assert [(one.part, one.rest_scores.checkpoint) for one in nested] == [("A", "a"), ("B", "b")]
    estimate = nested_estimate(nested, "case")
    assert estimate is not None and estimate["dice"] == pytest.approx(2 / 3)


def _predicted(runs: dict[str, RunFolder], *subsets: str) -> dict[str, OofPredictions]:
    """Predict ensembles; "ab" is that of the configurations a and b."""
    opened = {name: open_held_out([run.path]) for name, run in runs.items()}
    names = dict.fromkeys(runs, "best")
    found = predict_ensembles([tuple(s) for s in subsets], opened, names, no_shown_progress)
    return {"".join(subset): predictions for subset, predictions in found.items()}


def test_an_ensemble_is_the_mean_of_probabilities_before_they_are_kept_in_steps(
    held_out_run: Callable[..., RunFolder],
) -> None:
    probs = {"a": 0.1301, "b": 0.4651}
    runs = {name: held_out_run(name, logits=[math.log(p / (1 - p))]) for name, p in probs.items()}

    predictions = _predicted(runs, "ab")["ab"]

    assert predictions.name == "a + b"
    (case, *_) = open_held_out([runs["a"].path])[0].cases
    # (0.1301 + 0.4651) / 2 = 0.2976 lies in [0.295, 0.3), the mean of 0.1325 and 0.4675 does not
    assert predictions.probs(case).unique().tolist() == [pytest.approx(0.2975)]


@pytest.mark.slow
def test_every_ensemble_is_kept_as_predict_averages_it(
    held_out_run: Callable[..., RunFolder],
) -> None:
    runs = {
        "a": held_out_run("a", seed=1),
        "b": held_out_run("b", seed=2, sampling__patch_size=[8, 16, 16]),
        "c": held_out_run("c", seed=3, inference__overlap=0.0),
    }

    predicted = _predicted(runs, "ab", "ac", "ca", "abc")

    (case, *_) = open_held_out([runs["a"].path])[0].cases
    image = np.asarray(case.image)
    for subset, predictions in predicted.items():
        probs = torch.from_numpy(load([runs[name].path for name in subset]).predict(image))
        assert torch.equal(predictions.probs(case), dequantise(quantise(probs))), subset
    assert not torch.equal(predicted["ac"].probs(case), predicted["ca"].probs(case))
    alone = [torch.from_numpy(load(runs[name].path).predict(image)) for name in "ab"]
    of_steps = sum(dequantise(quantise(probs)) for probs in alone) / 2
    assert not torch.equal(quantise(of_steps), quantise(predicted["ab"].probs(case)))


def test_ensembles_that_were_predicted_before_are_not_again(
    held_out_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {name: held_out_run(name, seed=seed) for seed, name in enumerate("ab")}
    first = _predicted(runs, "ab")["ab"]

    def _no_prediction(*_: object) -> None:
        raise AssertionError("predicted again")

    monkeypatch.setattr("vesuv.selection.systems.Predictor", _no_prediction)
    assert _predicted(runs, "ab")["ab"] == first
    runs["b"] = held_out_run("b", seed=7)
    with pytest.raises(AssertionError, match="predicted again"):
        _predicted(runs, "ab")
