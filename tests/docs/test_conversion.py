"""The conversions of docs/your_data.md, executed on files made here."""

from __future__ import annotations

import locale
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import SimpleITK

from tests.docs.pages import blocks
from vesuv.io.formats import read


def convert(word: str) -> None:
    (block,) = (one for one in blocks("your_data.md") if word in one.text and one.language)
    exec(compile(block.text, "your_data.md", "exec"), {})  # in the current folder, as a reader does


def test_volumes_of_hdf5_become_an_image_and_its_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    image = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    with h5py.File("cremi.h5", "w") as file:
        file["volumes/raw"], file["volumes/labels/membrane"] = image, image % 2
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()

    convert("h5py.File")

    volume, label = read(Path("images/cremi.nrrd")), read(Path("labels/cremi.nrrd"))
    assert np.array_equal(volume.array, image)
    assert np.array_equal(label.array, image % 2)
    assert volume.spacing == label.spacing == (40.0, 4.0, 4.0)


@pytest.fixture
def own_locale() -> Iterator[None]:
    """Undo what GDCM does: it leaves the process in the locale C, where text is ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.mark.usefixtures("own_locale")
def test_a_series_of_dicom_becomes_one_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "patient_1").mkdir()
    (tmp_path / "images").mkdir()
    image = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5) - 20
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for z, number in ((0, 3), (1, 1), (2, 2)):  # names of files are not in the order of slices
        plane = SimpleITK.GetImageFromArray(image[z])
        plane.SetSpacing((0.5, 0.75))
        tags = {
            "0008|0060": "CT",
            "0020|000d": "1.2.3",
            "0020|000e": "1.2.3.4",
            "0008|0018": f"1.2.3.4.{z}",
            "0020|0013": str(z),
            "0020|0032": f"0\\0\\{2.5 * z}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in tags.items():
            plane.SetMetaData(tag, value)
        writer.SetFileName(f"patient_1/{number}.dcm")
        writer.Execute(plane)

    convert("ImageSeriesReader")

    volume = read(Path("images/patient_1.nii.gz"))
    assert np.array_equal(volume.array, image)
    assert volume.spacing == pytest.approx((2.5, 0.75, 0.5))
