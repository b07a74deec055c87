import math

import pytest
import torch
from torch import nn

from vesuv.config.training import SchedulerConfig
from vesuv.training.optimizers import AdamWConfig, build_optimizer
from vesuv.training.schedules.cosine import CosineSchedule
from vesuv.training.schedules.lr_schedule import LRSchedule
from vesuv.training.schedules.plateau import PlateauSchedule
from vesuv.training.schedules.poly import PolySchedule


def schedule(
    config: SchedulerConfig, steps_per_epoch: int = 10, epochs: int = 20, every: int = 1
) -> LRSchedule:
    optimizer = build_optimizer(nn.Linear(2, 2), AdamWConfig(lr=1.0))
    return LRSchedule(
        optimizer,
        config,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        validation_every=every,
    )


def rates(part: LRSchedule, steps: int) -> list[float]:
    seen = []
    for step in range(steps):
        part.before_step(step)
        seen.append(part.lr)
        part.optimizer.step()
        part.after_step(step)
    return seen


def test_the_warm_up_rises_linearly() -> None:
    config = PolySchedule(name="poly", warmup_epochs=1, power=1.0)

    assert rates(schedule(config), 10) == pytest.approx([0.1 * n for n in range(1, 11)])


def test_poly_falls_to_zero_at_the_end() -> None:
    seen = rates(schedule(PolySchedule(name="poly", warmup_epochs=0, power=0.9)), 200)

    assert seen[100] == pytest.approx(0.5**0.9)
    assert seen[199] == pytest.approx((1 / 200) ** 0.9)


def test_cosine_restarts_after_t_0_and_then_twice_as_long() -> None:
    config = CosineSchedule(name="cosine", warmup_epochs=0, t_0=2, t_mult=2, eta_min=0.0)

    seen = rates(schedule(config), 60)

    assert seen[10] == pytest.approx(0.5)
    assert (seen[20], seen[40]) == pytest.approx((1.0, 0.5))
    assert seen[19] == pytest.approx((1 + math.cos(math.pi * 19 / 20)) / 2)


def test_plateau_halves_after_its_patience_and_not_before() -> None:
    part = schedule(PlateauSchedule(warmup_epochs=0, patience=2, threshold=0.01, factor=0.5))
    seen = []

    for epoch, measure in enumerate([0.5, 0.505, 0.5, 0.5, 0.5]):
        part.after_validation(measure, step=10 * (epoch + 1))
        seen.append(part.lr)

    assert seen == [1.0, 1.0, 1.0, 0.5, 0.5]


def cuts(part: LRSchedule, epochs: range) -> list[int]:
    """Return the epochs, of those validated, in which a measure that stays the same cuts it."""
    seen = []
    for epoch in epochs:
        before = part.lr
        part.after_validation(0.5, step=10 * (epoch + 1))
        if part.lr < before:
            seen.append(epoch)
    return seen


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 8, 9, 10])
@pytest.mark.parametrize("patience", [0, 1, 8])
def test_patience_is_counted_in_epochs_whatever_the_interval_of_validations(
    patience: int, every: int
) -> None:
    config = PlateauSchedule(warmup_epochs=0, patience=patience)
    validated = range(every - 1, 60, every)

    found = cuts(schedule(config, epochs=60, every=every), validated)

    best = validated[0]
    assert found[0] == next(epoch for epoch in validated if epoch - best > patience)


def test_a_resumed_schedule_keeps_its_count_and_the_patience_of_its_own_configuration() -> None:
    config = PlateauSchedule(warmup_epochs=0, patience=8)
    whole, first = (schedule(config, every=5) for _ in range(2))
    counted_validations = schedule(config)  # as a checkpoint had it that took 8 for validations
    for part in (first, counted_validations):
        assert cuts(part, range(4, 10, 5)) == []

    assert cuts(whole, range(4, 40, 5)) == [14, 24, 34]
    for former in (first, counted_validations):
        resumed = schedule(config, every=5)
        resumed.restore(former.state())
        assert cuts(resumed, range(14, 40, 5)) == [14, 24, 34]


def test_a_multiplied_rate_never_passes_the_cap() -> None:
    part = schedule(PlateauSchedule(warmup_epochs=0))

    assert part.multiply(3.0, cap=5.0) == 3.0
    assert part.multiply(3.0, cap=5.0) == 5.0


@pytest.mark.parametrize("config", [PlateauSchedule(), PolySchedule()])
def test_a_rate_that_is_multiplied_in_the_warm_up_stays_so(config: SchedulerConfig) -> None:
    part = schedule(config.model_copy(update={"warmup_epochs": 2}))
    rates(part, 10)
    part.multiply(0.5, cap=1.0)
    resumed = schedule(config.model_copy(update={"warmup_epochs": 2}))
    resumed.restore(part.state())

    for one in (part, resumed):
        seen = []
        for step in range(10, 21):
            one.before_step(step)
            seen.append(one.lr)
        assert (seen[0], seen[9], seen[10]) == pytest.approx((0.55 / 2, 0.5, 0.5))


def test_no_restart_passes_the_cap_after_escapes_at_a_low_rate() -> None:
    config = CosineSchedule(name="cosine", warmup_epochs=0, t_0=2, t_mult=1, eta_min=0.0)
    part = schedule(config)
    rates(part, 19)
    for _ in range(3):
        part.multiply(3.0, cap=5.0)

    part.optimizer.step()
    part.after_step(19)

    assert max(rates(part, 21)) == pytest.approx(5.0)


def test_a_multiplied_curve_keeps_its_shape() -> None:
    part = schedule(PolySchedule(name="poly", warmup_epochs=0, power=1.0))
    rates(part, 100)
    part.multiply(2.0, cap=5.0)

    part.optimizer.step()
    part.after_step(100)

    assert part.lr == pytest.approx(2 * (1 - 101 / 200))


@pytest.mark.parametrize(
    "config",
    [
        PlateauSchedule(warmup_epochs=0, patience=1),
        CosineSchedule(name="cosine", t_0=2, warmup_epochs=1),
        PolySchedule(name="poly", warmup_epochs=1),
    ],
    ids=lambda config: config.name,
)
def test_a_restored_schedule_goes_on_the_same(config: SchedulerConfig) -> None:
    def go_on(part: LRSchedule) -> list[float]:
        seen = []
        for step in range(35, 70):
            part.before_step(step)
            part.optimizer.step()
            part.after_step(step)
            if step % 10 == 9:
                part.after_validation(0.5, step + 1)
            seen.append(part.lr)
        return seen

    first, second = schedule(config), schedule(config)
    rates(first, 35)
    second.restore(first.state())

    assert go_on(second) == go_on(first)


def test_a_shortened_run_warms_up_for_half_of_it_at_most() -> None:
    part = schedule(PolySchedule(name="poly", warmup_epochs=5), epochs=2)

    assert part.warmup_steps == 10


def test_its_state_is_plain_data() -> None:
    part = schedule(CosineSchedule(name="cosine"))
    torch.save(part.state(), path := "/dev/null")

    assert path
    assert all(not isinstance(v, torch.Tensor) for v in part.state()["schedule"].values())
