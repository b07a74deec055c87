"""Inputs that differ from the training cases are named with numbers, and others are not."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

import vesuv
from tests.inference.conftest import predict_files
from vesuv.config import check
from vesuv.data.case import Case
from vesuv.data.phantom import phantom_volume
from vesuv.data.preparation import prepare_in_memory
from vesuv.data.statistics import CaseStatistics, case_statistics
from vesuv.inference.domain_shift import (
    DomainCheck,
    DomainShift,
    InputGrid,
    shift_lines,
)
from vesuv.inference.training_images import orientation, training_images
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import IntensityRange, SpacingRange, TrainingImages
from vesuv.transforms.normalize import Normalizer

ZSCORE = Normalizer(name="zscore")
RANGE = Normalizer(name="range", low=(0.0,), high=(100.0,), shift=(50.0,), scale=(50.0,))
LPS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
THREE_MM = SpacingRange(low=(2.0, 3.0, 3.0), median=(3.0, 3.0, 3.0), high=(4.0, 3.0, 3.0))
UINT8 = np.dtype(np.uint8)
USUAL = CaseStatistics((50.0,), (25.0,), (0.0,), (100.0,), None, (0.0,), (100.0,))
"""Within all ranges that tests give."""
FACTS = {
    "spacing": {"low": [3, 3, 3], "median": [3, 3, 3], "high": [3, 3, 3]},
    "unit": "mm",
    "orientations": ["SPL"],
    "channels": [{"normalised": [-2, 2], "width": [200, 255], "minimum": [0, 5]}],
}


def _shifts(
    training: TrainingImages,
    grid: InputGrid,
    image: CaseStatistics = USUAL,
    *,
    target: tuple[float, float, float] | None = None,
    normalizer: Normalizer = ZSCORE,
    dtype: np.dtype[np.generic] = UINT8,
) -> list[DomainShift]:
    return DomainCheck(training, normalizer, target).shifts(grid, image, dtype)


def _image(low: float, high: float, mean: float = 50.0, std: float = 25.0) -> CaseStatistics:
    return CaseStatistics((mean,), (std,), (low,), (high,), None, (low,), (high,))


def _cases(images: list[np.ndarray], **grid: object) -> list:
    tree = {
        "name": "made",
        "data": {"root": "nowhere"},
        "labels": {"classes": {"background": 0, "sheet": 1}, "ignore": 2},
        "model": {"name": "plain_unet", "filters": 2, "depth": 1},
        "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
    }
    label = np.zeros(images[0].shape[-3:], np.uint8)
    cases = [Case(f"c{n}", image, label, **grid) for n, image in enumerate(images)]
    return prepare_in_memory(cases, check(tree, "made"))


def test_percentiles_leave_half_a_percent_out_at_each_end() -> None:
    image = np.random.default_rng(0).permutation(np.arange(1001.0)).reshape(1, 7, 11, 13)

    measured = case_statistics(image.astype(np.float32), None)

    assert measured.low == pytest.approx((5.0,))
    assert measured.high == pytest.approx((995.0,))


def test_percentiles_of_a_large_image_come_from_all_its_columns() -> None:
    image = np.broadcast_to(np.arange(100, dtype=np.uint8), (1, 100, 100, 100))

    measured = case_statistics(image, None)

    assert measured.low == pytest.approx((0.0,), abs=1.0)
    assert measured.high == pytest.approx((99.0,), abs=1.0)


def test_the_training_cases_are_recorded() -> None:
    images = [np.full((4, 5, 6), 7, np.int16), np.full((4, 5, 6), -3, np.int16)]
    images[0][0], images[1][0] = 57, 17  # a quarter: percentiles are 7 to 57 and -3 to 17
    cases = _cases(images, spacing=(2.0, 1.0, 1.0), unit="mm", direction=LPS)

    training = training_images(cases, RANGE)

    low = median = high = (2.0, 1.0, 1.0)
    assert training == TrainingImages(
        spacing=SpacingRange(low=low, median=median, high=high),
        unit="mm",
        orientations=("SPL",),
        channels=(
            IntensityRange(normalised=(-1.06, 0.14), width=(20.0, 50.0), minimum=(-3.0, 7.0)),
        ),
    )
    assert TrainingImages.model_validate(json.loads(training.model_dump_json())) == training


def test_nothing_is_recorded_that_no_file_states() -> None:
    training = training_images(_cases([np.arange(64, dtype=np.uint8).reshape(4, 4, 4)]), ZSCORE)

    assert (training.spacing, training.unit, training.orientations) == (None, None, ())
    assert _shifts(training, InputGrid((9.0, 1.0, 1.0), "mm", LPS)) == []


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        (LPS, "SPL"),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), "IAL"),
        ((0, 0, -0.9, 0, 0.8, 0.6, 1, 0.1, 0), "RPS"),
    ],
)
def test_axes_are_named_by_their_direction(direction: tuple[float, ...], letters: str) -> None:
    assert orientation(direction) == letters


@pytest.mark.parametrize("spacing", [(1.4, 3.0, 2.1), (5.9, 4.4, 2.1), (3.0, 3.0, 3.0)])
def test_a_spacing_near_those_of_training_is_usual(spacing: tuple[float, float, float]) -> None:
    assert _shifts(TrainingImages(spacing=THREE_MM, unit="mm"), InputGrid(spacing, "mm")) == []


def test_a_spacing_is_named_with_its_ratio_and_its_use() -> None:
    training = TrainingImages(spacing=THREE_MM, unit="mm")
    grid = InputGrid((6.5, 0.75, 3.0), "mm")

    (as_is,) = _shifts(training, grid)
    (resampled,) = _shifts(training, grid, target=(3.0, 3.0, 3.0))

    start = (
        "spacing 6.5 x 0.75 x 3 mm is 2.2, 0.25, 1 times that of training along z, y, x (median "
        "3 x 3 x 3 mm); "
    )
    assert as_is == DomainShift(
        "spacing", f"{start}used as it is, because data.spacing is not set", 4.0
    )
    assert resampled.message == f"{start}resampled to data.spacing 3 x 3 x 3 mm"


@pytest.mark.parametrize(
    ("unit", "grid", "message"),
    [
        (
            "mm",
            InputGrid((3000.0, 3000.0, 3000.0), "µm"),
            "spacing in µm, in training in mm; converted to 3 x 3 x 3 mm",
        ),
        (
            "mm",
            InputGrid((3.0, 3.0, 2.9)),
            "spacing 3 x 3 x 2.9 without a unit, in training in mm; taken as mm",
        ),
        (
            None,
            InputGrid((3.0, 3.0, 3.0), "µm"),
            "spacing in µm, in training without a unit; its numbers 3 x 3 x 3 are compared as they "
            "are",
        ),
    ],
)
def test_a_unit_that_differs_or_is_not_known_is_named(
    unit: str | None, grid: InputGrid, message: str
) -> None:
    shifts = _shifts(TrainingImages(spacing=THREE_MM, unit=unit), grid)

    assert [(one.kind, one.message) for one in shifts] == [("unit", message)]


def test_large_lengths_are_whole_numbers() -> None:
    training = TrainingImages(spacing=THREE_MM, unit="µm")

    unit, spacing = _shifts(training, InputGrid((3.0, 1.5, 0.045), "mm"))

    assert unit.message.endswith("converted to 3000 x 1500 x 45 µm")
    assert spacing.message.startswith("spacing 3000 x 1500 x 45 µm is 1000, 500, 15 times that of")


def test_a_file_without_header_matters_only_where_it_is_resampled() -> None:
    training, grid = TrainingImages(spacing=THREE_MM, unit="mm"), InputGrid((1.0, 1.0, 1.0))

    assert _shifts(training, grid) == []
    kinds = [one.kind for one in _shifts(training, grid, target=(3.0, 3.0, 3.0))]
    assert kinds == ["unit", "spacing"]


def test_axes_that_point_elsewhere_are_named() -> None:
    training = TrainingImages(orientations=("SAR", "SPL"))
    grid = InputGrid((1.0, 1.0, 1.0), None, (0, 1, 0, 0, 0, -1, 1, 0, 0))

    (shift,) = _shifts(training, grid)

    assert shift == DomainShift(
        "orientation",
        "axes z, y, x point to P, R, S, in training to S, A, R or S, P, L; used as they are: "
        "reorient the file as in training",
    )
    for usual in (LPS, (1, 0, 0, 0, -1, 0, 0, 0, -1), None):
        assert _shifts(training, InputGrid((1.0, 1.0, 1.0), None, usual)) == []


@pytest.mark.parametrize(
    ("image", "normalizer", "dtype", "message"),
    [
        # normalised range -2 to 2, so that half of it, 2, may be added at each end
        (_image(-45.0, 145.0), ZSCORE, "int16", None),
        (
            _image(0.0, 155.0),
            ZSCORE,
            "uint8",
            "intensities 0 to 155, -2 to 4.2 after normalisation, in training -2 to 2; check "
            "modality and empty margins",
        ),
        (_image(0.0, 249.0), RANGE, "uint8", None),
        (
            _image(0.0, 255.0),
            RANGE,
            "uint8",
            "intensities 0 to 255, -1 to 4.1 after normalisation, in training -2 to 2; check "
            "modality and empty margins",
        ),
        (
            _image(0.0, 1.0, 0.5, 0.25),
            ZSCORE,
            "float32",
            "intensities 0 to 1 span 1, in training cases 50 to 100; check modality and number "
            "range",
        ),
        (
            _image(0.0, 401.0, 200.0, 100.0),
            ZSCORE,
            "uint16",
            "intensities 0 to 401 span 401, in training cases 50 to 100; check modality and number "
            "range",
        ),
        (_image(0.0, 399.0, 200.0, 100.0), ZSCORE, "uint16", None),
        (
            _image(7.0, 7.0, 7.0, 0.0),
            ZSCORE,
            "uint8",
            "constant image: 99 % of its voxels or more have the value 7",
        ),
        # float32 has steps of 8 from 2**26 to 2**27
        (
            _image(1e8, 1e8 + 80.0, 1e8 + 40.0, 20.0),
            ZSCORE,
            "int32",
            "intensities 100000000 to 100000080 are 10 float32 numbers, in which networks compute; "
            "subtract a constant from the file",
        ),
    ],
)
def test_intensities_outside_training_are_named(
    image: CaseStatistics, normalizer: Normalizer, dtype: str, message: str | None
) -> None:
    usual = IntensityRange(normalised=(-2.0, 2.0), width=(50.0, 100.0), minimum=(-9.0, 9.0))

    shifts = _shifts(
        TrainingImages(channels=(usual,)),
        InputGrid((1.0, 1.0, 1.0)),
        image,
        normalizer=normalizer,
        dtype=np.dtype(dtype),
    )

    assert [(one.kind, one.message) for one in shifts] == (
        [("intensity", message)] if message else []
    )


@pytest.mark.parametrize(
    ("minimum", "low", "dtype", "message"),
    [
        ((-9.0, -2.0), 10.0, "uint16", "10 to 90 without negative values (uint16), which every"),
        ((-9.0, -2.0), 10.0, "int16", None),
        ((-9.0, 0.0), 10.0, "uint16", None),
        ((0.0, 5.0), -10.0, "int16", "-10 to 90 with negative values, which no training case has"),
        ((-1.0, 5.0), -10.0, "int16", None),
    ],
)
def test_the_sign_of_intensities_is_compared(
    minimum: tuple[float, float], low: float, dtype: str, message: str | None
) -> None:
    usual = IntensityRange(normalised=(-2.0, 2.0), width=(50.0, 100.0), minimum=minimum)
    training, grid = TrainingImages(channels=(usual,)), InputGrid((1.0, 1.0, 1.0))

    shifts = _shifts(training, grid, _image(low, 90.0), dtype=np.dtype(dtype))

    assert [one.message.startswith(f"intensities {message}") for one in shifts] == (
        [True] if message else []
    )


def test_one_line_a_kind_names_the_worst_case_and_how_many() -> None:
    shifts = {
        "a": [DomainShift("spacing", "twice", 2.0)],
        "b": [DomainShift("spacing", "thrice", 3.0), DomainShift("unit", "none")],
        "c": [],
    }

    assert shift_lines(shifts) == [
        "warning: 2 of 3 volumes differ from training in spacing, worst b: thrice",
        "warning: b: none",
    ]


@pytest.mark.parametrize("num", [1, 4])
@pytest.mark.parametrize("normalizer", [ZSCORE, RANGE], ids=["zscore", "range"])
def test_phantoms_beside_the_training_cases_are_usual(num: int, normalizer: Normalizer) -> None:
    cases = _cases([phantom_volume(seed, 48, seed % 3)[0] for seed in range(8)])
    training = training_images(cases[:num], normalizer)

    for case in cases[num:]:
        assert (
            _shifts(training, InputGrid(case.spacing), case.statistics, normalizer=normalizer) == []
        )


def test_held_out_cases_of_a_trained_run_are_usual(
    trained_run: RunFolder, tiny_data: Path, tmp_path: Path
) -> None:
    assert trained_run.facts.training_images is not None
    lines: list[str] = []

    predict_files([trained_run.path], tiny_data / "train_images", tmp_path / "o", say=lines.append)

    assert not [line for line in lines if line.startswith("warning")]
    record = json.loads((tmp_path / "o/provenance.json").read_text())
    assert not any("warnings" in volume for volume in record["inputs"])


def _nifti(path: Path, image: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    file = nibabel.Nifti1Image(image.T, affine)
    file.header.set_xyzt_units("mm")
    nibabel.save(file, path)


def test_files_are_warned_about_at_the_end_and_in_their_record(make_run, tmp_path: Path) -> None:
    run = make_run("run", facts={"training_images": FACTS})
    image = np.random.default_rng(0).integers(0, 230, (16, 16, 16)).astype(np.uint8)
    _nifti(tmp_path / "in/a.nii", image, np.diag([-3.0, -3.0, 3.0, 1.0]))
    _nifti(tmp_path / "in/b.nii", image, np.diag([-3.0, -3.0, 6.0, 1.0]))
    _nifti(tmp_path / "in/c.nii", image, np.diag([-3.0, -1.0, 3.0, 1.0]))
    _nifti(tmp_path / "in/d.nii", np.full_like(image, 3), np.diag([3.0, 3.0, 3.0, 1.0]))
    lines: list[str] = []

    predict_files([run.path], tmp_path / "in", tmp_path / "out", say=lines.append)

    assert lines[4:7] == [
        "warning: 2 of 4 volumes differ from training in spacing, worst c: spacing 3 x 1 x 3 mm is "
        "1, 0.33, 1 times that of training along z, y, x (median 3 x 3 x 3 mm); used as it is, "
        "because data.spacing is not set",
        "warning: d: axes z, y, x point to S, A, R, in training to S, P, L; used as they are: "
        "reorient the file as in training",
        "warning: d: constant image: 99 % of its voxels or more have the value 3",
    ]
    record = json.loads((tmp_path / "out/provenance.json").read_text())
    kinds = [[one["kind"] for one in case.get("warnings", [])] for case in record["inputs"]]
    assert kinds == [[], ["spacing"], ["spacing"], ["orientation", "intensity"]]


def test_a_spacing_in_another_unit_is_converted_before_resampling(make_run, tmp_path: Path) -> None:
    run = make_run("run", facts={"training_images": FACTS}, data__spacing=[3.0, 3.0, 3.0])
    image = np.random.default_rng(0).integers(0, 230, (20, 18, 16)).astype(np.uint8)
    predictor = vesuv.load(run.path)

    millimetres = predictor.predict_on_grid(image, InputGrid((6.0, 3.0, 3.0), "mm")).probs
    micrometres = predictor.predict_on_grid(image, InputGrid((6e3, 3e3, 3e3), "µm")).probs

    assert np.array_equal(millimetres.numpy(), micrometres.numpy())


def test_a_loaded_run_warns_through_say(make_run, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    model = vesuv.load(make_run("run", facts={"training_images": FACTS}).path, say=lines.append)
    image = np.random.default_rng(0).integers(0, 230, (16, 16, 16)).astype(np.uint8)

    model.predict(image)
    model.predict(image, spacing=(3.0, 3.0, 2.5))
    assert lines == []
    model.segment(image / 255.0)
    assert len(lines) == 1 and lines[0].startswith("warning: intensities ")
    assert capsys.readouterr().out == ""


def test_runs_that_do_not_record_their_cases_say_nothing(make_run) -> None:
    lines: list[str] = []
    damaged = make_run("b", facts={"training_images": {"unit": 5}})

    for run in (make_run("a"), damaged):
        vesuv.load(run.path, say=lines.append).predict(np.zeros((16, 16, 16)), spacing=(9, 1, 1))

    assert lines == []


@pytest.mark.parametrize(
    ("shape", "spacing", "message"),
    [
        ((16, 16), (1.0, 1.0, 1.0), r"\(z, y, x\) or \(c, z, y, x\), found uint8 \(16, 16\)"),
        ((1, 1, 8, 8, 8), (1.0, 1.0, 1.0), r"found uint8 \(1, 1, 8, 8, 8\); give one volume, a"),
        (
            (2, 8, 8, 8),
            (1.0, 1.0, 1.0),
            r"trained on 1 channel, found 2 in an array of shape \(2, 8, 8, 8\); give those",
        ),
        ((8, 8, 8), (1.0, 1.0), r"3 finite voxel edges above 0, found \(1\.0, 1\.0\)"),
        ((8, 8, 8), (0.0, 1.0, 1.0), "3 finite voxel edges above 0"),
    ],
)
@pytest.mark.parametrize("facts", [{}, {"training_images": FACTS}], ids=["old run", "new run"])
def test_arrays_that_are_no_input_are_refused(
    make_run, facts: dict[str, object], shape: tuple[int, ...], spacing: tuple, message: str
) -> None:
    with pytest.raises(vesuv.InputError, match=message):
        vesuv.load(make_run("run", facts=facts).path).predict(np.zeros(shape, np.uint8), spacing)
