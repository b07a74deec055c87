from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from vesuv.config import Config
from vesuv.config.data import FoldsConfig
from vesuv.data.builder import open_or_prepare_store, prepare
from vesuv.data.case_paths import CasePaths
from vesuv.data.content_digests import read_digests
from vesuv.data.store import Store
from vesuv.errors import InputError, InputErrors


def with_data(config: Config, **changes: Any) -> Config:
    return config.model_copy(update={"data": config.data.model_copy(update=changes)})


@pytest.fixture
def own_data(tiny_config: Config, tmp_path: Path) -> Config:
    """The tiny data set copied, so that a test may spoil it."""
    shutil.copytree(tiny_config.data.root, tmp_path / "raw")
    return with_data(tiny_config, root=str(tmp_path / "raw"))


def test_a_data_set_becomes_a_store_with_summary_and_folds(
    tiny_config: Config, tmp_path: Path
) -> None:
    store = prepare(tiny_config)

    assert list(store.cases) == ["c0", "c1", "c2", "c3"]
    assert store.cases["c1"].group == "1"
    assert store.dataset_statistics.foreground is not None
    assert json.loads((tmp_path / "store" / "summary.json").read_text()) == store.summary.content()
    assert (tmp_path / "store" / "folds.yaml").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_nothing_is_printed_progress_and_notes_are_called(
    own_data: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    steps: list[tuple[int, int]] = []
    notes: list[str] = []
    folds = prepare(own_data, progress=lambda *step: steps.append(step)).path / "folds.yaml"
    folds.write_text("folds: 5")

    prepare(own_data, overwrite=True, notes=notes.append)

    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    (note,) = notes
    assert note.startswith(f"{folds} is drawn again: ")
    assert capfd.readouterr() == ("", "")


def test_the_summary_holds_what_is_in_the_files(tiny_config: Config) -> None:
    root = Path(tiny_config.data.root)
    labels = np.stack([tifffile.imread(root / f"train_labels/c{i}.tif") for i in range(4)])

    summary = prepare(tiny_config).summary

    assert summary.values[1] == pytest.approx((labels == 1).mean())
    assert summary.foreground == pytest.approx((labels == 1).sum() / (labels != 2).sum())


def test_the_number_of_workers_changes_nothing(tiny_config: Config, tmp_path: Path) -> None:
    one = prepare(tiny_config, workers=1)
    four = prepare(with_data(tiny_config, store=str(tmp_path / "four")), workers=4)

    assert one.fingerprint == four.fingerprint
    assert one.summary == four.summary
    assert one.dataset_statistics == four.dataset_statistics


def test_an_up_to_date_store_is_reused(tiny_config: Config) -> None:
    made = (prepare(tiny_config).path / "store.json").stat().st_mtime_ns

    again = prepare(tiny_config)

    assert (again.path / "store.json").stat().st_mtime_ns == made


def test_a_store_fits_raw_files_that_were_only_touched(own_data: Config) -> None:
    made = prepare(own_data)
    raw = sorted(path for path in Path(own_data.data.root).rglob("*") if path.is_file())
    for file in raw:
        os.utime(file, ns=(5, 5))

    assert open_or_prepare_store(own_data) == made

    noted = read_digests(made.path)
    assert len(noted.digests) == len(noted.stamps) == len(raw) == 9  # 4 cases and train.csv
    assert prepare(own_data, overwrite=True).path == made.path  # digests.json is its own file


def test_data_that_are_prepared_anew_elsewhere_are_those_of_a_run(
    own_data: Config, tmp_path: Path
) -> None:
    made = prepare(own_data)
    shutil.copytree(own_data.data.root, tmp_path / "other", copy_function=shutil.copyfile)
    elsewhere = with_data(own_data, root=str(tmp_path / "other"), store=str(tmp_path / "anew"))

    anew = prepare(elsewhere)

    assert anew.sources != made.sources  # times
    assert anew.fingerprint == made.fingerprint
    with (tmp_path / "other/train.csv").open("a") as file:
        file.write("\n")
    assert prepare(elsewhere, overwrite=True).fingerprint != made.fingerprint


def test_a_former_store_keeps_its_fingerprint_when_it_is_made_again(own_data: Config) -> None:
    index = prepare(own_data).path / "store.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"fingerprint": "of its stamps"}))

    assert prepare(own_data, overwrite=True).fingerprint == "of its stamps"

    os.utime(Path(own_data.data.root) / "train.csv", ns=(5, 5))
    assert prepare(own_data, overwrite=True).fingerprint != "of its stamps"


def test_other_contents_of_the_same_size_and_time_are_other_data(own_data: Config) -> None:
    former = prepare(own_data).fingerprint
    image = Path(own_data.data.root) / "train_images/c0.tif"
    content, times = image.read_bytes(), (image.stat().st_atime_ns, image.stat().st_mtime_ns)
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(image, ns=times)

    assert prepare(own_data, overwrite=True).fingerprint != former


def test_a_store_of_a_former_version_has_no_digests_and_compares_times(own_data: Config) -> None:
    made = prepare(own_data)
    (made.path / "digests.json").unlink()
    os.utime(Path(own_data.data.root) / "train.csv", ns=(5, 5))

    with pytest.raises(InputError, match=r"raw file train\.csv changed since it was made; prepare"):
        open_or_prepare_store(own_data)


def test_the_parts_of_a_volume_share_its_digest(own_data: Config) -> None:
    made = prepare(with_data(own_data, parts=2))

    assert len(read_digests(made.path).digests) == 9


def test_folds_that_are_missing_are_drawn_for_an_up_to_date_store(tiny_config: Config) -> None:
    folds = prepare(tiny_config).path / "folds.yaml"
    text = folds.read_text()
    folds.unlink()  # as when the process was killed before it wrote them

    prepare(tiny_config)

    assert folds.read_text() == text


def test_another_patch_size_only_counts_again(tiny_config: Config) -> None:
    prepare(tiny_config)
    sampling = tiny_config.sampling.model_copy(update={"patch_size": (32, 32, 32)})

    store = prepare(tiny_config.model_copy(update={"sampling": sampling}))

    assert store.summary.patch_size == (32, 32, 32)
    assert Store.open(store.path).summary == store.summary


def test_open_prepared_makes_a_missing_store_and_opens_a_present_one(tiny_config: Config) -> None:
    made = open_or_prepare_store(tiny_config)
    written = (made.path / "store.json").stat().st_mtime_ns

    assert open_or_prepare_store(tiny_config) == made
    assert (made.path / "store.json").stat().st_mtime_ns == written


@pytest.mark.parametrize("entry", [prepare, open_or_prepare_store])
def test_a_store_of_other_settings_is_refused(tiny_config: Config, entry: Any) -> None:
    prepare(tiny_config)

    with pytest.raises(InputErrors, match=r"data\.spacing null, the configuration says \[2"):
        entry(with_data(tiny_config, spacing=(2.0, 2.0, 2.0)))


def test_overwrite_makes_the_store_anew_and_keeps_edited_folds(own_data: Config) -> None:
    folds = prepare(own_data).path / "folds.yaml"
    head = folds.read_text().split("folds:\n")[0]
    folds.write_text(head + "folds:\n- [c3]\n- [c0, c1, c2]\n")
    other = with_data(own_data, spacing=(2.0, 2.0, 2.0))

    store = prepare(other, overwrite=True)

    assert store.cases["c0"].shape == (16, 16, 16)
    assert "[c3]" in folds.read_text()


def test_folds_that_no_longer_fit_are_drawn_again(own_data: Config) -> None:
    notes: list[str] = []
    store = prepare(own_data)
    train_csv = Path(own_data.data.root) / "train.csv"
    train_csv.write_text("id,scroll_id\nc0,1\nc1,1\n")

    prepare(own_data, overwrite=True, notes=notes.append)

    assert "c3" not in (store.path / "folds.yaml").read_text()
    assert "folds.yaml is drawn again: " in notes[0]


def test_all_bad_cases_are_listed_and_no_store_is_left(own_data: Config, tmp_path: Path) -> None:
    root = Path(own_data.data.root)
    images, labels = root / "train_images", root / "train_labels"
    (images / "c0.tif").write_bytes((images / "c0.tif").read_bytes()[:900])
    tifffile.imwrite(labels / "c1.tif", np.zeros((9, 32, 32), np.uint8))
    tifffile.imwrite(images / "c2.tif", np.full((32, 32, 32), np.nan, np.float32))
    tifffile.imwrite(labels / "c3.tif", np.full((32, 32, 32), 7, np.uint8))
    shutil.copy(images / "c3.tif", images / "c4.tif")
    shutil.copy(images / "c3.tif", images / "c5.tif")
    tifffile.imwrite(labels / "c5.tif", np.zeros((32, 32), np.uint8))
    with (root / "train.csv").open("a") as file:
        file.write("c4,1\nc5,1\n")

    with pytest.raises(InputErrors) as caught:
        prepare(own_data)

    sentences = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 6
    assert "c0.tif: the TIFF is truncated" in sentences
    assert "c1.tif: image and label of a case have one shape" in sentences
    assert "c2.tif: an image holds finite values" in sentences
    assert "c3.tif: label value 7 (100.00% of the voxels) is not declared" in sentences
    assert "case c4 has no file in train_labels" in sentences
    assert "c5.tif: image and label of a case have one shape, found label (1, 32, 32)" in sentences
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_a_failed_overwrite_keeps_the_old_store(own_data: Config) -> None:
    before = prepare(own_data)
    (Path(own_data.data.root) / "train_images" / "c0.tif").write_bytes(b"")

    with pytest.raises(InputErrors, match=r"c0\.tif: the file is empty"):
        prepare(own_data, overwrite=True)

    assert Store.open(before.path) == before


def test_a_case_with_more_channels_than_most_is_named(own_data: Config) -> None:
    image = np.zeros((2, 32, 32, 32), np.uint8)
    path = Path(own_data.data.root) / "train_images" / "c1.tif"
    tifffile.imwrite(path, image, metadata={"axes": "CZYX"}, photometric="minisblack")

    with pytest.raises(InputErrors, match=r"case c1: .* found 2 against 1 in most"):
        prepare(own_data)


def _sizes(unit: str | None) -> dict[str, Any]:
    """OME metadata of cubic voxels."""
    return {
        name: value
        for axis in "XYZ"
        for name, value in ((f"PhysicalSize{axis}", 0.5), (f"PhysicalSize{axis}Unit", unit))
    }


def test_a_case_in_another_unit_than_most_is_named_and_one_without_unit_is_not(
    own_data: Config,
) -> None:
    images = Path(own_data.data.root) / "train_images"
    for number, unit in enumerate((None, "mm", "µm", "mm")):
        image = tifffile.imread(images / f"c{number}.tif")
        metadata = {"axes": "ZYX", **_sizes(unit)}
        ome = unit is not None
        tifffile.imwrite(images / f"c{number}.tif", image, ome=ome, metadata=metadata)

    with pytest.raises(InputErrors) as caught:
        prepare(own_data)

    assert caught.value.faults == [
        "case c2: the spacings of a data set have one unit, found µm against mm in most; write the "
        "file's header in mm"
    ]


def test_units_are_stored(own_data: Config) -> None:
    path = Path(own_data.data.root) / "train_images" / "c1.tif"
    metadata = {"axes": "ZYX", **_sizes("mm")}
    tifffile.imwrite(path, tifffile.imread(path), ome=True, metadata=metadata)

    store = prepare(own_data)

    assert (store.cases["c0"].unit, store.cases["c1"].unit) == (None, "mm")
    assert Store.open(store.path).cases["c1"].unit == "mm"


def test_dataset_json_is_compared_before_any_volume_is_read(
    tiny_config: Config, tmp_path: Path
) -> None:
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0}}')
    config = with_data(tiny_config, root=str(tmp_path), layout="nnunet")

    with pytest.raises(InputError, match=r"dataset\.json: its labels"):
        prepare(config)


