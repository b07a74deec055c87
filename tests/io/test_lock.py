from __future__ import annotations

import multiprocessing
import os
import socket
import time
from pathlib import Path

import pytest
from filelock import Timeout

from vesuv.errors import InputError
from vesuv.io.lock import FileLock, hold_lock

CONTEXT = multiprocessing.get_context("fork")


def hold_until(path: Path, flag: Path) -> None:
    with hold_lock(path, ""):
        while not flag.exists():
            time.sleep(0.01)


def other_holder(path: Path, flag: Path) -> multiprocessing.process.BaseProcess:
    process = CONTEXT.Process(target=hold_until, args=(path, flag))
    process.start()
    while not path.exists() or not path.read_text():
        time.sleep(0.01)
    return process


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    path, flag = tmp_path / "lock", tmp_path / "flag"
    process = other_holder(path, flag)

    with (
        pytest.raises(InputError) as fault,
        hold_lock(path, "the folder is used by {holder}; wait"),
    ):
        pass
    flag.touch()
    process.join()

    name = f"process {process.pid} on {socket.gethostname()}"
    assert str(fault.value) == f"the folder is used by {name}; wait"
    assert not path.exists()


def test_a_second_process_may_wait(tmp_path: Path) -> None:
    path, flag = tmp_path / "lock", tmp_path / "flag"
    process = other_holder(path, flag)

    with hold_lock(path, "waiting for {holder}", wait=lambda _sentence: flag.touch()):
        process.join()
        assert path.read_text().startswith(f"vesuv, process {os.getpid()} on ")

    assert not path.exists()


def test_a_file_of_the_user_is_locked_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    path.write_text("mine")

    with hold_lock(path, ""):
        pass

    assert path.read_text() == "mine"


def test_a_lock_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "thesis")

    with pytest.raises(OSError, match="symbolic links"), hold_lock(tmp_path / "lock", ""):
        pass

    assert not (tmp_path / "thesis").exists()


def test_a_file_that_cannot_be_made_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library times out on a lock file that the system refuses, as in /proc."""

    def refused(*_: object, **__: object) -> None:
        raise Timeout(str(tmp_path))

    monkeypatch.setattr(FileLock, "acquire", refused)
    sentences: list[str] = []

    with (
        pytest.raises(FileNotFoundError),
        hold_lock(tmp_path / "missing" / "lock", "waiting", wait=sentences.append),
    ):
        pass

    assert not sentences
