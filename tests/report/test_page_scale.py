from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vesuv.report.page_scale import Scale, linear, logarithmic

VALUES = st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=5)


def test_ticks_are_round_values_with_as_many_places_as_they_need() -> None:
    assert [label for _, label in Scale(0.0, 1.0).ticks()] == [
        "0.0",
        "0.2",
        "0.4",
        "0.6",
        "0.8",
        "1.0",
    ]
    assert [label for _, label in Scale(0.0, 0.1).ticks(4)] == [
        "0.000",
        "0.025",
        "0.050",
        "0.075",
        "0.100",
    ]
    assert [label for _, label in Scale(-0.5, 2.5).ticks(6, whole=True)] == ["0", "1", "2"]


def test_a_logarithmic_axis_has_decades_and_their_parts_where_there_is_room() -> None:
    assert [label for _, label in Scale(1e-6, 1e-3, log=True).ticks()] == [
        "1e-6",
        "1e-5",
        "1e-4",
        "1e-3",
    ]
    assert [label for _, label in Scale(0.9, 11, log=True).ticks()] == ["1", "2", "5", "10"]
    assert Scale(0.01, 1, log=True).at(0.1) == pytest.approx(0.5)


def test_room_around_values_reaches_past_neither_nothing_nor_everything() -> None:
    assert linear([0.01, 1.0]) == Scale(0.0, 1.0)
    assert linear([0.5, 0.6], zero=True).low == 0.0
    assert linear([2.0, 3.0]).high == pytest.approx(3.06)


@given(values=VALUES, whole=st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_values_lie_on_the_axis_and_few_ticks_do(values: list[float], whole: bool) -> None:
    scale = linear(values)

    assert all(-1e-9 <= scale.at(value) <= 1 + 1e-9 for value in values)
    ticks = scale.ticks(whole=whole)
    assert len(ticks) <= 6
    assert all(-1e-6 <= at <= 1 + 1e-6 and len(label) <= 12 for at, label in ticks)


@given(values=st.lists(st.floats(0, 1e30), max_size=5))
@settings(max_examples=100, deadline=None)
def test_any_positive_values_lie_on_a_logarithmic_axis(values: list[float]) -> None:
    scale = logarithmic(values)

    assert all(0 <= scale.at(value) <= 1 for value in values)
    assert len(scale.ticks()) <= 9