def test_a_folder_with_other_files_is_never_replaced(tiny_config: Config, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    (tmp_path / "note").touch()

    with pytest.raises(InputError, match=r"thesis: holds files but no prepared store"):
        prepare(with_data(tiny_config, store=str(tmp_path / "thesis")), overwrite=True)
    with pytest.raises(InputError, match=r"note: is a file"):
        prepare(with_data(tiny_config, store=str(tmp_path / "note")))


def test_a_store_that_cannot_be_written_is_named(tiny_config: Config, tmp_path: Path) -> None:
    (tmp_path / "note").touch()

    with pytest.raises(InputError, match=r"cannot be written \((File exists|Not a directory)\)"):
        prepare(with_data(tiny_config, store=str(tmp_path / "note" / "store")))


def test_a_full_disk_ends_at_once_and_leaves_nothing(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(files: CasePaths, config: Config, folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vesuv.data.case_builder.prepare_case", full)

    with pytest.raises(InputError, match=r"store: cannot be written \(No space left on device\)"):
        prepare(tiny_config, workers=1)

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_prepare_left_is_cleared_away(tiny_config: Config, tmp_path: Path) -> None:
    dead = tmp_path / ".store.vesuv-999999999.partial"
    dead.mkdir()

    prepare(tiny_config)

    assert not dead.exists()


# A container numbers its processes from 1, so that the next one may have the killed one's number.
@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("has_empty_folder", [False, True])
def test_a_store_that_a_killed_process_had_moved_aside_returns(
    tiny_config: Config, tmp_path: Path, runs: bool, has_empty_folder: bool
) -> None:
    made = prepare(tiny_config)
    pid = os.getpid() if runs else 999_999_999
    made.path.rename(tmp_path / f".store.vesuv-{pid}-old.partial")
    (tmp_path / ".store.vesuv-999999999.partial").mkdir()
    if has_empty_folder:
        made.path.mkdir()

    assert prepare(tiny_config) == made
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_former_store_is_kept_where_other_files_took_its_place(
    tiny_config: Config, tmp_path: Path
) -> None:
    made = prepare(tiny_config)
    aside = tmp_path / ".store.vesuv-999999999-old.partial"
    made.path.rename(aside)
    made.path.mkdir()
    (made.path / "thesis.txt").touch()

    with pytest.raises(InputError, match="store: holds files but no prepared store"):
        prepare(tiny_config, overwrite=True)

    assert (aside / "store.json").is_file()


@pytest.mark.parametrize("place", ["store", "store/raw"])
def test_a_store_never_takes_the_place_of_the_raw_data(
    tiny_config: Config, tiny_data: Path, tmp_path: Path, place: str
) -> None:
    made = prepare(tiny_config)
    root = tmp_path / place
    shutil.copytree(tiny_data, root, dirs_exist_ok=True)
    (tmp_path / "link").symlink_to(tmp_path / "store")
    raw_files = sorted(root.glob("train_*/*"))

    for store in (made.path, tmp_path / "link", tmp_path / "x/../store"):
        config = with_data(tiny_config, root=str(root), store=str(store))
        with pytest.raises(InputError, match=r"data\.store: \S+ must not hold the raw data, found"):
            prepare(config, overwrite=True)
    assert sorted(root.glob("train_*/*")) == raw_files


@pytest.mark.parametrize("name", ["train_images", "train_labels/c0.zarr"])
def test_a_store_never_lies_among_the_raw_volumes(
    tiny_config: Config, tiny_data: Path, name: str
) -> None:
    config = with_data(tiny_config, store=str(tiny_data / name))

    with pytest.raises(InputError, match="must not lie among the raw volumes"):
        prepare(config)


def test_a_store_beside_the_raw_volumes_is_made(
    tiny_config: Config, tiny_data: Path, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    shutil.copytree(tiny_data, root)

    prepare(with_data(tiny_config, root=str(root), store=str(root / "store")))

    assert (root / "store/store.json").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "notes.md",
        "cases/mine/a.txt",
        "cases/c0.zarr/notes.partial.md",
        "cases/c0.zarr/image/c/0/0/0/1",
        "cases/c0.zarr/image/old.zarr.json",
    ],
)
def test_a_store_with_files_of_the_user_is_not_replaced(tiny_config: Config, name: str) -> None:
    file = prepare(tiny_config).path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")

    with pytest.raises(InputError, match=rf"{re.escape(name)}: was not written by vesuv prepare"):
        prepare(tiny_config, overwrite=True)

    assert file.read_text() == "mine"


def test_a_store_with_a_link_in_it_is_not_replaced(tiny_config: Config, tmp_path: Path) -> None:
    store = prepare(tiny_config)
    (tmp_path / "elsewhere").mkdir()
    (store.path / "cases/c9.zarr").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InputError, match=r"c9\.zarr: was not written by vesuv prepare"):
        prepare(tiny_config, overwrite=True)


def test_a_linked_store_is_replaced_where_it_lies(tiny_config: Config, tmp_path: Path) -> None:
    store = prepare(tiny_config).path
    store.rename(tmp_path / "disk")
    store.symlink_to(tmp_path / "disk")
    before = (tmp_path / "disk/store.json").stat().st_ino

    prepare(tiny_config, overwrite=True)

    assert store.is_symlink()
    assert (tmp_path / "disk/store.json").stat().st_ino != before


def test_folds_that_no_longer_fit_are_kept_beside_the_new_ones(
    tiny_config: Config, tmp_path: Path
) -> None:
    file = prepare(tiny_config).path / "folds.yaml"
    edited = "# mine\n" + file.read_text()
    file.write_text(edited)
    notes: list[str] = []

    prepare(with_data(tiny_config, folds=FoldsConfig(num=4)), overwrite=True, notes=notes.append)

    assert (file.parent / "folds.former.yaml").read_text() == edited
    assert notes[0].endswith("; it is kept as folds.former.yaml")


@pytest.mark.parametrize("name", ["*", "[a]", "a?"])
def test_a_store_may_have_any_name(tiny_config: Config, tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis").touch()
    config = with_data(tiny_config, store=str(tmp_path / name))

    made = prepare(config)
    assert prepare(config, overwrite=True) == made

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "a"])
    assert (tmp_path / "a" / "thesis").exists()


def test_a_store_that_is_read_only_is_opened_without_a_lock(
    tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = prepare(tiny_config)
    monkeypatch.setattr("vesuv.data.builder.hold_lock", None)

    assert prepare(tiny_config) == made
