from __future__ import annotations

import io

import pytest
from rich.console import Console

from vesuv.cli import progress
from vesuv.cli.progress import progress_on, shown_progress


def test_without_a_terminal_a_line_with_rate_and_time_left_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = Console(file=io.StringIO(), width=100)
    clock = iter([0.0, 10.0, 40.0, 50.0, 80.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))

    with shown_progress(console, "case a", "windows") as show:
        for done in (5, 20, 25, 40):
            show(done, 40)

    # 20 windows in 40 s; nothing at 10 s, at 50 s (too soon) and at the end
    assert console.file.getvalue() == "case a: 20/40 windows, 0.50 a second, 40 s left\n"


def test_on_a_terminal_a_bar_shows_windows_and_rate() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)

    with shown_progress(console, "case a", "windows") as show:
        show(1, 4)
        show(4, 4)

    assert "case a" in console.file.getvalue()
    assert "4/4" in console.file.getvalue()


def test_cases_are_told_as_cases() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)

    with progress_on(console)("Scoring", "cases") as show:
        show(1, 4)
        show(3, 4)

    assert "3/4" in console.file.getvalue()
    assert "windows" not in console.file.getvalue()
