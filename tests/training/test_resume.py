"""Runs that were stopped and went on, against runs that were not."""

import re
from pathlib import Path

import pytest

from tests.conftest import FULL_STATE
from tests.training.test_trainer import changed, rows, same, untimed, weights
from vesuv.config import Config
from vesuv.data.builder import open_or_prepare_store
from vesuv.errors import Interrupted
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import RunEvent
from vesuv.runtime.interruption import StopRequest
from vesuv.runtime.machine import for_training, resolve
from vesuv.training.fold_data import TrainingData
from vesuv.training.train import train, train_fold


def test_a_resumed_run_ends_with_the_same_weights(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, **FULL_STATE)
    whole = train(config, output=tmp_path / "whole").folder

    train(changed(config, train={"epochs": 2}), output=tmp_path / "parts")
    parts = train(config, output=tmp_path / "parts", resume=True).folder

    for name in ("last", "ema", "swa", "best"):
        assert same(weights(whole, name), weights(parts, name)), name
    assert untimed(whole) == untimed(parts)


@pytest.mark.slow
def test_out_of_time_a_run_ends_in_good_order_and_goes_on(
    tiny_config: Config, tmp_path: Path
) -> None:
    short = changed(tiny_config, runtime={"max_minutes": 1e-9})
    run = train(short, output=tmp_path / "run").folder

    log = (run.path / "train.log").read_text()
    assert "Stopped after runtime.max_minutes" in log
    assert (
        "The run ended before its first regular validation; best.pt holds the last weights" in log
    )
    assert len(rows(run)) == 1
    assert run.checkpoints() == ["best", "last"]

    train(tiny_config, output=tmp_path / "run", resume=True)
    whole = train(tiny_config, output=tmp_path / "whole").folder
    assert [row["epoch"] for row in rows(run)] == ["0", "1", "2", "3"]
    assert same(weights(run, "last"), weights(whole, "last"))


@pytest.mark.slow
def test_a_paused_run_ends_between_epochs_without_a_conclusion_and_goes_on(
    tiny_config: Config, tmp_path: Path
) -> None:
    data = TrainingData.of_store(open_or_prepare_store(tiny_config), tiny_config)
    machine = for_training(resolve(tiny_config.runtime), tiny_config)
    run = RunFolder(tmp_path / "run")

    first = train_fold(tiny_config, data, 0, run, machine, pause_seconds=0.0)

    assert (first.time_limit.is_paused, first.position) == (True, (1, 0))
    log = (run.path / "train.log").read_text()
    assert "Epoch 1 Paused to set the length of the run by the time so far" in log
    assert "No findings" not in log

    second = train_fold(tiny_config, data, 0, run, machine, resume=True, pause_seconds=1e9)

    assert not second.time_limit.is_paused
    whole = train(tiny_config, output=tmp_path / "whole").folder
    assert same(weights(run, "last"), weights(whole, "last"))
    assert untimed(whole) == untimed(run)


@pytest.mark.slow
def test_a_run_stopped_at_any_step_goes_on_as_if_it_had_not(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(tiny_config, **FULL_STATE)
    whole = train(config, output=tmp_path / "whole").folder
    checks = iter(range(1, 10_000))
    check_signal = StopRequest.check

    def stop_often(request: StopRequest) -> None:
        if next(checks) % 17 == 0:  # an epoch is 6 checks and its validation 12
            request.signal_name = "SIGTERM"
        check_signal(request)

    monkeypatch.setattr(StopRequest, "check", stop_often)
    stops = 0
    while True:
        try:
            parts = train(config, output=tmp_path / "parts", resume=stops > 0).folder
            break
        except Interrupted as request:
            stops += 1
            assert re.search(
                r"parts: epoch \d: Stopped by SIGTERM and saved at step \d", str(request)
            )

    assert stops > 3
    for name in ("last", "ema", "swa", "best"):
        assert same(weights(whole, name), weights(parts, name)), name
    assert untimed(whole) == untimed(parts)


def test_a_finished_run_is_extended_on_the_curve_of_its_new_length(
    tiny_config: Config, tmp_path: Path
) -> None:
    run = train(changed(tiny_config, train={"epochs": 2}), output=tmp_path / "run").folder
    train(tiny_config, output=tmp_path / "run", resume=True)

    assert [row["epoch"] for row in rows(run)] == ["0", "1", "2", "3"]
    # Warm-up: 6 steps; then 18 of the curve, of which the 12th is the last step of epoch 2.
    assert float(rows(run)[2]["lr"]) == pytest.approx(5e-3 * (1 - 11 / 18) ** 0.9, rel=1e-4)
    log = (run.path / "train.log").read_text()
    assert "train.epochs is 4, was 2: the poly schedule follows the curve of the new number" in log


@pytest.mark.slow
def test_a_damaged_last_checkpoint_costs_the_steps_since_the_one_before(
    tiny_config: Config, tmp_path: Path
) -> None:
    config = changed(tiny_config, scheduler={"name": "plateau", "warmup_epochs": 1})
    whole = train(config, output=tmp_path / "whole").folder
    run = train(changed(config, train={"epochs": 3}), output=tmp_path / "run").folder
    last = run.checkpoint("last")
    last.write_bytes(last.read_bytes()[:-1000])

    train(config, output=tmp_path / "run", resume=True)

    assert same(weights(whole, "last"), weights(run, "last"))
    assert "used the one before it" in (run.path / "train.log").read_text()


def events(run: RunFolder, *kinds: str) -> list[tuple[str, int]]:
    lines = (run.path / "events.jsonl").read_text().splitlines()
    found = [RunEvent.model_validate_json(line) for line in lines]
    return [(event.kind, event.epoch) for event in found if event.kind in kinds]


def test_every_patience_is_counted_in_epochs_also_in_a_resumed_run(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(
        tiny_config,
        train={"epochs": 60, "steps_per_epoch": 1},
        scheduler={"name": "plateau", "patience": 8, "warmup_epochs": 0},
        plateau={"patience": 8},
        early_stopping={"patience": 8},
        validation={"every": 5, "tiles": 2, "threshold": 0.9999},  # the Dice stays 0
        diagnosis={"enabled": False},
    )
    checks = iter(range(10_000))
    check_signal = StopRequest.check

    def stop_once(request: StopRequest) -> None:
        if next(checks) == 12 + 2 * 2:  # one check an epoch, and one for each validated tile
            request.signal_name = "SIGTERM"
        check_signal(request)

    monkeypatch.setattr(StopRequest, "check", stop_once)
    with pytest.raises(Interrupted, match="epoch 12: Stopped by SIGTERM and saved at step 0"):
        train(config, output=tmp_path / "run")
    run = train(config, output=tmp_path / "run", resume=True).folder

    # The best is that of epoch 4; the next validations come 5 and 10 epochs later.
    assert events(run, "learning_rate", "escape", "stop") == [
        ("learning_rate", 14), ("escape", 14), ("stop", 15),
    ]  # fmt: skip
    assert len(rows(run)) == 15
