from __future__ import annotations

import math

import pytest

from vesuv.report.page_text import duration, figure, percent, table, text, value_text


@pytest.mark.parametrize(
    ("value", "written"),
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
def test_numbers_are_written_to_four_digits(value: object, written: str) -> None:
    assert figure(value) == written


def test_shares_are_written_in_per_cent() -> None:
    assert [percent(v) for v in (0.0528, 0.37, 1.0, None, math.nan)] == [
        "5.28 %",
        "37.0 %",
        "100.0 %",
        "–",
        "–",
    ]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (3.25, "3.2 s"),
        (45, "45 s"),
        (210, "3.5 min"),
        (720, "12 min"),
        (12_000, "3 h 20 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations_are_written_as_people_say_them(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def test_what_could_be_markup_is_escaped_and_what_is_endless_is_cut() -> None:
    assert text('<a href="x">\'&') == "&lt;a href=&quot;x&quot;&gt;&#x27;&amp;"
    assert len(text("x" * 10_000)) == 2001


def test_values_are_written_as_yaml() -> None:
    assert [value_text(v) for v in (None, True, 2e-4, "best", [1, 2], {"a": None})] == [
        "null",
        "true",
        "0.0002",
        "best",
        "[1, 2]",
        "{a: null}",
    ]


def test_a_table_sets_numbers_flush_right() -> None:
    made = table(("name", "value"), [("a", "1")], numeric=(1,))

    assert '<td>a</td><td class="n">1</td>' in made
    assert '<th scope="col" class="n">value</th>' in made
