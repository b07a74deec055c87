"""Length of a run, and what counts epochs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conftest import tiny_tree
from vesuv.config import Config, load_config
from vesuv.errors import InputError
from vesuv.training.run_length import (
    can_set_length_anew,
    epochs_within,
    length_changes,
    minutes_changes,
    seconds_per_step,
)

TWO_PHASES = "[{epochs: [0, 1], weights: {dice: 1}}, {epochs: [2, null], weights: {focal: 1}}]"


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


def test_a_step_is_timed_without_the_first_ones() -> None:
    assert seconds_per_step([10.0, 11.0, 11.5, 12.0, 12.5], 99.0) == pytest.approx(0.5)
    assert seconds_per_step([10.0, 12.0, 13.0], 99.0) == pytest.approx(1.0)
    assert seconds_per_step([10.0], 4.0) == 4.0


def test_a_run_of_minutes_fills_them_with_steps_but_for_validation(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[Config] = []

    def time_step(config: Config, fold: object) -> float:
        timed.append(config)
        return 0.25

    monkeypatch.setattr("vesuv.training.run_length.time_step", time_step)
    changes = minutes_changes(base, ["optimizer.lr=0.01"], 0, 10.0)

    config = load_config(base, changes)
    # 600 s, less the moment of timing, of which 85 % are steps of 0.25 s: 2039, in 41 epochs
    assert (config.train.epochs, config.train.steps_per_epoch) == (41, 49)
    assert config.runtime.max_minutes == pytest.approx(10.0, abs=0.1)
    assert timed[0].optimizer.lr == 0.01
    assert timed[0].runtime.max_minutes == pytest.approx(0.2)


def test_minutes_that_timing_uses_up_are_refused(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vesuv.training.run_length.time_step", lambda *_: 7.0)

    with pytest.raises(InputError, match=r"7 s a step, found 0\.1; give more"):
        minutes_changes(base, [], 0, 0.1)


def test_epochs_fill_the_time_left_at_the_speed_so_far() -> None:
    assert epochs_within(100.0, 3, 30.0) == 12  # 94 s for epochs of 10 s
    assert epochs_within(100.0, 3, 300.0) == 4  # one more at least
    assert epochs_within(0.0, 3, 30.0) == 4


@pytest.mark.parametrize(
    ("changes", "may_change"),
    [
        ((), True),
        (("scheduler.name=cosine",), False),
        (("averaging.swa.start_epoch=3",), False),
        (("noise={start_epoch: 1, every: 1, std: 0.01, decay: 1.0}",), False),
        ((f"phases={TWO_PHASES}",), False),
    ],
)
def test_the_length_may_change_later_where_only_the_rate_depends_on_it(
    tmp_path: Path, changes: tuple[str, ...], may_change: bool
) -> None:
    file = tmp_path / "plain.yaml"
    tree = tiny_tree(tmp_path, tmp_path / "store")
    tree["scheduler"] = {"name": "poly", "warmup_epochs": 1}
    tree["phases"] = [{"epochs": [0, None], "weights": {"dice": 1.0}}]
    file.write_text(yaml.safe_dump(tree))

    assert can_set_length_anew(load_config(file, changes)) is may_change
