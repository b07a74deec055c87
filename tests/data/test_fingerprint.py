from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from vesuv.config import Config, check
from vesuv.data.content_digests import DigestRecord, content_digest
from vesuv.data.fingerprint import (
    check_fits,
    contents_of,
    fingerprint,
    settings_of,
    source_paths,
    sources_of,
    stamp,
    unchanged_digest,
)
from vesuv.data.layouts import find_cases
from vesuv.data.records import write_record
from vesuv.errors import InputError, InputErrors


def config(root: Path, data: dict[str, Any] | None = None, **labels: Any) -> Config:
    tree = {
        "name": "a",
        "data": {"root": str(root), "layout": "folders", "images": "i", "labels": "l"},
        "labels": {"classes": {"background": 0, "surface": 1}, **labels},
        "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
    }
    tree["data"] |= data or {}
    return check(tree, "here")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for name in ("i/a.tif", "i/b.tif", "l/a.tif", "l/b.tif"):
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / name).write_text(name)
    return tmp_path / "raw"


def sources(root: Path) -> dict[str, list[int | str]]:
    return sources_of(source_paths(root, find_cases(config(root).data)))


def fits(made: Path, asked: Config) -> None:
    check_fits(Path("store"), settings_of(config(made)), sources(made), asked)


def test_sources_are_files_below_the_root_with_size_and_time(raw: Path) -> None:
    found = sources(raw)

    assert list(found) == ["i/a.tif", "i/b.tif", "l/a.tif", "l/b.tif"]
    assert found["i/a.tif"] == [7, (raw / "i/a.tif").stat().st_mtime_ns]


def test_classes_in_another_order_are_other_classes(raw: Path) -> None:
    classes = {"background": 0, "a": 1, "b": 2}
    swapped = {"background": 0, "b": 2, "a": 1}
    made = settings_of(config(raw, classes=classes))

    with pytest.raises(InputErrors, match=r"was prepared with labels\.classes"):
        check_fits(Path("store"), made, sources(raw), config(raw, classes=swapped))
    swapped_settings = settings_of(config(raw, classes=swapped))
    assert fingerprint(made, sources(raw)) != fingerprint(swapped_settings, sources(raw))


def test_a_zarr_folder_counts_all_that_lies_in_it(raw: Path) -> None:
    for folder in ("i", "l"):
        (raw / folder / "z.zarr" / "c").mkdir(parents=True)
        (raw / folder / "z.zarr" / "c" / "0").write_text("12345")
        (raw / folder / "z.zarr" / "zarr.json").write_text("{}")

    assert sources(raw)["i/z.zarr"][0] == 7


@pytest.fixture
def chunks(raw: Path) -> list[Path]:
    """Two chunks of one size and time in a Zarr folder of the raw data."""
    files = [raw / "i" / "z.zarr" / "c" / name for name in ("0", "1")]
    for file in (*files, raw / "l" / "z.zarr" / "0"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"voxels {file.name}")
        os.utime(file, ns=(5, 5))
    os.utime(files[1], ns=(4, 4))
    return files


def test_chunks_that_changed_places_are_other_data(raw: Path, chunks: list[Path]) -> None:
    before = sources(raw)
    chunks[0].rename(raw / "kept")
    chunks[1].rename(chunks[0])
    (raw / "kept").rename(chunks[1])

    with pytest.raises(InputError, match=r"raw file i/z\.zarr changed since it was made"):
        check_fits(Path("store"), settings_of(config(raw)), before, config(raw))


def test_a_copied_folder_has_the_same_stamp(raw: Path, chunks: list[Path], tmp_path: Path) -> None:
    shutil.copytree(raw, tmp_path / "copy")

    fits(raw, config(tmp_path / "copy"))


def test_a_folder_stamped_by_a_former_version_is_compared_by_size_and_newest_time(
    raw: Path, chunks: list[Path]
) -> None:
    made = settings_of(config(raw))
    former = sources(raw) | {"i/z.zarr": [16, 5], "l/z.zarr": [8, 5]}

    check_fits(Path("store"), made, former, config(raw))
    os.utime(chunks[0], ns=(6, 6))
    with pytest.raises(InputError, match=r"raw file i/z\.zarr changed since it was made"):
        check_fits(Path("store"), made, former, config(raw))


