"""A verb that is killed where it changes a name, and started again, ends as one that was not."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.faults.ends import assert_same_end, end_of, leftovers
from tests.faults.name_changes import KilledAtNameChange
from tests.faults.runs import start
from vesuv.io.formats import read, write
from vesuv.runs.folder import RunFolder

Moment = tuple[str, bool]
"""Ending of the name whose first change is the moment, and whether the kill comes behind it."""


@pytest.fixture
def work(trained_run: RunFolder, tiny_data: Path, tmp_path: Path) -> Path:
    """A folder with a run, two volumes, and files of the user."""
    work = tmp_path / "work"
    shutil.copytree(trained_run.path, work / "run")
    (work / "run" / "distribution").mkdir(exist_ok=True)
    (work / "run" / "distribution" / "notes.txt").write_text("the user's own")
    image = read(tiny_data / "train_images" / "c0.tif").channels[0]
    write(work / "inputs" / "a.zarr", image[:16, :16, :16])
    write(work / "inputs" / "b.tif", image[16:, :16, :16])
    return work


def end_after_kills(work: Path, words: list[str], moments: list[Moment]) -> None:
    """Compare the end of a verb that is killed at each moment with that of one left alone."""
    begin, errors = work.with_name("begin"), work.with_name("errors.txt")
    shutil.copytree(work, begin)
    running = start(words, errors)
    assert running.status() == 0, running.said
    end = end_of(work)
    shutil.rmtree(work)
    shutil.copytree(begin, work)
    for ending, done in moments:
        killer = KilledAtNameChange(work, 1, done, ending)
        running = start(words, errors, before=killer)
        assert running.status() == -signal.SIGKILL, (ending, running.said)

    running = start(words, errors)

    assert running.status() == 0, running.said
    assert_same_end(end, end_of(work))
    assert leftovers(work) == []


@pytest.mark.slow
def test_selection(work: Path) -> None:
    words = ["validate_distribution", "--run", str(work / "run"), "--checkpoint", "last", "ema"]
    end_after_kills(
        work,
        words,
        [("key.json", False), ("c2.zarr", False), ("cases.csv", True), ("selected.json", False)],
    )


@pytest.mark.slow
@pytest.mark.parametrize("over_earlier_masks", [False, True])
def test_prediction(work: Path, over_earlier_masks: bool) -> None:
    words = ["predict", "--run", str(work / "run"), "--input", str(work / "inputs")]
    words += ["--output", str(work / "masks"), "--submission", str(work / "masks.zip")]
    if over_earlier_masks:
        assert start([*words, "--threshold", "0.3"], work.with_name("errors.txt")).status() == 0
        words += ["--overwrite"]
    end_after_kills(
        work,
        words,
        [("provenance.json", True), ("a.zarr", False), ("a.zarr", True), ("masks.zip", False)],
    )


def test_a_data_set_of_phantoms_is_made_anew_with_overwrite(tmp_path: Path) -> None:
    work, errors = tmp_path / "work", tmp_path / "errors.txt"
    work.mkdir()
    words = ["phantom", "--output", str(work / "data"), "--cases", "2", "--size", "32"]
    assert start(words, errors).status() == 0
    end = end_of(work)
    shutil.rmtree(work / "data")
    killer = KilledAtNameChange(work, 1, False, "train.csv")
    assert start(words, errors, before=killer).status() == -signal.SIGKILL

    running = start(words, errors)
    assert running.status() == 2
    assert "--overwrite replaces it" in running.said
    assert start([*words, "--overwrite"], errors).status() == 0

    assert_same_end(end, end_of(work))
    assert leftovers(work) == []
