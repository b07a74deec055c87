from __future__ import annotations

import re

from tests.report.conftest import MakeRun, write_lines
from vesuv.report.page_files import read_files
from vesuv.report.page_scatter import scatter


def test_tiles_have_a_shape_and_a_colour_a_group_and_words_of_their_own(make_run: MakeRun) -> None:
    html = scatter(read_files(make_run()))

    assert "case c, north: predicted 10.0 %, labelled 8.00 %, Dice 0.7000" in html
    assert "case d, south: predicted 3.00 %, labelled 12.0 %, Dice 0.3000" in html
    marks = re.findall(r'</title><path class="mark (c\d)" d="([^"]+)"', html)
    assert len(set(marks)) == len(marks) == 2
    assert "1 of 2 lie above the diagonal" in html


def test_a_tile_that_predicts_what_is_labelled_lies_on_the_diagonal(make_run: MakeRun) -> None:
    run = make_run()
    tile = {"case": "c", "predicted": 0.1, "labelled": 0.1, "dice": 0.5}
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "tiles": [tile]}])

    ((x, y),) = re.findall(r"translate\(([\d.]+) ([\d.]+)\)", scatter(read_files(run)))

    assert float(x) + float(y) == 1000.0


def test_tiles_without_numbers_are_left_out(make_run: MakeRun) -> None:
    run = make_run()
    tiles = [{"case": "c", "predicted": None, "labelled": 0.1}, 7]
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "tiles": tiles}])

    assert scatter(read_files(run)) == ""
