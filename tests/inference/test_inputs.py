from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.known_runs import MakeRun
from vesuv.errors import InputError
from vesuv.inference.inputs import InputVolume, find_inputs, left_out_note
from vesuv.inference.members import open_members
from vesuv.inference.training_cases import level_note, training_case_note


def _write(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        np.save(path, np.zeros((4, 5, 6), dtype=np.uint8))
    return paths


def test_a_folder_gives_its_volumes_by_name(tmp_path: Path) -> None:
    b, a = _write(tmp_path, "b.npy", "a.npy")
    (tmp_path / "notes.txt").write_text("")

    assert find_inputs(tmp_path) == [
        InputVolume("a", (a,)),
        InputVolume("b", (b,)),
    ]


def test_a_single_file_is_one_volume(tmp_path: Path) -> None:
    (path,) = _write(tmp_path, "a.npy")

    (volume,) = find_inputs(path)

    assert (volume.id, volume.output_name) == ("a", "a.npy")


def test_channel_files_of_one_case_are_gathered_in_order(tmp_path: Path) -> None:
    second, first, other = _write(tmp_path, "c_0001.npy", "c_0000.npy", "d_0000.npy")

    volumes = find_inputs(tmp_path, num_channels=2)

    assert volumes == [InputVolume("c", (first, second)), InputVolume("d_0000", (other,))]
    assert volumes[0].output_name == "c.npy"


@pytest.mark.parametrize("numbers", [(0, 2), (1, 2), (0, 1, 2), (7,)])
def test_numbered_volumes_are_no_channels_of_one(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    names = [f"scan_{number:04d}" for number in numbers]
    _write(tmp_path, *(f"{name}.npy" for name in names))

    volumes = find_inputs(tmp_path, num_channels=2)

    assert [volume.id for volume in volumes] == names


def test_nothing_to_predict_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent: no such file or folder; check --input"):
        find_inputs(tmp_path / "absent")
    with pytest.raises(InputError, match=r"holds no volume in a known format"):
        find_inputs(tmp_path)
    (tmp_path / "a.dcm").touch()
    with pytest.raises(InputError, match=r"1 file of unknown formats left out, first a\.dcm; conv"):
        find_inputs(tmp_path)


def test_a_file_of_an_unknown_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scan.foo").write_bytes(b"0")

    with pytest.raises(InputError, match=r"scan\.foo: files end in one of .*, found '\.foo'"):
        find_inputs(tmp_path / "scan.foo")


def test_two_volumes_of_one_name_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, "a.npy")
    (tmp_path / "a.tif").write_bytes(b"")

    with pytest.raises(InputError, match=r"a\.npy has the same name|a\.tif has the same name"):
        find_inputs(tmp_path)


def test_labels_beside_their_images_are_not_predicted(tmp_path: Path) -> None:
    for name in ("a_image.nii", "a_label.nii", "b_image.nii", "b_label.nii", "c_label.nii"):
        (tmp_path / name).touch()

    volumes = find_inputs(tmp_path)

    # c_label has no image beside it, so it may be anything
    assert [volume.id for volume in volumes] == ["a_image", "b_image", "c_label"]


def test_the_image_in_the_folder_of_a_case_has_its_name(tmp_path: Path) -> None:
    for name in ("b/imaging.nii", "b/segmentation.nii", "a/a_image.nii", "c/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert find_inputs(tmp_path) == [
        InputVolume("a", (tmp_path / "a/a_image.nii",)),
        InputVolume("b", (tmp_path / "b/imaging.nii",)),
    ]
    (tmp_path / "a/other.nii").touch()
    with pytest.raises(InputError, match=r"a: holds 2 images, the folder of a case one; name this"):
        find_inputs(tmp_path)


@pytest.mark.parametrize("layout", [{"layout": "nnunet"}, {"layout": "pairs", "images": "0000"}])
def test_an_image_has_the_name_of_its_case(make_run: MakeRun, layout: dict[str, str]) -> None:
    run = make_run("r", facts={"train_cases": ["x"]}, data=layout | {"root": "."})
    volumes = [InputVolume(name, ()) for name in ("x_0000", "y_0000")]

    note = training_case_note(open_members([run.path]), volumes)

    assert note is not None and note.startswith("1 volume has the name of a training case (x_0000)")


def test_another_level_than_in_training_is_named(make_run: MakeRun) -> None:
    coarse, fine, flat = (
        open_members([make_run(name, data=data | {"root": "."}).path])
        for name, data in (
            ("c", {"layout": "ome_zarr", "level": 1}),
            ("f", {"layout": "ome_zarr"}),
            ("t", {"layout": "kaggle"}),
        )
    )
    files = [Path("a.tif"), "https://a/b.zarr"]

    assert level_note(coarse, 0, files) == (
        "level 0 of OME-Zarr is predicted, and data.level of the training cases is 1: --level "
        "chooses another one"
    )
    assert level_note([*coarse, *fine], 1, files) is not None
    assert level_note(coarse, 1, files) is None
    assert level_note(fine, 1, files) is not None
    assert level_note(flat, 1, files) is None  # its files had no levels
    assert level_note(coarse, 0, files[:1]) is None


def test_files_of_unknown_formats_are_named(tmp_path: Path) -> None:
    _write(tmp_path, "a.npy")
    for name in ("train.csv", "notes.TXT", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert left_out_note(tmp_path) is None
    assert left_out_note(tmp_path / "a.npy") is None

    for name in ("c.mhd", "b.dcm", "IM0001"):
        (tmp_path / name).touch()

    expected = "3 files of unknown formats left out, first IM0001; convert volumes among them"
    assert left_out_note(tmp_path) == f"{tmp_path}: {expected}"
