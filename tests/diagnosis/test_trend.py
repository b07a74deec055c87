import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.trend import is_still_improving

FOUR_EPOCHS = {"val/dice": [0.1, 0.2, 0.3, 0.4]}


@pytest.mark.parametrize(
    ("values", "improves"),
    [
        ([0.1, 0.2, 0.3], True),
        ([0.9, 0.30, 0.31, 0.32], True),
        ([0.30, 0.31, 0.315], False),  # less than 0.02
        ([0.1, 0.4, 0.3], False),  # past its best
        ([0.3, 0.2, 0.1], False),
        ([0.1, 0.9], False),  # too few to tell
        ([], False),
    ],
)
def test_a_quantity_improves_by_two_hundredths_over_three_validations(
    make: MakeEvidence, values: list[float], improves: bool
) -> None:
    assert is_still_improving(make(FOUR_EPOCHS, train={"epochs": 12}), values) is improves


def test_an_improvement_excuses_nothing_in_the_last_quarter(make: MakeEvidence) -> None:
    rising = [0.1, 0.2, 0.3]

    assert is_still_improving(make(FOUR_EPOCHS, train={"epochs": 6}), rising)
    assert not is_still_improving(make(FOUR_EPOCHS, train={"epochs": 5}), rising)  # 4 of 5
