"""Folders that fill, vanish or may not be written: one sentence, and what was saved is whole."""

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.conftest import tiny_tree
from tests.faults.runs import start
from vesuv.runs.checkpoints import read_checkpoint

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX")


@pytest.fixture
def config_file(tiny_data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_tree(tiny_data, tmp_path / "store")))
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root mounts a file system, where it may")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def train(config: Path, run: Path, *more: str) -> list[str]:
    return ["train", "--config", str(config), "--fold", "0", "--output", str(run), *more]


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


@pytest.mark.slow
def test_a_disk_that_fills_while_training_costs_nothing_that_was_saved(
    config_file: Path, small_disk: Path
) -> None:
    errors, run = config_file.parent / "errors.txt", small_disk / "run"
    running = start(train(config_file, run, "--set", "train.epochs=500"), errors)
    running.wait_until(lambda: (run / "checkpoints/last.pt.previous").is_file())
    fill(small_disk)

    assert running.status() == 2
    assert re.fullmatch(
        r"error: \S+: cannot be written \(No space left on device\); what was saved before is "
        r"whole: make room or give the permission, then go on with --resume\n",
        running.said,
    )
    saved = read_checkpoint(run / "checkpoints/last.pt")
    assert read_checkpoint(run / "checkpoints/best.pt").measure is not None
    (small_disk / "filler").unlink()
    epochs = f"train.epochs={saved.epoch + 2}"
    again = start(train(config_file, run, "--resume", "--set", epochs), errors)
    assert again.status() == 0, again.said
    assert read_checkpoint(run / "checkpoints/last.pt").epoch > saved.epoch


def test_a_disk_that_fills_while_preparing_leaves_nothing_behind(
    config_file: Path, small_disk: Path
) -> None:
    errors, store = config_file.parent / "errors.txt", small_disk / "store"
    fill(small_disk)
    with (small_disk / "filler").open("r+b") as file:
        file.truncate((small_disk / "filler").stat().st_size - 100_000)

    arguments = ["prepare", "--config", str(config_file), "--set", f"data.store={store}"]
    running = start(arguments, errors)

    assert running.status() == 2
    sentence = rf"error: {store}: cannot be written \(.*\); check folder and space\n"
    assert re.fullmatch(sentence, running.said)
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


@pytest.mark.parametrize("command", ["train", "prepare"])
def test_no_file_may_grow_and_preparing_says_so(config_file: Path, command: str) -> None:
    folder = config_file.parent
    fold = ["--fold", "0", "--output", str(folder / "run")] if command == "train" else []
    arguments = [command, "--config", str(config_file), *fold]

    running = start(arguments, folder / "errors.txt", file_limit=10_000)

    assert running.status() == 2
    sentence = r"error: \S+/store: cannot be written \(.*\); check folder and space\n"
    assert re.fullmatch(sentence, running.said)
    assert sorted(path.name for path in folder.iterdir()) == ["errors.txt", "tiny.yaml"]


def give_up_overriding() -> None:
    """Let permissions bind root as everybody: drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    version_3, override = 0x20080522, 1 << 1 | 1 << 2
    header, sets = (ctypes.c_uint32 * 2)(version_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    for effective_and_permitted in (0, 1):
        sets[effective_and_permitted] &= ~override
    assert libc.capset(header, sets) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_a_folder_that_may_not_be_written_is_a_sentence(config_file: Path) -> None:
    folder = config_file.parent
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0o555)

    running = start(
        train(config_file, closed / "run"), folder / "errors.txt", before=give_up_overriding
    )

    assert running.status() == 2, running.said
    assert re.fullmatch(
        r"error: --output: \S+/closed may not be written; name another folder\n", running.said
    )
    assert list(closed.iterdir()) == []


@pytest.mark.slow
def test_a_run_whose_folder_is_taken_away_says_so(config_file: Path) -> None:
    folder = config_file.parent
    more = ["--set", "train.epochs=500"]
    running = start(train(config_file, folder / "run", *more), folder / "errors.txt")
    running.wait_until((folder / "run/checkpoints/last.pt").is_file)
    (folder / "run").rename(folder / "elsewhere")

    assert running.status() == 2
    assert re.fullmatch(
        r"error: \S+: cannot be written \(No such file or directory\); .*\n", running.said
    )
    assert read_checkpoint(folder / "elsewhere/checkpoints/last.pt").training is not None
    assert not (folder / "run").exists()


@pytest.mark.slow
def test_a_run_goes_on_without_the_raw_data(config_file: Path, tiny_data: Path) -> None:
    folder = config_file.parent
    assert start(["prepare", "--config", str(config_file)], folder / "errors.txt").status() == 0
    tree = yaml.safe_load(config_file.read_text())
    hidden = tiny_data.with_name("hidden")
    tiny_data.rename(hidden)
    try:
        tree["train"]["epochs"] = 1
        config_file.write_text(yaml.safe_dump(tree))
        running = start(train(config_file, folder / "run"), folder / "errors.txt")
        assert running.status() == 0, running.said
    finally:
        hidden.rename(tiny_data)
