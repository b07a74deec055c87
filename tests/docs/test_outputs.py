"""The page of outputs names the files that are written."""

from __future__ import annotations

import re
from fnmatch import fnmatch

from tests.docs.pages import text_of
from vesuv.runs.own_files import _FILES, _PATTERNS

PAGE = "outputs.md"


def documented(heading: str) -> list[str]:
    """Return the patterns of names in the first column of the tables below a heading."""
    part = text_of(PAGE).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    first_cells = re.findall(r"^\| ([^|]+) \|", part, re.M)
    return [name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)]


def unexplained(files: list[str], heading: str) -> list[str]:
    """Return the files that no row of the page explains; `<id>` stands for any name."""
    patterns = [re.sub(r"<\w+>", "*", name) for name in documented(heading)]
    return [file for file in files if not any(fnmatch(file, one) for one in patterns)]


def test_each_file_that_a_run_may_write_is_explained() -> None:
    examples = {
        ".": ["events.out.tfevents.1.host.1.0.vesuv"],
        "checkpoints": [
            "best.pt",
            "last.pt",
            "swa.pt",
            "ema.pt",
            "epoch_0009.pt",
            "best.pt.previous",
        ],
        "distribution": [
            "cases.csv",
            "summary.json",
            "histogram.png",
            "curves.png",
            "calibration.png",
        ],
    }
    files = [*_FILES]
    for folder, names in examples.items():
        assert folder in _PATTERNS
        for name in names:
            assert _PATTERNS[folder].fullmatch(name) or name.count("-"), name
            files.append(name if folder == "." else f"{folder}/{name}")

    assert unexplained(files, "The run folder") == []


def test_a_file_without_an_explanation_would_be_found() -> None:
    assert unexplained(["surprise.bin", "train.log"], "The run folder") == ["surprise.bin"]
