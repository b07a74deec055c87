import json
from pathlib import Path

import pytest

from vesuv.config import Config, check
from vesuv.errors import InputError
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import SelectedModel

TREE = {
    "name": "tiny",
    "data": {"root": "nowhere"},
    "labels": {"classes": {"background": 0, "sheet": 1}},
    "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
}
CONFIG: Config = check(TREE, "test")


def made(folder: Path) -> RunFolder:
    run = RunFolder(folder / "run")
    run.create(CONFIG, {"fold": 2, "data_fingerprint": "abc", "validation_cases": ["a"]})
    for name in ("ema", "last", "epoch_0009", "best"):
        run.checkpoint(name).touch()
    return run


def test_a_run_reads_back_what_it_was_made_of(tmp_path: Path) -> None:
    run = RunFolder.open(made(tmp_path).path)

    facts = run.facts
    assert run.config == CONFIG
    assert (facts.fold, facts.data_fingerprint, facts.validation_cases) == (2, "abc", ("a",))
    assert facts.packages["torch"]
    assert run.checkpoints() == ["best", "last", "ema", "epoch_0009"]
    assert json.loads((run.path / "run.json").read_text())["packages"]["torch"]


def test_nothing_is_selected_before_selection(tmp_path: Path) -> None:
    assert made(tmp_path).selected_model() is None


def test_the_selected_checkpoint_and_threshold_are_read(tmp_path: Path) -> None:
    run = made(tmp_path)
    text = '{"version": 1, "checkpoint": "ema", "threshold": 0.35}'
    (run.path / "selected.json").write_text(text)

    assert run.selected_model() == SelectedModel(checkpoint="ema", threshold=0.35)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read as JSON"),
        ('{"version": 7}', "version must be 1, found 7"),
        ('{"version": 1, "threshold": 0.5}', "checkpoint: Field required"),
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
        run.selected_model()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        RunFolder.open(tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file is in the way")

    with pytest.raises(InputError, match="cannot be written"):
        RunFolder(tmp_path / "run").create(CONFIG, {})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"version": 1, "fold": "first"}', r"run\.json: fold\.int: .*found 'first'"),
        ('{"version": 1, "fold": 0}', r"run\.json: data_fingerprint: Field required"),
        ('{"version": 2, "fold": 0}', r"run\.json: record version must be 1, found 2"),
    ],
)
def test_facts_that_training_did_not_write_are_refused(
    tmp_path: Path, text: str, sentence: str
) -> None:
    run = made(tmp_path)
    (run.path / "run.json").write_text(text)

    with pytest.raises(InputError, match=sentence):
        _ = run.facts


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path: Path) -> None:
    run = made(tmp_path)

    assert run.existing_checkpoint("ema") == run.path / "checkpoints" / "ema.pt"
    with pytest.raises(InputError, match="must be one of best, last, ema, epoch_0009, asked for"):
        run.existing_checkpoint("swa")


def test_clearing_leaves_what_others_wrote(tmp_path: Path) -> None:
    run = made(tmp_path)
    (run.path / "notes.md").write_text("mine")
    (run.path / "report.html").write_text("ours")

    run.clear()

    assert [path.name for path in run.path.iterdir()] == ["notes.md"]


def test_a_folder_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    run = made(tmp_path)

    with (
        run.lock(),
        pytest.raises(InputError, match=r"another process trains in this folder \(process \d+ on "),
    ):
        RunFolder(run.path).lock().__enter__()


def test_a_run_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")

    with (
        pytest.raises(InputError, match=r"run is a file; name a folder"),
        RunFolder(tmp_path / "run").lock(),
    ):
        pass

    assert (tmp_path / "run").read_text() == "mine"


def test_a_lock_of_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "none").lock():
        pass

    assert not (tmp_path / "none").exists()


def test_a_message_stays_short_whatever_the_file_holds(tmp_path: Path) -> None:
    run = made(tmp_path)
    content = {"version": 1, "checkpoint": "x" * 5000, "threshold": 0.5}
    (run.path / "selected.json").write_text(json.dumps(content))

    with pytest.raises(InputError, match="checkpoint must be one of") as fault:
        run.selected_model()

    assert len(str(fault.value)) < 500