def test_the_fingerprint_of_data_without_folders_is_that_of_former_versions() -> None:
    settings = {"data.root": "/x", "data.layout": "folders", "data.spacing": None}

    # echo -n '[{"data.layout": "folders", "data.spacing": null}, {"i/a.tif": [7, 5]}]' | sha256sum
    assert fingerprint(settings, {"i/a.tif": [7, 5]}) == "e188c215ea85c07d"


def test_the_fingerprint_follows_settings_and_files_but_not_their_place(
    raw: Path, tmp_path: Path
) -> None:
    same = fingerprint(settings_of(config(raw)), sources(raw))
    shutil.copytree(raw, tmp_path / "copy")
    moved = config(tmp_path / "copy")

    assert fingerprint(settings_of(moved), sources(tmp_path / "copy")) == same
    assert fingerprint(settings_of(config(raw, ignore=2)), sources(raw)) != same
    os.utime(raw / "i/a.tif", ns=(1, 1))
    assert fingerprint(settings_of(config(raw)), sources(raw)) != same


def test_the_same_settings_and_data_fit_wherever_they_lie(raw: Path, tmp_path: Path) -> None:
    fits(raw, config(raw))
    shutil.copytree(raw, tmp_path / "copy")
    fits(raw, config(tmp_path / "copy"))


def test_each_differing_setting_is_named_with_both_values(raw: Path) -> None:
    with pytest.raises(InputErrors) as caught:
        fits(raw, config(raw, {"spacing": (1.0, 2.0, 3.0)}, ignore=2))

    assert len(caught.value.faults) == 2
    assert "with data.spacing null, the configuration says [1.0, 2.0, 3.0]" in str(caught.value)
    assert "with labels.ignore null, the configuration says 2" in str(caught.value)


def test_a_changed_a_new_and_a_lost_file_are_named(raw: Path) -> None:
    made, before = settings_of(config(raw)), sources(raw)
    os.utime(raw / "i/b.tif", ns=(1, 1))
    with pytest.raises(InputError, match=r"raw file i/b\.tif changed since it was made; prepare"):
        check_fits(Path("store"), made, before, config(raw))
    (raw / "l/b.tif").unlink()
    with pytest.raises(InputError, match=r"raw file i/b\.tif vanished and 1 more differ"):
        check_fits(Path("store"), made, before, config(raw))
    (raw / "i/c.tif").touch()
    (raw / "l/c.tif").touch()
    with pytest.raises(InputError, match=r"raw file i/c\.tif appeared and 3 more differ"):
        check_fits(Path("store"), made, before, config(raw))


@pytest.fixture
def digested(raw: Path, tmp_path: Path) -> Path:
    """A store with digests of the raw files, which get other times."""
    paths = source_paths(raw, find_cases(config(raw).data))
    digests = {name: content_digest(path) for name, path in paths.items()}
    (tmp_path / "store").mkdir()
    write_record(tmp_path / "store" / "digests.json", DigestRecord(digests=digests))
    return tmp_path / "store"


def touch(root: Path) -> None:
    for number, file in enumerate(sorted(root.rglob("*.*"))):
        os.utime(file, ns=(number, number))


