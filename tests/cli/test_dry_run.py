"""--dry-run of each verb that writes: all checks, and not one file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Refused, Run
from tests.conftest import tiny_tree
from vesuv.runs.folder import RunFolder

Output = pytest.CaptureFixture[str]


@pytest.fixture
def home(trained_run: RunFolder, tiny_data: Path, tmp_path: Path) -> Path:
    """A folder with a copy of a trained run, raw data, labels, predictions and a configuration."""
    shutil.copytree(trained_run.path, tmp_path / "run")
    shutil.copytree(tiny_data, tmp_path / "data")
    shutil.copytree(tiny_data / "train_labels", tmp_path / "predictions")
    tree = tiny_tree(Path("data"), Path("store"))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path


CALLS = {
    "prepare": ("prepare", "--config", "tiny.yaml"),
    "validate_distribution": ("validate_distribution", "--run", "run"),
    "find_best": ("find_best", "--run", "run", "--output", "best.json"),
    "predict": (
        "predict", "--run", "run", "--input", "data/train_images", "--output", "out",
        "--submission", "out.zip",
    ),
    "evaluate": (
        "evaluate", "--predictions", "predictions", "--labels", "data/train_labels", "--config",
        "tiny.yaml", "--output", "scores",
    ),
}  # fmt: skip
READS = {
    "prepare": "data/train_images/c0.tif",
    "validate_distribution": "run/checkpoints/best.pt",
    "find_best": "run/checkpoints/best.pt",
    "predict": "data/train_images/c0.tif",
    "evaluate": "predictions/c0.tif, data/train_labels/c0.tif",
}
WRITES = {
    "prepare": ["store"],
    "validate_distribution": ["run/selected.json", "run/distribution"],
    "find_best": ["best.json", "best.csv"],
    "predict": [*(f"out/c{n}.tif" for n in range(4)), "out/provenance.json", "out.zip"],
    "evaluate": ["scores"],
}


def contents(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("verb", CALLS)
def test_it_says_what_would_be_read_and_written_and_writes_nothing(
    verb: str, home: Path, run: Run, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    before = contents(home)

    run(*CALLS[verb], "--dry-run")

    lines = capsys.readouterr().out.splitlines()
    assert f"would read: {READS[verb]}" in lines
    written = [line.removeprefix("would write: ") for line in lines if "would write" in line]
    assert written == WRITES[verb]
    assert contents(home) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((*CALLS["prepare"], "--set", "labels.ignore=null"), "c0.tif"),
        ((*CALLS["prepare"], "--set", "data.store=predictions"), "holds files but no prepared"),
        ((*CALLS["validate_distribution"], "--checkpoint", "swa"), "asked for 'swa'"),
        ((*CALLS["find_best"][:-1], "best.txt"), "must end in .json"),
        ((*CALLS["predict"][:4], "data", "--output", "data/train_images"), "data"),
        ((*CALLS["predict"], "--threshold", "2"), "--threshold: must be from 0 to 1"),
        ((*CALLS["evaluate"][:4], "run/checkpoints", *CALLS["evaluate"][5:]), "run/checkpoints"),
        ((*CALLS["evaluate"], "--measures", "dise"), "dise"),
    ],
)
def test_it_refuses_what_the_verb_would_refuse(
    words: tuple[str, ...],
    sentence: str,
    home: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(home)
    before = contents(home)

    error = refused(*words, "--dry-run")

    assert error.startswith("error: ") and sentence in error
    assert contents(home) == before


def test_nothing_is_left_to_write_where_the_store_is_up_to_date(
    home: Path, run: Run, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    run(*CALLS["prepare"])
    capsys.readouterr()

    run(*CALLS["prepare"], "--dry-run")

    assert capsys.readouterr().out == "store: is up to date, nothing to write\n"
