from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from vesuv.errors import InputError
from vesuv.io.atomic import (
    atomic_replace,
    catch_write_errors,
    clear_leftovers,
    has_temporaries,
    restore_folder,
    temporary_folder,
    unfinished_folders,
    write_text,
)

DEAD = 999_999_999
"""No process has this number: it is above the largest that Linux gives."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_as_it_was_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    with atomic_replace(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent

    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").touch()

    with atomic_replace(path, ending=".zarr") as temporary:
        assert temporary.suffix == ".zarr"
        temporary.mkdir()
        (temporary / "new").touch()
        assert names(path) == ["old"]

    assert names(path) == ["new"]
    assert names(tmp_path) == ["a.zarr"]


@pytest.mark.parametrize("fault", [OSError, KeyboardInterrupt])
def test_a_failed_write_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, fault: type[BaseException]
) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    with pytest.raises(fault), atomic_replace(path) as temporary:
        temporary.write_text("half")
        raise fault

    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store"
    path.mkdir()
    (path / "old").touch()
    rename = os.replace

    def fail(source: Path, target: Path) -> None:
        if Path(source).name == f".store.vesuv-{os.getpid()}.partial":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="Input/output error"), atomic_replace(path) as temporary:
        temporary.mkdir()

    assert names(path) == ["old"]
    assert names(tmp_path) == ["store"]


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.mkdir()
    (path / "thesis").touch()

    with pytest.raises(InputError, match=r"a\.tif: cannot be written \(Is a directory\)"):
        write_text(path, "text")

    assert names(path) == ["thesis"]


def test_the_former_file_is_kept_under_a_second_name(tmp_path: Path) -> None:
    path, previous = tmp_path / "last.pt", tmp_path / "last.pt.previous"

    for text in ("1", "2", "3"):
        with atomic_replace(path, previous=previous) as temporary:
            temporary.write_text(text)

    assert (path.read_text(), previous.read_text()) == ("3", "2")
    assert names(tmp_path) == ["last.pt", "last.pt.previous"]


def test_every_file_is_flushed_to_disk_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    rename = os.replace
    monkeypatch.setattr(os, "fsync", lambda _file: events.append("flush"))

    def record(source: Path, target: Path) -> None:
        events.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "replace", record)
    with atomic_replace(tmp_path / "a.pt", flush=True) as temporary:
        temporary.write_text("1")
    with atomic_replace(tmp_path / "b.zarr", flush=True) as temporary:
        temporary.mkdir()
        (temporary / "x").touch()
        (temporary / "y").touch()

    assert events == ["flush", "rename", "flush", "flush", "rename"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_a_link_points_to_is_neither_written_nor_deleted(
    tmp_path: Path, is_folder: bool
) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    (real / "file").write_text("old")
    link.symlink_to(real if is_folder else real / "file")

    with atomic_replace(link) as temporary:
        if is_folder:
            temporary.mkdir()
        else:
            temporary.write_text("new")

    assert not link.is_symlink() and link.is_dir() == is_folder
    assert (real / "file").read_text() == "old"
    assert names(tmp_path) == ["link", "real"]


def test_a_kept_former_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    path, previous, thesis = (tmp_path / name for name in ("last.pt", "last.pt.previous", "thesis"))
    path.write_text("1")
    thesis.write_text("mine")
    previous.symlink_to(thesis)

    with atomic_replace(path, previous=previous) as temporary:
        temporary.write_text("2")

    assert (path.read_text(), previous.read_text(), thesis.read_text()) == ("2", "1", "mine")


def test_a_text_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()

    write_text(tmp_path / "deep" / "a.txt", "µ\n")

    assert (tmp_path / "deep" / "a.txt").read_bytes() == b"\xc2\xb5\n"
    mode = (tmp_path / "deep" / "a.txt").stat().st_mode
    assert stat.S_IMODE(mode) == stat.S_IMODE(plain.stat().st_mode)


def test_only_temporary_files_of_processes_that_no_longer_run_are_removed(tmp_path: Path) -> None:
    kept = [
        "a",
        "notes.partial.md",
        ".notes.2024.partial.md",
        ".notes.old.partial",
        f".a.vesuv-{os.getpid()}.partial",
    ]
    for name in (f".a.vesuv-{DEAD}.partial", f".b.nii.gz.vesuv-{DEAD}.partial.nii.gz", *kept):
        (tmp_path / name).touch()
    (tmp_path / f".c.vesuv-{DEAD}.partial").mkdir()
    link = tmp_path / f".d.vesuv-{DEAD}.partial"
    link.symlink_to(tmp_path)

    clear_leftovers(tmp_path)
    clear_leftovers(tmp_path / "gone")

    assert names(tmp_path) == sorted([*kept, link.name])


def folder_with(path: Path, name: str) -> Path:
    path.mkdir()
    (path / name).touch()
    return path


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("name", ["store", "*", "[s]", "s.vesuv-1.partial"])
def test_a_folder_that_was_moved_aside_returns_where_none_took_its_place(
    tmp_path: Path, runs: bool, name: str
) -> None:
    pid = os.getpid() if runs else DEAD
    folder_with(tmp_path / f".{name}.vesuv-{pid}-old.partial", "mark")
    folder_with(tmp_path / f".{name}.vesuv-{pid}.partial", "half")
    other = folder_with(tmp_path / f".store2.vesuv-{DEAD}.partial", "mark")
    assert has_temporaries(tmp_path / name)

    restore_folder(tmp_path / name, "mark")

    assert names(tmp_path) == sorted([name, other.name])
    assert names(tmp_path / name) == ["mark"]
    assert not has_temporaries(tmp_path / name)


@pytest.mark.parametrize("has_own_number", [False, True])
def test_what_a_killed_process_left_unfinished_can_be_taken_over(
    tmp_path: Path, has_own_number: bool
) -> None:
    pid = os.getpid() if has_own_number else DEAD
    folder_with(tmp_path / f".store.vesuv-{pid}.partial", "half")
    folder_with(tmp_path / f".store.vesuv-{pid}-old.partial", "mark")
    folder_with(tmp_path / f".store2.vesuv-{pid}.partial", "half")

    restore_folder(tmp_path / "store", "mark", keep_unfinished=True)
    (leftover,) = unfinished_folders(tmp_path / "store")
    with atomic_replace(tmp_path / "store") as temporary:
        temporary.mkdir()
        (leftover / "half").rename(temporary / "half")

    assert names(tmp_path / "store") == ["half"]


@pytest.mark.parametrize(("name", "is_kept"), [("mark", False), ("thesis", True)])
def test_a_folder_that_was_moved_aside_goes_where_a_whole_one_took_its_place(
    tmp_path: Path, name: str, is_kept: bool
) -> None:
    former = folder_with(tmp_path / f".store.vesuv-{DEAD}-old.partial", "mark")
    folder_with(tmp_path / "store", name)

    restore_folder(tmp_path / "store", "mark")

    assert names(tmp_path / "store") == [name]
    assert former.exists() == is_kept


def test_a_failed_write_is_a_sentence_with_the_final_name(tmp_path: Path) -> None:
    path = tmp_path / "store"

    with (
        pytest.raises(InputError) as caught,
        catch_write_errors(path, "give data.store another folder"),
        atomic_replace(path) as temporary,
    ):
        (temporary / "cases" / "a.json").write_text("")

    assert str(caught.value) == (
        f"{path}/cases/a.json: cannot be written (No such file or directory); give data.store "
        "another folder"
    )


def test_a_fault_elsewhere_names_what_was_to_be_written(tmp_path: Path) -> None:
    (tmp_path / "note").touch()

    with pytest.raises(InputError, match=r"note/a/b\.txt: cannot be written \(Not a directory\)"):
        write_text(tmp_path / "note" / "a" / "b.txt", "")
    with (
        pytest.raises(InputError, match=r"x: cannot be written \(No space"),
        catch_write_errors(Path("x")),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("old", ["", "-old"])
def test_a_write_removes_what_a_killed_process_left_of_the_same_file(
    tmp_path: Path, old: str
) -> None:
    leftover = tmp_path / f".a.zarr.vesuv-{DEAD}{old}.partial"
    running = f".a.zarr.vesuv-{os.getppid()}.partial.zarr"
    of_another_file = f".b.zarr.vesuv-{DEAD}.partial.zarr"
    for name in (leftover.name, running, of_another_file):
        (tmp_path / name).mkdir()

    with pytest.raises(OSError), atomic_replace(tmp_path / "a.zarr"):
        raise OSError
    assert leftover.exists()
    with atomic_replace(tmp_path / "a.zarr") as temporary:
        temporary.mkdir()

    assert names(tmp_path) == sorted([running, of_another_file, "a.zarr"])


def test_a_temporary_folder_goes_at_the_end_or_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / f".work.vesuv-{DEAD}.partial").mkdir()

    with temporary_folder(tmp_path / "work") as folder:
        assert names(tmp_path) == [folder.name]
        (folder / "a").touch()

    assert names(tmp_path) == []
