from __future__ import annotations

import os
from pathlib import Path

import pytest

from vesuv.errors import InputError
from vesuv.io.places import check_no_links, check_place, contains


@pytest.mark.parametrize(
    ("folder", "path", "expected"),
    [
        ("a", "a", True),
        ("a", "a/b/c", True),
        ("a", "a/b/../../a/b", True),
        ("a", "link/c", True),
        ("link", "a/b/c", True),
        ("a/b", "a", False),
        ("a", "ab", False),
        ("none", "a", False),
        ("a", "a/none/file", True),
    ],
)
def test_a_folder_contains_itself_and_what_lies_below(
    tmp_path: Path, folder: str, path: str, expected: bool
) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a/b")

    assert contains(tmp_path / folder, tmp_path / path) is expected


def test_a_folder_is_known_under_a_second_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mount").mkdir()
    (tmp_path / "data/raw").mkdir(parents=True)
    mount, data = tmp_path / "mount", tmp_path / "data"
    stat = os.stat
    monkeypatch.setattr(
        os, "stat", lambda path, **kwargs: stat(data if path == mount else path, **kwargs)
    )

    assert contains(mount, data / "raw")


def test_a_link_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")

    check_no_links([tmp_path / "a", tmp_path / "none"])
    with pytest.raises(InputError, match="b: is a symbolic link, and output is not written"):
        check_no_links([tmp_path / "a", tmp_path / "b"])


def test_a_folder_can_be_made_in_a_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    check_place(Path("new/folder"))

    for folder in ("file", "file/new/folder"):
        with pytest.raises(InputError, match=r"^--output: file is a file; name a folder$"):
            check_place(Path(folder))


def test_a_folder_that_may_not_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda place, _mode: place != tmp_path)
    check_place(tmp_path.parent)

    with pytest.raises(InputError, match=r"^data\.store: .* may not be written; name another"):
        check_place(tmp_path / "new", "data.store")
