from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from vesuv.errors import InputError
from vesuv.inference.load import load
from vesuv.inference.members import open_members
from vesuv.inference.temperature import (
    calibrate,
    logits_of,
    selected_temperatures,
    with_temperature,
)

ZEROS = np.zeros((16, 16, 16), dtype=np.uint8)


def _select(run, **more) -> None:
    content = {"version": 1, "checkpoint": "best", "threshold": 0.4, **more}
    (run.path / "selected.json").write_text(json.dumps(content))


def _column(*probs: float) -> torch.Tensor:
    return torch.tensor(probs, dtype=torch.float64).reshape(-1, 1, 1, 1)


def test_a_sigmoid_divides_its_log_odds() -> None:
    # odds 9 : 1 become 3 : 1 at temperature 2, and 81 : 1 at 1/2
    assert with_temperature(_column(0.9), [2.0]).item() == pytest.approx(0.75)
    assert with_temperature(_column(0.9), [0.5]).item() == pytest.approx(81 / 82)
    assert with_temperature(_column(0.5), [7.0]).item() == pytest.approx(0.5)


def test_a_softmax_takes_the_root_of_each_ratio() -> None:
    # 16 : 4 : 1 become 4 : 2 : 1
    probs = with_temperature(_column(16 / 21, 4 / 21, 1 / 21), [2.0])

    assert probs.flatten().tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def test_each_region_has_its_own_temperature() -> None:
    probs = with_temperature(_column(0.9, 0.9), [2.0, 1.0], overlap=True)

    assert probs.flatten().tolist() == pytest.approx([0.75, 0.9])


def test_probabilities_of_0_and_1_are_taken_for_the_middle_of_the_outer_steps() -> None:
    assert logits_of(_column(1.0)).item() == pytest.approx(math.log(399))
    assert logits_of(_column(0.0)).item() == pytest.approx(-math.log(399))


def test_calibrated_probabilities_are_those_of_the_steps() -> None:
    # 0.9001 and 0.9049 are in the step of 0.9025
    probs = torch.tensor([0.9001, 0.9049]).reshape(1, 1, 1, 2)
    expected = 1 / (1 + math.sqrt(0.0975 / 0.9025))

    assert calibrate(probs, [2.0]).flatten().tolist() == pytest.approx([expected] * 2)


def test_an_ensemble_takes_the_geometric_mean_of_its_temperatures(make_run) -> None:
    runs = [make_run(name) for name in "abc"]
    for run, value in zip(runs, (1.0, 4.0, 4.0), strict=True):
        _select(run, calibration={"temperature": value})
    paths = [run.path for run in runs]

    assert selected_temperatures(open_members(paths[:2])) == pytest.approx((2.0,))
    assert selected_temperatures(open_members(paths[1:])) == (4.0,)


def test_without_a_selected_temperature_nothing_is_calibrated(make_run) -> None:
    old, chosen = make_run("a"), make_run("b", checkpoints=("best", "last"))
    _select(old)
    _select(chosen, calibration={"temperature": 2.0})

    assert selected_temperatures(open_members([old.path, chosen.path])) is None
    assert selected_temperatures(open_members([chosen.path], ["last"])) is None
    with pytest.raises(InputError, match=r"best\.pt: no temperature was selected .* validate_dist"):
        load(old.path).predict(ZEROS, calibrated=True)


def test_the_library_gives_calibrated_probabilities_and_the_same_mask(make_run) -> None:
    run = make_run("a", logits=[math.log(9)])  # probability 0.9, in the step of 0.9025
    _select(run, threshold=0.8, calibration={"temperature": 2.0})
    predictor = load(run.path)

    assert np.allclose(predictor.predict(ZEROS), 0.9)
    expected = 1 / (1 + math.sqrt(0.0975 / 0.9025))
    calibrated = predictor.predict(ZEROS, calibrated=True)
    assert calibrated.dtype == np.float32
    assert np.allclose(calibrated, expected)
    assert expected < 0.8  # it would be background
    assert predictor.segment(ZEROS).all()


def test_regions_are_calibrated_by_name(make_run) -> None:
    run = make_run(
        "a",
        logits=[math.log(9), math.log(9)],
        labels__classes={"air": 0, "a": 1, "b": 3},
        labels__regions={"both": ["a", "b"], "b": ["b"]},
        model__out_channels=2,
    )
    _select(run, calibration={"temperature": {"c": 2.0, "b": 1.0}})
    assert load(run.path).temperatures is None
    _select(run, calibration={"temperature": {"b": 1.0, "both": 2.0}})

    probs = load(run.path).predict(ZEROS, calibrated=True)[:, 0, 0, 0]

    assert probs.tolist() == pytest.approx([1 / (1 + math.sqrt(0.0975 / 0.9025)), 0.9025])
