"""The page of a run full of hostile names, opened in a real Chromium: nothing of theirs runs."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
import yaml
from markupsafe import escape

from tests.conftest import tiny_tree
from tests.report.chromium import dump_dom
from vesuv.cli import main

RUNS = "parent.postMessage('ran','*')"
FILE_NAMES = (
    f'"><img src=x onerror={RUNS}>',
    f"'><svg onload={RUNS}>",
    f"javascript:{RUNS}",
    f'<iframe srcdoc="<script>{RUNS}<!--">',
)
GROUPS = (
    f"</script><script>{RUNS}</script>",
    f"</title></style><script>{RUNS}</script>",
)
CLASS = f"<script>{RUNS}</script>"

HARNESS = """<!DOCTYPE html><title>ran:</title><script>
addEventListener("message", event => {
  for (let i = 0; i < frames.length; i++) if (frames[i] === event.source) document.title += " " + i;
});
</script>"""


@pytest.fixture(scope="module")
def hostile_page(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page after training and selection on cases, groups and a class with such names."""
    folder = tmp_path_factory.mktemp("hostile")
    data = folder / "data"
    for part in ("images", "labels"):
        (data / part).mkdir(parents=True)
        for number, name in enumerate(FILE_NAMES):
            shutil.copy(tiny_data / f"train_{part}/c{number}.tif", data / part / f"{name}.tif")
    with (data / "train.csv").open("w", newline="") as file:
        rows = [(name, GROUPS[number % 2]) for number, name in enumerate(FILE_NAMES)]
        csv.writer(file).writerows([("id", "scroll_id"), *rows])
    tree = tiny_tree(data, folder / "store")
    tree["data"] |= {"layout": "folders", "images": "images", "labels": "labels"}
    tree["labels"]["classes"] = {"background": 0, CLASS: 1}
    tree["train"] = {"epochs": 1, "steps_per_epoch": 2}
    (folder / "c.yaml").write_text(yaml.safe_dump(tree))
    run = folder / f"<img src=x onerror={RUNS}>"
    main(["train", "--config", str(folder / "c.yaml"), "--fold", "0", "--output", str(run)])
    main(["validate_distribution", "--run", str(run), "--checkpoint", "last"])
    return (run / "report.html").read_text(encoding="utf-8")


def test_the_page_shows_the_names_as_text(hostile_page: str) -> None:
    shown = [name for name in FILE_NAMES if str(escape(name)) in hostile_page]

    assert len(shown) >= 1  # cases that validation drew
    assert str(escape(CLASS)) in hostile_page
    assert any(str(escape(group)) in hostile_page for group in GROUPS)
    assert not any(name in hostile_page for name in (*FILE_NAMES, *GROUPS, CLASS))


def test_no_name_of_a_stranger_runs_in_a_browser(hostile_page: str, tmp_path: Path) -> None:
    without_policy, number = re.subn(r'<meta http-equiv="[^"]*" content="[^"]*">', "", hostile_page)
    assert number == 1
    attack = f"<img src=x onerror={RUNS}>{CLASS}</main>"
    pages = [
        hostile_page,
        without_policy,  # what escaping alone holds
        hostile_page.replace("</main>", attack),  # what the policy alone holds
        without_policy.replace("</main>", attack),  # what runs where neither does
    ]
    for index, page in enumerate(pages):
        (tmp_path / f"{index}.html").write_text(page, encoding="utf-8")
    frames = "".join(f'<iframe src="{index}.html"></iframe>' for index in range(len(pages)))
    (tmp_path / "harness.html").write_text(HARNESS + frames)

    flags = ("--virtual-time-budget=2000",)
    page = dump_dom(tmp_path / "harness.html", tmp_path / "profile", *flags)

    found = re.search("<title>ran:(.*?)</title>", page)
    assert found is not None
    assert set(found[1].split()) == {"3"}
