from __future__ import annotations

from tests.report.conftest import MakeRun
from vesuv.report.page_files import read_files
from vesuv.report.page_selection import selection


def test_the_choice_stands_first_and_once(make_run: MakeRun) -> None:
    html = selection(read_files(make_run()).selection)

    assert html.index("ema ✓") < html.index("<td>best</td>")
    assert "<td>ema</td>" not in html


def test_each_checkpoint_is_shown_at_its_own_best(make_run: MakeRun) -> None:
    summary = read_files(make_run()).selection
    assert summary is not None
    best = summary["choices"][1]
    summary["choices"] += [{**best, "threshold": 0.3, "dice": 0.1}]

    html = selection(summary)

    assert html.count("<td>best</td>") == 1
    assert "0.7007" in html


def test_without_a_selection_it_says_how_to_make_one() -> None:
    assert "validate_distribution" in selection(None)
    assert "validate_distribution" in selection({"selected": None})
