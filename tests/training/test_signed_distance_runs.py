"""Training with an output of signed distances, which nothing but training has."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import vesuv
from tests.training.test_trainer import changed, same, untimed, weights
from vesuv.config import Config
from vesuv.inference.bundle import write_bundle
from vesuv.inference.members import open_members
from vesuv.planning.cost import step_cost
from vesuv.runtime.machine import Machine
from vesuv.training.network import build_compound, build_training_network
from vesuv.training.train import train

CPU = Machine(torch.device("cpu"), "float32", 0, 1, "worker")
PLAIN = {"phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}]}
WITH_DISTANCES = {
    "phases": [
        {"epochs": [0, 0], "weights": {"dice": 1.0, "signed_distance": 0.5}},
        {"epochs": [1, None], "weights": {"dice": 1.0}},
    ],
    "train": {"epochs": 2, "steps_per_epoch": 2},
    "averaging": {"ema": {"decay": 0.9}},
    "scheduler": {"name": "plateau", "warmup_epochs": 0},
    "validation": {"tiles": 1},
}
HEAD = ["output.distance_bias", "output.distance_weight"]


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_same_weights(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, **WITH_DISTANCES)
    whole = train(config, output=tmp_path / "whole").folder

    train(changed(config, train={"epochs": 1}), output=tmp_path / "parts")
    parts = train(config, output=tmp_path / "parts", resume=True).folder

    for name in ("last", "ema", "best"):
        assert same(weights(whole, name), weights(parts, name)), name
    assert untimed(whole) == untimed(parts)
    assert weights(whole, "last")["output.distance_weight"].any()


def test_prediction_bundle_and_validation_know_nothing_of_the_distances(
    tiny_config: Config, tmp_path: Path
) -> None:
    run = train(changed(tiny_config, **WITH_DISTANCES), output=tmp_path / "run").folder
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 16), np.uint8)

    probs = vesuv.load(run.path).predict(image)
    write_bundle(tmp_path / "bundle", open_members([run.path]), "# card\n")
    (file,) = (tmp_path / "bundle").glob("*.safetensors")

    assert probs.shape == (1, 16, 16, 16)
    assert np.array_equal(vesuv.load(tmp_path / "bundle").predict(image), probs)
    assert not set(HEAD) & safetensors.torch.load_file(file).keys()
    with (run.path / "metrics.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert float(rows[0]["train/loss_signed_distance"]) > 0.0
    assert "val/loss_signed_distance" not in rows[0]
    assert float(rows[0]["val/loss_dice"]) > 0.0
    assert "signed_distance 0.5" in (run.path / "train.log").read_text()


@pytest.mark.parametrize("into_head", [True, False])
def test_runs_with_and_without_distances_start_from_each_other(
    tiny_config: Config, tmp_path: Path, into_head: bool
) -> None:
    still = {"optimizer": {"name": "sgd", "lr": 1e-30, "weight_decay": 0.0}}
    short = {"train": {"epochs": 1, "steps_per_epoch": 1}}
    kinds = [WITH_DISTANCES | short, PLAIN | short]
    first, second = reversed(kinds) if into_head else kinds
    source = train(changed(tiny_config, **first), output=tmp_path / "source").folder
    settings = second | still | {"train": short["train"] | {"pretrained": str(source.path)}}

    run = train(changed(tiny_config, **settings), output=tmp_path / "run").folder

    started, expected = weights(run, "last"), weights(source, "last")
    shared = started.keys() & expected.keys()
    assert shared == started.keys() - set(HEAD)
    assert all(torch.allclose(started[key], expected[key], atol=1e-20) for key in shared)
    assert started.keys() ^ expected.keys() == set(HEAD)


def test_the_losses_know_the_median_spacing_of_the_cases(tiny_config: Config) -> None:
    config = changed(tiny_config, **WITH_DISTANCES)
    spacings = [(2.0, 1.0, 1.0), (3.0, 1.0, 1.0), (9.0, 1.0, 1.0)]

    loss = build_compound(config, spacings).losses["signed_distance"]

    assert loss.spacing == (3.0, 1.0, 1.0)  # type: ignore[attr-defined]


def test_the_cost_of_a_step_has_the_output(tiny_config: Config) -> None:
    config = changed(tiny_config, **WITH_DISTANCES)
    plain = changed(tiny_config, **PLAIN)

    more = step_cost(config, CPU).num_parameters - step_cost(plain, CPU).num_parameters

    assert more == config.model.filters + 1
    assert len(build_training_network(plain).state_dict()) + 2 == len(
        build_training_network(config).state_dict()
    )
