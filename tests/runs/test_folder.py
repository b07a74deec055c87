import json
from pathlib import Path

import pytest

from vesuv.config import Config, check
from vesuv.errors import InputError
from vesuv.runs.folder import RunFolder, Selected, differences

TREE = {
    "name": "tiny",
    "data": {"root": "nowhere"},
    "labels": {"classes": {"background": 0, "sheet": 1}},
    "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
}
CONFIG: Config = check(TREE, "test")


def made(folder: Path) -> RunFolder:
    run = RunFolder(folder / "run")
    run.create(CONFIG, {"fold": 2, "data_fingerprint": "abc"})
    for name in ("ema", "last", "epoch_0009", "best"):
        run.checkpoint(name).touch()
    return run


def test_a_run_reads_back_what_it_was_made_of(tmp_path: Path) -> None:
    run = RunFolder.open(made(tmp_path).path)

    assert (run.config, run.fold, run.fingerprint) == (CONFIG, 2, "abc")
    assert run.available() == ["best", "last", "ema", "epoch_0009"]
    assert json.loads((run.path / "run.json").read_text())["packages"]["torch"]


def test_nothing_is_selected_before_selection(tmp_path: Path) -> None:
    assert made(tmp_path).selected() is None


def test_the_selected_checkpoint_and_threshold_are_read(tmp_path: Path) -> None:
    run = made(tmp_path)
    text = '{"version": 1, "checkpoint": "ema", "threshold": 0.35}'
    (run.path / "selected.json").write_text(text)

    assert run.selected() == Selected("ema", 0.35)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read as JSON"),
        ('{"version": 7}', "version must be 1"),
        ('{"version": 1, "threshold": 0.5}', "needs checkpoint and threshold"),
        (
            '{"version": 1, "checkpoint": "../../x", "threshold": 0.5}',
            "checkpoint must be one of best, last, ema, epoch_0009, found '../../x'",
        ),
    ],
)
def test_a_bad_selection_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    run = made(tmp_path)
    (run.path / "selected.json").write_text(text)

    with pytest.raises(InputError, match=sentence):
        run.selected()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        RunFolder.open(tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file is in the way")

    with pytest.raises(InputError, match="cannot be written"):
        RunFolder(tmp_path / "run").create(CONFIG, {})


def test_differences_are_named_by_key() -> None:
    other = check(TREE | {"train": {"epochs": 5}, "noise": None}, "test")

    assert differences(CONFIG, other) == ["train.epochs"]
