"""The tutorials, executed on the phantom with a short budget."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.pages import Block, blocks, page_names
from tests.docs.test_outputs import unexplained
from vesuv.cli import main

pytestmark = pytest.mark.slow

CUT = {
    "phantom": ["--size", "40"],
    "train": [
        "--set",
        "train.epochs=2",
        "train.steps_per_epoch=3",
        "sampling.patch_size=[16, 16, 16]",
        "validation.tiles=3",
        "validation.every=1",
        "runtime.device=cpu",
    ],
    "validate_distribution": ["--overlap", "0.1"],
    "find_best": ["--overlap", "0.1"],
}
"""Verb -> options that shorten it."""
AFTER = "run after first_run"


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def execute(block: Block, folder: Path) -> None:
    """Run a block of a page in a folder, as a reader would."""
    if block.language == "python":
        code = f"import sys\nsys.path.insert(0, '.')\n{block.text}"
        subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env=environment(folder), check=True
        )
        return
    for words in block.commands:
        if words[0] != "vesuv":
            subprocess.run(words, cwd=folder, check=True)
            continue
        call = [*words[1:], *CUT.get(words[1], [])]
        if (folder / "site").is_dir():  # a package of the page: found by another process alone
            code = "import sys\nfrom vesuv.cli import main\nmain(sys.argv[1:])"
            command = [sys.executable, "-c", code, *call]
            subprocess.run(command, cwd=folder, env=environment(folder), check=True)
        else:
            with inside(folder):
                main(call)


def environment(folder: Path) -> dict[str, str]:
    places = [str(folder / "site"), str(Path(__file__).parents[2])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places)}


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the page First run was followed to its end."""
    folder = tmp_path_factory.mktemp("first_run")
    for block in blocks("first_run.md"):
        if block.marker == "run":
            execute(block, folder)
    return folder


@pytest.fixture
def continued(first_run: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that follows a page which goes on from the first run."""

    def follow(page: str) -> Path:
        folder = tmp_path / "work"
        shutil.copytree(first_run, folder)
        for block in blocks(page):
            if block.marker == AFTER:
                execute(block, folder)
        return folder

    return follow


def test_the_first_run_ends_with_a_page_a_choice_and_scores(first_run: Path) -> None:
    run = first_run / "log/my/fold_0"

    assert (run / "report.html").is_file()
    assert (run / "selected.json").is_file()
    assert (first_run / "scores/scores.csv").is_file()
    assert [path.name for path in (first_run / "predictions").glob("*.tif")] == ["1006.tif"]


@pytest.mark.parametrize(
    ("folder", "heading"),
    [
        ("log/my/fold_0", "The run folder"),
        ("log/prepared/my", "The store"),
        ("predictions", "Predictions"),
        ("scores", "Scores"),
    ],
)
def test_every_file_of_the_first_run_is_explained(
    first_run: Path, folder: str, heading: str
) -> None:
    place = first_run / folder
    files = [str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()]

    assert files
    assert unexplained(files, heading) == []


PAGES = [
    page
    for page in page_names()
    if page != "add_a_loss.md" and any(block.marker == AFTER for block in blocks(page))
]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_goes_on_from_the_first_run_can_be_followed(
    page: str, continued: Callable[[str], Path]
) -> None:
    folder = continued(page)

    assert (folder / "log/my/fold_0/report.html").is_file()


def test_several_pages_are_followed() -> None:
    assert {"selection.md", "postprocessing.md", "fine_tuning.md"} <= set(PAGES)


def test_your_data_can_be_followed(tmp_path: Path) -> None:
    for block in blocks("your_data.md"):
        if block.marker == "run":
            execute(block, tmp_path)

    assert (tmp_path / "log/prepared/mine/store.json").is_file()
    assert (tmp_path / "log/prepared/layers/store.json").is_file()


def test_add_a_loss_can_be_followed(first_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    shutil.copytree(first_run, folder)
    page = blocks("add_a_loss.md")
    for block in page:
        if block.marker.startswith("file: "):
            (folder / block.marker.removeprefix("file: ")).write_text(block.text)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--target", "site"]
    subprocess.run([*pip, "install", *options, "."], cwd=folder, check=True)

    for block in page:
        if block.marker == AFTER:
            execute(block, folder)

    assert "volume_error: " in (folder / "log/volume/fold_0/train.log").read_text()
    header = (folder / "log/volume/fold_0/metrics.csv").read_text().splitlines()[0]
    assert "train/loss_volume_error" in header.split(",")
