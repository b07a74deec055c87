import pytest

from vesuv.config.loss import Phase
from vesuv.training.phases import phase_at, weights_at

PHASES = (
    Phase(epochs=(0, 3), weights={"dice": 1.0}),
    Phase(epochs=(4, None), weights={"dice": 0.6, "focal": 0.4}, ramp=3),
)
TERMS = ("dice", "focal")


def test_a_hard_step_has_its_weights_from_the_first_epoch() -> None:
    hard = (PHASES[0], Phase(epochs=(4, None), weights={"dice": 0.6, "focal": 0.4}))

    assert weights_at(hard, 3, TERMS) == {"dice": 1.0, "focal": 0.0}
    assert weights_at(hard, 4, TERMS) == {"dice": 0.6, "focal": 0.4}


@pytest.mark.parametrize(
    ("epoch", "dice"), [(3, 1.0), (4, 0.9), (5, 0.8), (6, 0.7), (7, 0.6), (99, 0.6)]
)
def test_a_ramp_moves_linearly(epoch: int, dice: float) -> None:
    assert weights_at(PHASES, epoch, TERMS) == pytest.approx({"dice": dice, "focal": 1 - dice})


def test_an_epoch_lies_in_the_phase_that_holds_it() -> None:
    assert [phase_at(PHASES, epoch) for epoch in (0, 3, 4, 50)] == [0, 0, 1, 1]
