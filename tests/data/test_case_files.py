from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from vesuv.config import Config, check
from vesuv.data.case_builder import prepare_case
from vesuv.data.case_files import read_case
from vesuv.data.case_paths import CasePaths
from vesuv.data.labels import IGNORE
from vesuv.data.store import StoredCase, case_path, open_case
from vesuv.errors import InputError
from vesuv.io.formats import write

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 200, (6, 7, 8)).astype(np.uint8)
LABEL = (IMAGE > 150).astype(np.uint8)
LABEL[0] = 2


def config(spacing: list[float] | None = None) -> Config:
    return check(
        {
            "name": "a",
            "data": {"root": "none", "spacing": spacing},
            "labels": {"classes": {"background": 0, "surface": 1}, "ignore": 2},
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
        },
        "here",
    )


def raw(folder: Path, label: Any = LABEL, *images: Any, ending: str = ".tif") -> CasePaths:
    paths = tuple(folder / f"image{i}{ending}" for i in range(len(images)))
    for path, image in zip(paths, images, strict=True):
        write(path, image)
    write(folder / f"label{ending}", label)
    return CasePaths("a", paths, folder / f"label{ending}", "s1")


def prepared(folder: Path, case: CasePaths, spacing: list[float] | None = None) -> StoredCase:
    prepare_case(case, config(spacing), folder)
    return open_case(case_path(folder, "a"))


def test_image_and_encoded_label_are_stored_as_they_came(tmp_path: Path) -> None:
    case = prepared(tmp_path, raw(tmp_path, LABEL, IMAGE))

    assert np.array_equal(case.image, IMAGE[None])
    assert case.image.dtype == np.uint8
    assert np.array_equal(case.label == IGNORE, LABEL == 2)
    assert np.array_equal(case.label == 1, LABEL == 1)
    assert (case.id, case.group, case.spacing) == ("a", "s1", (1.0, 1.0, 1.0))
    assert sum(case.values.values()) == IMAGE.size
    assert case.statistics.mean == pytest.approx((IMAGE.mean(),))


def test_channel_files_are_stacked_in_order(tmp_path: Path) -> None:
    case = prepared(tmp_path, raw(tmp_path, LABEL, IMAGE, 255 - IMAGE))

    assert np.array_equal(case.image, np.stack([IMAGE, 255 - IMAGE]))


def test_a_case_is_resampled_to_the_wanted_spacing(tmp_path: Path) -> None:
    case = prepared(tmp_path, raw(tmp_path, LABEL, IMAGE), [2.0, 0.5, 1.0])

    assert case.shape == (3, 14, 8)
    assert case.spacing == (2.0, 0.5, 1.0)
    assert case.block_counts[-1].sum() == (case.label != IGNORE).sum()


def test_a_double_too_large_for_the_store_is_refused_not_made_infinite(tmp_path: Path) -> None:
    case = raw(tmp_path, LABEL, np.where(IMAGE > 100, 1e300, 0.0), ending=".npy")

    with pytest.raises(InputError, match=r"image0\.npy: an image holds finite values"):
        prepared(tmp_path, case)


def test_an_unequal_shape_names_both_files(tmp_path: Path) -> None:
    case = raw(tmp_path, LABEL[:5], IMAGE)

    with pytest.raises(
        InputError,
        match=r"label\.tif: .*found label \(5, 7, 8\) and image \(6, 7, 8\) \(.*image0\.tif\)",
    ):
        prepared(tmp_path, case)


def test_channels_of_unequal_shape_are_refused(tmp_path: Path) -> None:
    case = raw(tmp_path, LABEL, IMAGE, IMAGE[:3])

    with pytest.raises(InputError, match=r"image1\.tif: channels of a case have one shape"):
        prepared(tmp_path, case)


def test_a_label_fault_names_the_label(tmp_path: Path) -> None:
    case = raw(tmp_path, np.where(LABEL == 1, 9, 0).astype(np.uint8), IMAGE)

    with pytest.raises(InputError, match=r"label\.tif: label value 9 \(.*of the voxels\)"):
        prepared(tmp_path, case)


def test_a_case_without_label_cannot_be_trained_on() -> None:
    with pytest.raises(InputError, match=r"case a: has no label"):
        read_case(CasePaths("a", (Path("x.tif"),), None, None))


def test_a_label_of_several_channels_is_refused(tmp_path: Path) -> None:
    case = raw(tmp_path, np.stack([LABEL, LABEL]), IMAGE, ending=".npy")

    with pytest.raises(InputError, match=r"label\.npy: a label has one channel, found 2"):
        read_case(case)


def test_a_label_with_a_single_channel_axis_is_a_label(tmp_path: Path) -> None:
    case = read_case(raw(tmp_path, LABEL[None], IMAGE, ending=".npy"))

    assert np.array_equal(case.label, LABEL)


def nifti(folder: Path, affine: np.ndarray) -> CasePaths:
    image = nibabel.Nifti1Image(IMAGE.T, np.diag([1, 1, 2, 1]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, folder / "i.nii")
    nibabel.save(nibabel.Nifti1Image(LABEL.T, affine), folder / "l.nii")
    return CasePaths("a", (folder / "i.nii",), folder / "l.nii", None)


def test_a_label_with_another_spacing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"l\.nii: image and label of a case have one spacing"):
        prepared(tmp_path, nifti(tmp_path, np.eye(4)))


def test_a_label_with_a_flipped_axis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"l\.nii: image and label of a case have one orientation"):
        prepared(tmp_path, nifti(tmp_path, np.diag([-1, 1, 2, 1])))


def test_a_label_whose_header_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[:3, 3] = [0.0, 0.0, 1.2]

    with pytest.raises(InputError, match=r"l\.nii: image and label of a case have one origin"):
        prepared(tmp_path, nifti(tmp_path, affine))


def test_a_channel_whose_header_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    case = nifti(tmp_path, np.diag([1, 1, 2, 1]))
    nibabel.save(nibabel.Nifti1Image(IMAGE.T, np.diag([1, 1, 4, 1])), tmp_path / "j.nii")

    with pytest.raises(InputError, match=r"j\.nii: channels of a case have one spacing"):
        read_case(CasePaths("a", (case.images[0], tmp_path / "j.nii"), case.label, None))


def test_spacing_and_unit_are_those_of_the_image(tmp_path: Path) -> None:
    case = read_case(nifti(tmp_path, np.diag([1, 1, 2, 1])))

    assert (case.spacing, case.unit) == ((2.0, 1.0, 1.0), "µm")


def test_rounding_in_a_header_is_let_pass(tmp_path: Path) -> None:
    assert prepared(tmp_path, nifti(tmp_path, np.diag([1, 1, 2.0001, 1]))).shape == (6, 7, 8)
