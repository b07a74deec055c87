from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vesuv.report.axis import Axis, linear, logarithmic

VALUES = st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=5)
POSITIVE = st.lists(st.floats(0, 1e30, exclude_min=True), min_size=1, max_size=5)


def labels(axis: Axis, num_ticks: int = 5, *, integers_only: bool = False) -> list[str]:
    return [label for _, label in axis.ticks(num_ticks, integers_only=integers_only)]


def test_ticks_are_round_values_with_as_many_places_as_they_need() -> None:
    assert labels(Axis(0.0, 1.0)) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert labels(Axis(0.0, 0.1), 4) == ["0.000", "0.025", "0.050", "0.075", "0.100"]
    assert labels(Axis(-0.5, 2.5), 6, integers_only=True) == ["0", "1", "2"]
    assert labels(Axis(-0.5, 0.5), 6, integers_only=True) == ["0"]
    assert labels(Axis(0.0, 3e6), 3) == ["0", "1e6", "2e6", "3e6"]


def test_shares_have_ticks_in_per_cent() -> None:
    assert Axis(0.0, 0.01, in_percent=True).ticks(2) == [(0, "0.0%"), (50, "0.5%"), (100, "1.0%")]


def test_a_logarithmic_axis_has_decades_and_their_parts_where_there_is_room() -> None:
    assert labels(Axis(1e-6, 1e-3, log=True)) == ["1e-6", "1e-5", "1e-4", "1e-3"]
    assert labels(Axis(0.9, 11, log=True)) == ["1", "2", "5", "10"]
    assert Axis(0.01, 1, log=True).at(0.1) == 50


def test_the_margin_of_an_axis_does_not_cross_zero_or_one() -> None:
    assert linear([0.01, 1.0]) == Axis(0.0, 1.0)
    assert linear([0.5, 0.6], include_zero=True).low == 0.0
    assert linear([2.0, 3.0]).high == pytest.approx(3.06)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.70, 0.716], 0.658, 0.758),
        ([0.870, 0.886], 0.828, 0.928),
        ([0.98, 0.99], 0.9, 1.0),
        ([0.02, 0.03], 0.0, 0.1),
        ([0.2, 0.6], 0.176, 0.624),
    ],
)
def test_a_small_change_of_a_share_does_not_fill_the_axis(
    values: list[float], low: float, high: float
) -> None:
    axis = linear(values, min_length=0.1)

    assert (axis.low, axis.high) == pytest.approx((low, high))


def test_a_small_change_of_any_number_takes_a_tenth_of_its_size() -> None:
    axis = linear([5.00, 5.02])

    assert (axis.low, axis.high) == pytest.approx((4.759, 5.261))


def test_a_constant_on_a_logarithmic_axis_lies_in_its_middle() -> None:
    axis = logarithmic([5e-4, 5e-4])

    assert axis.high / axis.low == pytest.approx(4)
    assert axis.at(5e-4) == 50


@given(values=VALUES, integers_only=st.booleans(), min_length=st.sampled_from([0.0, 0.1]))
@settings(max_examples=100)
def test_any_values_lie_on_the_axis_and_few_ticks_do(
    values: list[float], integers_only: bool, min_length: float
) -> None:
    axis = linear(values, min_length=min_length)

    assert all(0 <= axis.at(value) <= 100 for value in values)
    ticks = axis.ticks(integers_only=integers_only)
    assert len(ticks) <= 6
    assert all(0 <= at <= 100 and len(label) <= 12 for at, label in ticks)


@given(values=POSITIVE)
@settings(max_examples=100)
def test_any_positive_values_lie_on_a_logarithmic_axis(values: list[float]) -> None:
    axis = logarithmic(values)

    assert all(0 <= axis.at(value) <= 100 for value in values)
    assert len(axis.ticks()) <= 9
