from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from vesuv.data.case_paths import CasePaths
from vesuv.errors import InputError
from vesuv.io import formats
from vesuv.io.lazy.volume import read_region
from vesuv.planning import case_survey
from vesuv.planning import survey as survey_module
from vesuv.planning.case_survey import spread
from vesuv.planning.survey import survey_cases


def write_case(root: Path, name: str, image: np.ndarray, label: np.ndarray) -> CasePaths:
    formats.write(root / f"{name}_image.npy", image)
    formats.write(root / f"{name}_label.npy", label)
    return CasePaths(name, (root / f"{name}_image.npy",), root / f"{name}_label.npy", None)


def test_shares_shape_and_thickness_are_those_of_the_volumes(tmp_path: Path) -> None:
    label = np.zeros((10, 20, 30), np.uint8)
    label[4:6] = 1  # a plate two voxels thick; it meets four faces of the volume
    label[:, :, 0] = 2
    image = np.arange(label.size, dtype=np.int16).reshape(label.shape) % 100 - 50
    larger = np.zeros((12, 20, 30), np.uint8)
    files = [
        write_case(tmp_path, "a", image, label),
        write_case(tmp_path, "b", np.zeros(larger.shape, np.int16), larger),
        write_case(tmp_path, "c", np.zeros(larger.shape, np.int16), larger),
    ]

    survey = survey_cases(files)

    total = 6000 + 2 * 7200
    assert (survey.num_cases, survey.num_read, survey.num_groups) == (3, 3, 0)
    assert survey.shape == (12, 20, 30)
    assert (survey.dtype, survey.itemsize, survey.num_channels) == ("int16", 2, 1)
    assert survey.values[1].share == pytest.approx(2 * 20 * 29 / total)
    assert survey.values[2].share == pytest.approx(10 * 20 / total)
    assert survey.values[1].case_share == pytest.approx(1 / 3)
    assert survey.values[1].beside == (0, 1, 2)
    assert survey.values[1].thickness == 2
    # the plate divides value 0 of a in two, that of c is one piece; b is not measured
    assert (survey.values[0].num_pieces, survey.values[1].num_pieces) == (1.5, 1)
    # faces of a case of 10x20x30 have 2 (600 + 300 + 200) voxels, of 12x20x30 2 (600 + 360 + 240);
    # value 2 lies on one whole face, on a column of 10 at both y faces and of 20 at both z faces
    faces = 2 * 1100 + 2 * 2 * 1200
    assert survey.values[2].border_share == pytest.approx((200 + 2 * 10 + 2 * 20) / faces)
    assert -50 <= survey.intensity_low <= -49
    assert survey.intensity_low_max == 0
    assert 48 <= survey.intensity_high <= 49


def test_groups_count_where_every_case_has_one(tmp_path: Path) -> None:
    label = np.eye(4, dtype=np.uint8)[None].repeat(4, axis=0)
    files = [write_case(tmp_path, name, label, label) for name in "abc"]
    grouped = [
        CasePaths(one.id, one.images, one.label, group)
        for one, group in zip(files, ("s", "s", "t"), strict=True)
    ]

    assert survey_cases(grouped).num_groups == 2
    assert survey_cases([files[0], *grouped[1:]]).num_groups == 0


def test_a_file_without_a_spacing_beside_others_keeps_all_from_being_resampled(
    tmp_path: Path,
) -> None:
    label = np.zeros((4, 4, 4), np.uint8)
    like = formats.Volume(label, (3.0, 2.0, 2.0), None, unit="µm")
    files = [write_case(tmp_path, name, label, label) for name in "ab"]
    formats.write(tmp_path / "c_image.tif", label, like)
    files.append(CasePaths("c", (tmp_path / "c_image.tif",), files[0].label, None))

    survey = survey_cases(files)

    assert (survey.spacing, survey.without_spacing) == ((3.0, 2.0, 2.0), "a_image.npy")
    assert survey_cases(files[:2]).without_spacing is None


def test_after_the_time_no_further_case_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey_module, "_MAX_SECONDS", 0.0)
    label = np.eye(4, dtype=np.uint8)[None].repeat(4, axis=0)
    files = [write_case(tmp_path, f"c{number}", label, label) for number in range(8)]
    progress: list[tuple[int, int]] = []

    survey = survey_cases(files, lambda done, total: progress.append((done, total)))

    assert (survey.num_cases, survey.num_read) == (8, 3)
    assert progress == [(1, 8), (2, 8), (3, 8)]