def test_files_that_were_only_touched_are_compared_once(
    raw: Path, digested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, before, notes = settings_of(config(raw)), sources(raw), list[str]()
    touch(raw)

    check_fits(digested, made, before, config(raw), notes.append)
    monkeypatch.setattr("vesuv.data.fingerprint.content_digest", None)
    check_fits(digested, made, before, config(raw), notes.append)

    (note,) = notes
    assert note.endswith("contents of 4 raw files (0.000 GB), because their times differ")


def test_a_copy_with_other_times_fits_where_it_lies(
    raw: Path, digested: Path, tmp_path: Path
) -> None:
    shutil.copytree(raw, tmp_path / "copy", copy_function=shutil.copyfile)
    touch(tmp_path / "copy")

    check_fits(digested, settings_of(config(raw)), sources(raw), config(tmp_path / "copy"))


def test_an_edit_that_keeps_the_size_is_found_among_touched_files(
    raw: Path, digested: Path
) -> None:
    made, before = settings_of(config(raw)), sources(raw)
    (raw / "l/a.tif").write_text("l/b.tif")
    touch(raw)

    for _ in range(2):  # nothing was noted by the first
        with pytest.raises(InputError, match=r"raw file l/a\.tif changed since it was made; prep"):
            check_fits(digested, made, before, config(raw))


def test_an_edit_after_the_times_were_noted_is_found(raw: Path, digested: Path) -> None:
    made, before = settings_of(config(raw)), sources(raw)
    touch(raw)
    check_fits(digested, made, before, config(raw))
    (raw / "l/a.tif").write_text("l/b.tif")

    with pytest.raises(InputError, match=r"raw file l/a\.tif changed since it was made; prepare"):
        check_fits(digested, made, before, config(raw))


def test_contents_are_not_read_where_another_file_differs_anyway(
    raw: Path, digested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, before = settings_of(config(raw)), sources(raw)
    touch(raw)
    (raw / "i/b.tif").write_text("longer than before")
    monkeypatch.setattr("vesuv.data.fingerprint.content_digest", None)

    with pytest.raises(InputError, match=r"raw file i/b\.tif changed since it was made; prepare"):
        check_fits(digested, made, before, config(raw))


def test_a_read_only_store_is_compared_at_each_start(
    raw: Path, digested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InputError("read-only file system")

    monkeypatch.setattr("vesuv.data.fingerprint.write_record", refuse)
    made, before, notes = settings_of(config(raw)), sources(raw), list[str]()
    touch(raw)

    for _ in range(2):
        check_fits(digested, made, before, config(raw), notes.append)

    assert len(notes) == 2


def test_a_touched_folder_of_chunks_is_compared_too(
    raw: Path, chunks: list[Path], tmp_path: Path
) -> None:
    made, before = settings_of(config(raw)), sources(raw)
    digests = {"i/z.zarr": content_digest(raw / "i/z.zarr")}
    write_record(tmp_path / "digests.json", DigestRecord(digests=digests))
    os.utime(chunks[0], ns=(6, 6))
    check_fits(tmp_path, made, before, config(raw))

    chunks[0].write_text("voxels X")
    with pytest.raises(InputError, match=r"raw file i/z\.zarr changed since it was made"):
        check_fits(tmp_path, made, before, config(raw))


def test_a_file_that_changes_while_it_is_read_has_no_digest(raw: Path) -> None:
    file = raw / "i/a.tif"

    assert unchanged_digest(file, stamp(file)) == content_digest(file)
    assert unchanged_digest(file, [7, 1]) is None
    assert unchanged_digest(raw / "none", [7, 1]) is None


def test_other_data_elsewhere_are_refused_by_both_roots(raw: Path, tmp_path: Path) -> None:
    shutil.copytree(raw, tmp_path / "other")
    (tmp_path / "other" / "i" / "a.tif").write_text("changed")

    with pytest.raises(InputError, match=r"data\.root .*raw, the configuration says .*other"):
        fits(raw, config(tmp_path / "other"))


def test_raw_data_that_are_gone_do_not_matter_where_they_were_named(raw: Path) -> None:
    made, before = settings_of(config(raw)), sources(raw)
    shutil.rmtree(raw)

    check_fits(Path("store"), made, before, config(raw))
    with pytest.raises(InputError, match=r"elsewhere is no folder"):
        check_fits(Path("store"), made, before, config(raw.with_name("elsewhere")))


def test_data_prepared_anew_elsewhere_are_the_same_data(raw: Path) -> None:
    made, other = settings_of(config(raw)), {**settings_of(config(raw)), "data.root": "/elsewhere"}
    digests = {name: content_digest(raw / name) for name in sources(raw)}
    here = contents_of(sources(raw), digests)
    touch(raw)
    there = contents_of(sources(raw), digests)

    assert fingerprint(made, here) == fingerprint(other, there)
    del digests["i/a.tif"]
    assert contents_of(sources(raw), digests) == sources(raw)
