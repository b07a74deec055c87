from __future__ import annotations

import pytest

from tests.report.conftest import MakeRun, write_json, write_lines
from vesuv.report.page_distribution import distribution
from vesuv.report.page_files import read_files
from vesuv.report.page_groups import groups


def test_the_histogram_says_how_much_of_each_label_lies_above_the_threshold(
    make_run: MakeRun,
) -> None:
    html = distribution(read_files(make_run()))

    assert "60.0 % of the labelled foreground and 1.00 % of the labelled background" in html


def test_tiles_lie_by_labelled_and_predicted_share_with_a_shape_a_group(make_run: MakeRun) -> None:
    html = distribution(read_files(make_run()))

    assert "case c, north: predicted 10.0 %, labelled 8.00 %, Dice 0.7000" in html
    assert "mark c0" in html
    assert "mark c1" in html


@pytest.mark.parametrize(
    "histogram",
    [{}, {"foreground": [1, 2], "background": [1]}, {"foreground": [-1, 2], "background": [1, 2]},
     {"foreground": [0, 0], "background": [0, 0]}, 7],
)  # fmt: skip
def test_a_histogram_that_is_none_is_left_out(make_run: MakeRun, histogram: object) -> None:
    run = make_run()
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "histogram": histogram}])

    assert "<figure" not in distribution(read_files(run))


def test_the_choice_stands_first_and_once(make_run: MakeRun) -> None:
    html = distribution(read_files(make_run()))

    assert html.index("ema ✓") < html.index("<td>best</td>")
    assert "<td>ema</td>" not in html


def test_without_a_selection_it_says_how_to_make_one(make_run: MakeRun) -> None:
    run = make_run()
    write_json(run / "distribution" / "summary.json", {})

    assert "validate_distribution" in distribution(read_files(run))


def test_groups_are_listed_the_weakest_first(make_run: MakeRun) -> None:
    html = groups(read_files(make_run()))

    assert html.index("south") < html.index("north")
    assert '<td class="n">0.250</td>' in html  # 0.03 predicted of 0.12 labelled


def test_tiles_without_groups_make_no_table(make_run: MakeRun) -> None:
    run = make_run()
    tile = {"case": "c", "group": None, "predicted": 0.1, "labelled": 0.1, "dice": 0.5}
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "tiles": [tile]}])

    assert groups(read_files(run)) == ""
    assert "Foreground fraction by tile" in distribution(read_files(run))