@pytest.mark.parametrize("ending", [".npy", ".tif", ".zarr"])
def test_a_case_that_is_read_in_parts_has_the_same_survey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    rng = np.random.default_rng(0)
    shape = (20, 50, 70)
    channels = () if ending == ".tif" else (2,)
    label = (rng.random(shape) < 0.1).astype(np.uint8)
    label[:, 45:] = 7
    formats.write(tmp_path / f"image{ending}", rng.normal(0, 9, (*channels, *shape)).astype("f4"))
    formats.write(tmp_path / f"label{ending}", label)
    images, num_reads = (tmp_path / f"image{ending}",), 0
    files = [CasePaths("a", images, tmp_path / f"label{ending}", None)]
    whole = survey_cases(files)

    def counted(*arguments: Any) -> Any:
        nonlocal num_reads
        num_reads += 1
        return read_region(*arguments)

    monkeypatch.setattr(case_survey, "read_region", counted)
    monkeypatch.setattr(case_survey, "PART_VOXELS", 2**14)
    monkeypatch.setattr("vesuv.data.part_grid.PART_VOXELS", 2**14)

    assert survey_cases(files) == whole
    assert num_reads > 3  # image, label and the middle of the label


def test_a_case_that_takes_too_long_is_read_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = np.eye(64, dtype=np.uint8)[None].repeat(64, axis=0)
    files = [write_case(tmp_path, "a", label, label)]
    monkeypatch.setattr(case_survey, "_MAX_SECONDS", 0.0)
    monkeypatch.setattr("vesuv.data.part_grid.PART_VOXELS", 2**16)

    survey = survey_cases(files)

    assert survey.read_share == 0.25  # one of the parts of 16 slices
    assert survey.values[1].share == 1 / 64


def test_the_cases_that_are_read_first_are_spread_over_all() -> None:
    assert spread(8) == [0, 4, 2, 6, 1, 5, 3, 7]
    assert sorted(spread(5)) == [0, 1, 2, 3, 4]
    assert spread(1) == [0]


def test_labels_of_instances_are_refused(tmp_path: Path) -> None:
    label = np.arange(64, dtype=np.int32).reshape(4, 4, 4)
    files = [write_case(tmp_path, "a", label, label)]

    with pytest.raises(
        InputError, match=r"a_label\.npy: .* at most 32 values, found 64, as of instances"
    ):
        survey_cases(files)


def test_float_labels_hold_whole_numbers(tmp_path: Path) -> None:
    label = np.eye(4, dtype=np.float32)[None].repeat(4, axis=0)
    whole = write_case(tmp_path, "a", label, label)
    broken = write_case(tmp_path, "b", label, label / 2)

    assert set(survey_cases([whole]).values) == {0, 1}
    with pytest.raises(
        InputError, match=r"b_label\.npy: a label holds whole numbers, found 0\.5; "
    ):
        survey_cases([broken])


def test_cases_of_different_channels_are_refused(tmp_path: Path) -> None:
    label = np.eye(4, dtype=np.uint8)[None].repeat(4, axis=0)
    files = [
        write_case(tmp_path, "a", np.stack([label] * 3), label),
        write_case(tmp_path, "b", label, label),
    ]

    with pytest.raises(InputError, match=r"case b: .* found 1 against 3 in case a; add or remove"):
        survey_cases(files)


def test_an_unreadable_case_is_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 5, 5), np.uint8), photometric="minisblack")
    (tmp_path / "b.tif").write_bytes(b"no image")

    with pytest.raises(InputError, match=r"b\.tif: cannot be read as TIFF"):
        survey_cases([CasePaths("a", (tmp_path / "a.tif",), tmp_path / "b.tif", None)])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_training_would_refuse_are_refused(tmp_path: Path, value: float) -> None:
    label = np.eye(4, dtype=np.uint8)[None].repeat(4, axis=0)
    image = label.astype(np.float32)
    image[1, 2, 3] = value

    with pytest.raises(InputError, match=r"a_image\.npy: .* found NaN or infinite in 1 of 64 vox"):
        survey_cases([write_case(tmp_path, "a", image, label)])
