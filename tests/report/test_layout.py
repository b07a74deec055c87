"""Rows of cards and charts in a real Chromium: none stands alone on a wide screen."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from tests.report.chromium import dump_dom

STYLE = (files("vesuv.report") / "templates/page.css").read_text(encoding="utf-8")
SCRIPT = """
const rows = [...document.querySelectorAll("main > div")].map(grid => {
  const boxes = [...grid.children].map(child => child.getBoundingClientRect());
  const tops = [...new Set(boxes.map(box => box.top))];
  const right = grid.getBoundingClientRect().right;
  return tops.map(top => {
    const row = boxes.filter(box => box.top === top);
    return Math.abs(Math.max(...row.map(box => box.right)) - right) < 1 ? row.length : -row.length;
  });
});
document.title = "rows:" + JSON.stringify(rows);
"""


def rows(folder: Path, width: int, grids: list[str]) -> list[list[int]]:
    """Return the number of boxes in each row of each grid; negative where a row is not filled."""
    frame = folder / "frame.html"
    body = f"<main>{''.join(grids)}</main><script>{SCRIPT}</script>"
    frame.write_text(f"<!DOCTYPE html><style>{STYLE}</style>{body}", encoding="utf-8")
    flags = ("--hide-scrollbars", f"--window-size={width},3000")
    found = re.search("<title>rows:(.*?)</title>", dump_dom(frame, folder / "profile", *flags))
    assert found is not None
    result: list[list[int]] = json.loads(found[1])
    return result


@pytest.mark.parametrize(
    ("kind", "box"),
    [("charts", '<figure class="chart">x</figure>'), ("cards", "<article>x</article>")],
)
def test_no_card_stands_alone_on_a_wide_screen(tmp_path: Path, kind: str, box: str) -> None:
    grids = [f'<div class="{kind}">{box * number}</div>' for number in range(1, 9)]

    assert rows(tmp_path, 1440, grids) == [
        [1], [2], [3], [2, 2], [3, 2], [3, 3], [3, 2, 2], [3, 3, 2],
    ]  # fmt: skip


def test_rows_are_filled_on_a_tablet(tmp_path: Path) -> None:
    charts = [
        f'<div class="charts">{"<figure class=chart>x</figure>" * number}</div>'
        for number in (1, 2, 3)
    ]
    tiles = [
        f'<div class="tiles">{"<div class=tile>x</div>" * number}</div>' for number in (5, 6, 7)
    ]
    panels = [f'<div class="panels">{"<div>x</div>" * number}</div>' for number in (4, 5)]

    assert rows(tmp_path, 900, [*charts, *tiles, *panels]) == [
        [1], [2], [2, 1], [2, 3], [3, 3], [1, 3, 3], [2, 2], [2, 2, 1],
    ]  # fmt: skip


def test_tiles_and_pictures_share_one_row_on_a_wide_screen(tmp_path: Path) -> None:
    grids = [
        f'<div class="tiles">{"<div class=tile>x</div>" * 7}</div>',
        f'<div class="panels">{"<div>x</div>" * 5}</div>',
        '<div class="charts"><figure class=chart>x</figure>'
        '<figure class="chart square">x</figure></div>',
    ]

    assert rows(tmp_path, 1440, grids) == [[7], [5], [2]]
