from __future__ import annotations

import math

import pytest
import torch

from vesuv.evaluation.bootstrap import Interval
from vesuv.evaluation.score_tables import cases_table, format_interval, format_value
from vesuv.evaluation.summary import CaseScores


def test_a_table_of_cases_has_short_headings_for_a_terminal() -> None:
    matrix = torch.tensor([[3, 1], [1, 3]])
    measures = {"surface_dice@1.5": 0.5, "loops_error": 2.0, "loops_predicted": 3.0}

    table = cases_table([CaseScores("a", "s1", "one", matrix, measures)], limit=5)

    assert table.header[:4] == ["case", "group", "dice", "iou"]
    assert table.header[-2:] == ["surface_dice@1.5", "loops_error"]
    assert table.short_header[:4] == ["case", "group", "Dice", "IoU"]
    assert table.short_header[-2:] == ["SD@1.5", "b1 err."]
    assert table.rows[0][:3] == ["a", "s1", "0.7500"]
    assert table.rows[0][-2:] == ["0.5000", "2"]


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("dice", 0.8, "0.8000"),
        ("hd95", 123.456, "123.5"),
        ("hd95", math.inf, "∞"),
        ("hd95", -math.inf, "-∞"),
        ("dice", math.nan, "–"),
        ("predicted_fraction", 0.125, "12.50%"),
        ("fraction_bias", -0.01, "-1.00%"),
        ("loops_error", 9.0, "9"),
        ("loops_error", 9.25, "9.2"),
    ],
)
def test_numbers_are_written_as_their_column_asks(column: str, value: float, text: str) -> None:
    assert format_value(column, value) == text


def test_an_interval_shows_both_ends_or_nothing() -> None:
    assert format_interval("dice", Interval(0.25, 0.5)) == "0.2500 … 0.5000"
    assert format_interval("dice", Interval(math.nan, math.nan)) == ""
