"""Length of a run, and what counts epochs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conftest import tiny_tree
from vesuv.config import Config, load_config
from vesuv.studies.run_length import length_changes


@pytest.fixture
def base(tmp_path: Path) -> Path:
    tree = tiny_tree(tmp_path, tmp_path / "store")
    tree["train"] = {"epochs": 20, "steps_per_epoch": 50}
    tree["phases"] = [
        {"epochs": [0, 9], "weights": {"dice": 1.0}},
        {"epochs": [10, None], "weights": {"dice": 0.5, "focal": 0.5}, "ramp": 4},
    ]
    tree["scheduler"]["warmup_epochs"] = 2
    tree["averaging"] = {"swa": {"start_epoch": 15}}
    tree["noise"] = {"start_epoch": 4, "every": 2, "std": 0.01, "decay": 1.0}
    file = tmp_path / "base.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


def of_length(base: Path, num_steps: int) -> Config:
    return load_config(base, length_changes(load_config(base), num_steps))


def test_a_long_run_keeps_the_length_of_its_epochs(base: Path) -> None:
    config = of_length(base, 2000)

    assert (config.train.epochs, config.train.steps_per_epoch) == (40, 50)
    assert [phase.epochs for phase in config.phases] == [(0, 19), (20, None)]
    assert config.phases[1].ramp == 8
    assert config.scheduler.warmup_epochs == 4
    assert config.averaging.swa is not None and config.averaging.swa.start_epoch == 30
    assert config.noise is not None
    assert (config.noise.start_epoch, config.noise.every) == (8, 4)


def test_a_short_run_has_ten_short_epochs(base: Path) -> None:
    config = of_length(base, 129)

    assert (config.train.epochs, config.train.steps_per_epoch) == (10, 12)
    assert [phase.epochs for phase in config.phases] == [(0, 4), (5, None)]


def test_a_run_of_two_steps_has_two_epochs(base: Path) -> None:
    config = of_length(base, 2)

    assert (config.train.epochs, config.train.steps_per_epoch) == (2, 1)
    assert [phase.epochs for phase in config.phases] == [(0, 0), (1, None)]
    assert config.averaging.swa is not None and config.averaging.swa.start_epoch == 1


def test_a_phase_that_would_be_empty_is_left_out(base: Path) -> None:
    config = of_length(base, 1)

    assert [dict(phase.weights) for phase in config.phases] == [{"dice": 0.5, "focal": 0.5}]
