from __future__ import annotations

import torch

from vesuv.planning.schedule import Schedule, schedule_choices
from vesuv.runtime.machine import Machine

CPU = Machine(torch.device("cpu"), "bfloat16", 0, 2, "worker")


def keys(schedule: Schedule) -> dict[str, object]:
    return {k: v for choice in schedule_choices(schedule, CPU) for k, v in choice.values.items()}


def test_the_steps_fill_85_percent_of_the_minutes() -> None:
    schedule = Schedule.of(minutes=30.0, step_seconds=0.5)

    # 30 min * 60 s * 0.85 / 0.5 s = 3060 steps, in epochs of 50
    assert (schedule.epochs, schedule.steps_per_epoch, schedule.steps) == (61, 50, 3050)
    assert schedule.is_short
    assert schedule.warning is None
    assert keys(schedule)["runtime.max_minutes"] == 30.0


def test_a_long_run_has_long_epochs_and_all_augmentation() -> None:
    schedule = Schedule.of(minutes=600.0, step_seconds=0.5)

    assert (schedule.epochs, schedule.steps_per_epoch) == (244, 250)
    assert not any(key.startswith("augment") for key in keys(schedule))


def test_a_run_without_a_time_limit_has_250_thousand_steps() -> None:
    schedule = Schedule.of(minutes=None, step_seconds=None)

    assert schedule.steps == 250_000
    assert "runtime.max_minutes" not in keys(schedule)


def test_few_steps_are_warned_of_and_still_make_an_epoch() -> None:
    schedule = Schedule.of(minutes=0.1, step_seconds=2.0)

    assert (schedule.epochs, schedule.steps_per_epoch) == (1, 2)
    assert schedule.warning == (
        "only 2 steps fit into 0.1 minutes, of which a network learns little; give more --minutes"
    )
    assert keys(schedule)["scheduler"] == {"name": "poly", "warmup_epochs": 0}


def test_one_minute_and_one_step_are_in_the_singular() -> None:
    schedule = Schedule.of(minutes=1.0, step_seconds=50.0)

    assert schedule.warning is not None
    assert schedule.warning.startswith("only 1 step fits into 1 minute, of which")
    reasons = {choice.topic: choice.reason for choice in schedule_choices(schedule, CPU)}
    assert reasons["epochs"].endswith("1 step in 1 minute")
    assert reasons["time"] == "the run is saved and ends after 1 minute"
