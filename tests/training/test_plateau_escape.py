import pytest

from vesuv.config.training import PlateauEscapeConfig
from vesuv.training.plateau_escape import PlateauEscape, multiplier


def test_the_third_worse_validation_escapes_with_multiplier_one() -> None:
    policy = PlateauEscape(PlateauEscapeConfig())

    decisions = [policy.observe(measure) for measure in (0.60, 0.59, 0.58, 0.59)]

    assert decisions[:3] == [None, None, None]
    assert (decisions[3].number, decisions[3].multiplier) == (1, 1.0)


def test_a_new_best_starts_the_count_again() -> None:
    policy = PlateauEscape(PlateauEscapeConfig())

    decisions = [policy.observe(m) for m in (0.60, 0.59, 0.59, 0.61, 0.60, 0.60)]

    assert decisions == [None] * 6


def test_a_fall_beyond_the_tolerance_escapes_at_once() -> None:
    policy = PlateauEscape(PlateauEscapeConfig(tolerance=0.15))
    policy.observe(0.60)  # 1 - 0.60 = 0.40, the limit is 0.46

    assert policy.observe(0.545) is None
    assert policy.observe(0.535).number == 1


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 8, 9, 10])
@pytest.mark.parametrize("patience", [1, 3, 8])
def test_patience_is_counted_in_epochs_whatever_the_interval_of_validations(
    patience: int, every: int
) -> None:
    policy = PlateauEscape(PlateauEscapeConfig(patience=patience), every)
    validated = range(every - 1, 60, every)

    escapes = [epoch for epoch in validated if policy.observe(0.5) is not None]

    best = validated[0]
    assert escapes[0] == next(epoch for epoch in validated if epoch - best >= patience)


def test_the_reason_names_epochs() -> None:
    policy = PlateauEscape(PlateauEscapeConfig(patience=8), validation_every=5)

    [escape] = filter(None, (policy.observe(measure) for measure in (0.6, 0.59, 0.6)))

    assert escape.reason == "10 epochs without more than 0.6000"


@pytest.mark.parametrize(
    ("formula", "factors"), [("conservative", [1.0, 1.15, 1.30]), ("aggressive", [1.5, 2.35, 3.2])]
)
def test_both_formulas_of_the_diary(formula: str, factors: list[float]) -> None:
    assert [multiplier(formula, n) for n in (1, 2, 3)] == pytest.approx(factors)


@pytest.mark.parametrize(("patience", "every"), [(3, 1), (8, 3)])
def test_its_state_survives(patience: int, every: int) -> None:
    policy = PlateauEscape(PlateauEscapeConfig(patience=patience), every)
    for measure in (0.6, 0.59, 0.58):
        assert policy.observe(measure) is None

    other = PlateauEscape(PlateauEscapeConfig(patience=patience), every)
    other.restore(policy.state())

    assert other.observe(0.57) == policy.observe(0.57) is not None
