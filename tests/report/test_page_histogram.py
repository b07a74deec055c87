from __future__ import annotations

import re

import pytest

from tests.report.conftest import MakeRun, write_lines
from vesuv.report.page_files import read_files
from vesuv.report.page_histogram import histogram


def test_it_says_how_much_of_each_label_lies_above_the_threshold(make_run: MakeRun) -> None:
    html = histogram(read_files(make_run()))

    assert "60.0 % of the labelled foreground and 1.00 % of the labelled background" in html


def test_the_threshold_of_validation_and_the_selected_one_are_marked(make_run: MakeRun) -> None:
    run = make_run()
    marks = re.compile(r'style="left:([\d.]+)%"><em[^>]*>(\w+)')

    both = marks.findall(histogram(read_files(run)))
    (run / "distribution" / "summary.json").unlink()
    one = marks.findall(histogram(read_files(run)))

    assert both == [("50.00", "threshold"), ("65.00", "selected")]
    assert one == [("50.00", "threshold")]


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"foreground": [1, 2], "background": [1]},
        {"foreground": [-1, 2], "background": [1, 2]},
        {"foreground": [0, 0], "background": [0, 0]},
        {"foreground": ["1", 2], "background": [1, 2]},
        7,
    ],
)
def test_counts_that_are_none_are_left_out(make_run: MakeRun, content: object) -> None:
    run = make_run()
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "histogram": content}])

    assert histogram(read_files(run)) == ""


def test_an_empty_bin_lies_on_the_ground(make_run: MakeRun) -> None:
    run = make_run()
    content = {"foreground": [0, 4], "background": [4, 0]}
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "histogram": content}])

    html = histogram(read_files(run))

    assert "M0 1000L0.0 1000.0H500.0L500.0 " in html  # foreground: nothing, then all
