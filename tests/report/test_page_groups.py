from __future__ import annotations

from tests.report.conftest import MakeRun, write_lines
from vesuv.report.page_files import read_files
from vesuv.report.page_groups import groups


def test_groups_are_listed_the_weakest_first(make_run: MakeRun) -> None:
    html = groups(read_files(make_run()))

    assert html.index("south") < html.index("north")
    assert '<td class="n">0.250</td>' in html  # 0.03 predicted of 0.12 labelled


def test_without_a_score_a_group_has_the_mean_of_its_tiles(make_run: MakeRun) -> None:
    run = make_run()
    tiles = [{"group": "east", "dice": dice} for dice in (0.2, 0.6)]
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "tiles": tiles}])

    assert '<td class="n">0.4000</td>' in groups(read_files(run))


def test_tiles_without_groups_make_no_table(make_run: MakeRun) -> None:
    run = make_run()
    tile = {"case": "c", "group": None, "predicted": 0.1, "labelled": 0.1, "dice": 0.5}
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "tiles": [tile]}])

    assert groups(read_files(run)) == ""
