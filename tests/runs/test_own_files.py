"""What lies in a run's folder and is not a run's is neither deleted nor written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.runs.test_folder import CONFIG, made
from vesuv.errors import InputError
from vesuv.runs.folder import RunFolder
from vesuv.runs.own_files import cache_checkpoint, is_own_run, remove_cache
from vesuv.runs.writer import RunWriter

KEY = "0123456789abcdef"


def write(path: Path, text: str = "mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def make_cache(run: Path, checkpoint: str = "best") -> Path:
    folder = run / "distribution/probabilities" / f"{checkpoint}-{KEY}"
    write(folder / "key.json", json.dumps({"checkpoint": checkpoint, "checkpoint_sha256": "1"}))
    write(folder / "c0.zarr/zarr.json")
    return folder


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_cleared_of_all_that_it_wrote(tmp_path: Path) -> None:
    run = made(tmp_path)
    for name in (
        "train.log",
        "metrics.csv",
        "events.out.tfevents.1.host.2.0.vesuv",
        "checkpoints/last.pt.previous",
        "checkpoints/swa.pt",
        "distribution/cases.csv",
        "distribution/summary.json",
        "distribution/curves.png",
    ):
        write(run.path / name)
    make_cache(run.path)
    write(
        run.path / "distribution/probabilities" / f"best-{KEY}" / ".c1.zarr.vesuv-99999999.partial"
    )

    run.clear()

    assert list(run.path.iterdir()) == []


def test_files_of_the_user_stay_in_a_cleared_run(tmp_path: Path) -> None:
    run = made(tmp_path)
    names = {
        "notes.md",
        "notes.partial.md",
        ".notes.2024.partial.md",
        "events.out.tfevents.1.host.2.0",
        "checkpoints/best-mine/a.pt",
        "checkpoints/best-mine.pt",
        "checkpoints/last.pt.bak",
        "distribution/thesis.png",
        "distribution/probabilities/best-mine/a.zarr/zarr.json",
        f"distribution/probabilities/last-{KEY}/a.zarr/zarr.json",  # without its key.json
        f"distribution/probabilities/best-{KEY}/notes.md",
        f"distribution/probabilities/best-{KEY}/key.json",
    }
    for name in names:
        write(run.path / name)
    make_cache(run.path)

    run.clear()

    assert files_of(run.path) == names


def test_nothing_is_deleted_through_a_link(tmp_path: Path) -> None:
    run, outside = made(tmp_path), tmp_path / "outside"
    for name in ("best.pt", "summary.json", "train.log", "a.zarr/zarr.json", "key.json"):
        write(outside / name)
    for file in (run.path / "checkpoints").iterdir():
        file.unlink()
    (run.path / "checkpoints").rmdir()
    (run.path / "checkpoints").symlink_to(outside)
    (run.path / "train.log").symlink_to(outside / "train.log")
    cache = make_cache(run.path)
    (cache / "c1.zarr").symlink_to(outside / "a.zarr")
    (cache.parent / f"last-{KEY}").symlink_to(outside)
    before = files_of(outside)

    run.clear()

    assert files_of(outside) == before
    assert (cache / "c1.zarr").is_symlink()


@pytest.mark.parametrize(
    "name",
    ["train.log", "metrics.csv", "events.jsonl", "evidence.jsonl", "checkpoints", "distribution"],
)
def test_output_is_not_written_through_a_link(tmp_path: Path, name: str) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    (run.path / name).symlink_to(tmp_path / "outside")

    with pytest.raises(InputError, match=rf"{name}: is a symbolic link"):
        run.check_no_links()


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("config.yaml", "config.yaml"),
        ("run.json", "run.json"),
        ("report.html", "report.html"),
        ("checkpoints/best.pt", "checkpoints"),
        ("distribution/a.png", "distribution"),
    ],
)
def test_a_folder_with_files_named_like_a_runs_is_refused(
    tmp_path: Path, name: str, named: str
) -> None:
    write(tmp_path / name, '{"version": 1}')

    with pytest.raises(InputError, match=rf"/{named}: was not written by vesuv train"):
        RunFolder(tmp_path).check_may_be_replaced()


def test_a_folder_with_other_files_takes_a_run(tmp_path: Path) -> None:
    write(tmp_path / "notes.md")
    (tmp_path / "checkpoints").mkdir()

    RunFolder(tmp_path).check_may_be_replaced()
    made(tmp_path).check_may_be_replaced()


@pytest.mark.parametrize("last_write", ["run.json", "config.yaml"])
def test_a_run_killed_while_it_was_made_can_be_started_again(
    tmp_path: Path, last_write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, rename = RunFolder(tmp_path / "run"), os.replace

    def kill(source: Path, target: Path) -> None:
        if Path(target).name == last_write:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "replace", kill)
    with pytest.raises(KeyboardInterrupt):
        run.create(CONFIG, {})

    assert not run.exists
    run.check_may_be_replaced()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"version": 1}', '{"version": 2, "vesuv": 1}'])
def test_another_programs_run_json_is_none_of_a_run(tmp_path: Path, text: str) -> None:
    assert is_own_run(made(tmp_path).path)
    write(tmp_path / "run.json", text)
    assert not is_own_run(tmp_path)


def test_tensorboard_files_are_marked_as_ours(tmp_path: Path) -> None:
    run = made(tmp_path)

    RunWriter(run, (0, 0)).close()

    assert [path.name[-6:] for path in run.path.glob("events.out.*")] == [".vesuv"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (f"best-{KEY}", {"checkpoint": "best", "checkpoint_sha256": "1"}, "best"),
        (f"best-{KEY}", {"checkpoint": "last", "checkpoint_sha256": "1"}, None),
        (f"best-{KEY}", {"checkpoint": "best"}, None),
        (f"[b]*-{KEY}", {"checkpoint": "[b]*", "checkpoint_sha256": "1"}, "[b]*"),
        ("best-mine", {"checkpoint": "best", "checkpoint_sha256": "1"}, None),
    ],
)
def test_a_cache_is_known_by_its_name_and_its_key(
    tmp_path: Path, name: str, text: dict[str, str], expected: str | None
) -> None:
    write(tmp_path / name / "key.json", json.dumps(text))

    assert cache_checkpoint(tmp_path / name) == expected


def test_a_removed_cache_leaves_what_others_wrote(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    write(cache / "notes.md")

    remove_cache(cache)

    assert files_of(cache) == {"notes.md", "key.json"}


def test_two_selections_for_one_run_are_refused(tmp_path: Path) -> None:
    run = made(tmp_path)
    sentence = rf"run: another process selects a model here \(process {os.getpid()} on \S+\); wait"

    with run.selection_lock(), pytest.raises(InputError, match=sentence):
        RunFolder(run.path).selection_lock().__enter__()
