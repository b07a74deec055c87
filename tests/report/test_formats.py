from __future__ import annotations

import math

import pytest

from vesuv.report.formats import duration, is_number, number_text, percent, yaml_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.72714, "0.7271"),
        (0.0, "0.0000"),
        (3.14159, "3.142"),
        (23.456, "23.46"),
        (12345.6, "12,346"),
        (628, "628"),
        (6.25e-5, "6.25e-5"),
        (2e7, "2.00e7"),
        (math.nan, "not a number"),
        (-math.inf, "infinite"),
        (None, "–"),
        (True, "–"),
        ("<b>", "–"),
        (10**400, "–"),
    ],
)
def test_numbers_are_written_to_four_digits(value: object, text: str) -> None:
    assert number_text(value) == text


def test_shares_are_written_in_per_cent() -> None:
    assert [percent(v) for v in (0.0528, 0.37, 1.0, None, math.nan)] == [
        "5.28 %",
        "37.0 %",
        "100.0 %",
        "–",
        "–",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3.25, "3.2 s"),
        (45, "45 s"),
        (210, "3.5 min"),
        (720, "12 min"),
        (12_000, "3 h 20 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_values_are_written_as_yaml() -> None:
    assert [yaml_text(v) for v in (None, True, 2e-4, "best", [1, 2], {"a": None})] == [
        "null",
        "true",
        "0.0002",
        "best",
        "[1, 2]",
        "{a: null}",
    ]


def test_a_value_nested_without_end_is_left_out() -> None:
    nested: list[object] = []
    for _ in range(800):
        nested = [nested]

    assert yaml_text(nested) == "…"


def test_numbers_are_those_that_an_axis_holds() -> None:
    assert [is_number(v) for v in (1, 0.5, True, "1", None, math.nan, math.inf, 10**400)] == [
        True,
        True,
        *[False] * 6,
    ]
