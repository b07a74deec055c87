"""Pipes, sockets and devices are refused before anything is read of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from vesuv.files import NotRegularError, check_regular, kind_of, open_regular, open_text, read_text


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("make", "kind"),
    [(make_pipe, "a named pipe"), (make_device, "a device"), (Path.mkdir, "a folder")],
)
@pytest.mark.parametrize("read", [open_regular, open_text, read_text, check_regular])
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None], kind: str, read: Callable[[Path], object]
) -> None:
    make(tmp_path / "a")

    with pytest.raises(NotRegularError, match=f"is {kind}, not a regular file: '.*/a'"):
        read(tmp_path / "a")
    assert kind_of((tmp_path / "a").stat()) == kind


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("a")

        with pytest.raises(NotRegularError, match="is a socket, not a regular file"):
            open_regular(Path("a"))


def test_a_pipe_put_in_place_of_the_file_that_was_checked_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "a")
    monkeypatch.setattr("vesuv.files.check_regular", lambda path: path.stat())

    with pytest.raises(NotRegularError, match="is a named pipe"):
        open_regular(tmp_path / "a")


def test_a_file_is_read_through_a_link_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfx\r\ny")
    (tmp_path / "b").symlink_to("a")

    assert read_text(tmp_path / "b") == "x\ny"
    with open_text(tmp_path / "b", newline="") as file:
        assert file.read() == "x\r\ny"
    with open_regular(tmp_path / "b") as file:
        assert Path(file.name).name == "b"
