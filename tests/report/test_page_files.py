from __future__ import annotations

import math

from tests.report.conftest import MakeRun
from vesuv.report.page_files import finite, number, read_files


def test_a_row_and_a_line_that_were_cut_short_are_left_out(make_run: MakeRun) -> None:
    run = make_run(3)
    with (run / "metrics.csv").open("a") as file:
        file.write("3,0.12")
    with (run / "evidence.jsonl").open("a") as file:
        file.write('{"epoch": 3, "tra')

    files = read_files(run)

    assert files.metrics.last_epoch == 2
    assert [line["epoch"] for line in files.evidence] == [0, 1, 2]


def test_empty_cells_are_no_points_and_nan_is_one(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_text("epoch,val/dice\n0,\n1,nan\n2,0.5\n")

    points = read_files(run).metrics.points("val/dice")

    assert points[0][0] == 1.0
    assert math.isnan(points[0][1])
    assert finite(points) == [(2.0, 0.5)]


def test_the_best_is_the_first_of_the_greatest(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_text("epoch,val/dice\n0,0.5\n1,0.7\n2,nan\n3,0.7\n")

    assert read_files(run).best() == (1.0, 0.7)


def test_a_resumed_run_has_not_ended(make_run: MakeRun) -> None:
    run = make_run()
    stop = '{"epoch": 4, "kind": "stop", "line": "Early stopping"}\n'
    (run / "events.jsonl").write_text(stop)
    assert read_files(run).ended == "Early stopping"

    (run / "events.jsonl").write_text(stop + '{"epoch": 4, "kind": "resume", "line": "again"}\n')
    assert read_files(run).ended is None


def test_numbers_are_those_that_an_axis_holds() -> None:
    assert [number(v) for v in (1, 0.5, True, "1", None, math.nan, math.inf, 10**400)] == [
        True,
        True,
        *[False] * 6,
    ]


def test_an_epoch_that_was_done_again_counts_once(make_run: MakeRun) -> None:
    run = make_run()
    lines = ['{"epoch": 1, "a": 1}', '{"epoch": 0}', '{"epoch": 1, "a": 2}', '{"a": 3}']
    (run / "evidence.jsonl").write_text("\n".join(lines))

    assert read_files(run).evidence == [{"epoch": 0}, {"epoch": 1, "a": 2}]
