"""A raw case becomes the same prepared case in memory and through files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from vesuv.config import Config, check
from vesuv.data.builder import prepare
from vesuv.data.case import Case, PreparedCase
from vesuv.data.folds import make_folds
from vesuv.data.labels import IGNORE
from vesuv.data.preparation import prepare_in_memory, to_storable_type
from vesuv.data.resample import resample_label
from vesuv.data.sampling import PatchSampler
from vesuv.data.summary import summarise_cases
from vesuv.errors import InputErrors
from vesuv.io.formats import Volume, read, write

RNG = np.random.default_rng(0)
SHAPE = (12, 20, 24)
RAS = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0)
"""Direction of a NIfTI file with a diagonal affine."""


def raw(number: int) -> Case:
    rng = np.random.default_rng(number)
    image = rng.integers(0, 200, (2, *SHAPE)).astype(np.int16)
    label = rng.choice(np.array([0, 1, 7], np.uint8), SHAPE, p=[0.7, 0.2, 0.1])
    return Case(f"c{number}", image, label, (2.0, 1.0, 1.0), f"s{number % 2}", "µm", RAS)


def config(root: Path, spacing: list[float] | None = None) -> Config:
    return check(
        {
            "name": "a",
            "data": {
                "root": str(root),
                "store": str(root / "store"),
                "spacing": spacing,
                "folds": {"num": 2},
            },
            "labels": {"classes": {"background": 0, "surface": 1}, "ignore": 7},
            "sampling": {"patch_size": [16, 16, 16]},
            "model": {"filters": 2, "depth": 1},
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
        },
        "here",
    )


def write_files(root: Path, cases: list[Case]) -> None:
    for case in cases:
        like = Volume(case.image, case.spacing, None, unit=case.unit)
        write(root / "train_images" / f"{case.id}.nii", case.image, like)
        write(root / "train_labels" / f"{case.id}.nii", case.label, like)
    lines = ["id,scroll_id", *(f"{case.id},{case.group}" for case in cases)]
    (root / "train.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("spacing", [None, [1.0, 1.0, 1.5]], ids=["as it came", "resampled"])
def test_a_case_in_memory_is_the_case_of_a_store(
    tmp_path: Path, spacing: list[float] | None
) -> None:
    cases = [raw(number) for number in range(4)]
    write_files(tmp_path, cases)
    settings = config(tmp_path, spacing)

    store = prepare(settings)
    in_memory = prepare_in_memory(cases[::-1], settings)

    assert [case.id for case in in_memory] == list(store.cases)
    for case in in_memory:
        stored = store.cases[case.id]
        assert case.attributes == stored.attributes
        for name in ("image", "label", "block_counts", "native_label"):
            ours, theirs = getattr(case, name), getattr(stored, name)
            assert ours.dtype == theirs.dtype, name
            assert np.array_equal(ours, theirs), name
    assert summarise_cases(in_memory, settings.labels, (16, 16, 16)) == store.summary
    stored_cases = list(store.cases.values())
    assert make_folds(in_memory, settings.data.folds) == make_folds(
        stored_cases, settings.data.folds
    )
    samplers = [
        PatchSampler.build(each, settings.sampling, seed=1) for each in (in_memory, stored_cases)
    ]
    assert samplers[0].plan(0, 3) == samplers[1].plan(0, 3)


def test_a_resampled_case_keeps_the_label_of_its_file(tmp_path: Path) -> None:
    case = raw(0)

    (prepared,) = prepare_in_memory([case], config(tmp_path, [1.0, 1.0, 1.5]))

    encoded = np.where(case.label == 7, IGNORE, case.label).astype(np.uint8)
    assert (prepared.shape, prepared.spacing) == ((24, 20, 16), (1.0, 1.0, 1.5))
    assert (prepared.native_shape, prepared.native_spacing) == (SHAPE, (2.0, 1.0, 1.0))
    assert np.array_equal(prepared.native_label, encoded)
    expected = resample_label(encoded, (2.0, 1.0, 1.0), (1.0, 1.0, 1.5), 2)
    assert np.array_equal(prepared.label, expected)


@pytest.mark.parametrize(
    ("spacing", "native_spacing"),
    [(None, None), ([2.0, 1.0, 1.0], None), ([2.01, 1, 1], (2, 1, 1))],
)
def test_a_case_whose_voxels_stay_keeps_its_label_once(
    tmp_path: Path, spacing: Any, native_spacing: Any
) -> None:
    write_files(tmp_path, [raw(0), raw(1)])

    case = prepare(config(tmp_path, spacing)).cases["c0"]

    assert not (case.path / "native_label").exists()
    assert case.attributes.native_spacing == native_spacing
    assert (case.native_shape, case.native_spacing) == (SHAPE, (2.0, 1.0, 1.0))
    assert np.array_equal(case.native_label, case.label)


def test_a_label_of_equal_volume_on_other_axes_is_told_apart(tmp_path: Path) -> None:
    (prepared,) = prepare_in_memory([raw(0)], config(tmp_path, [1.0, 2.0, 1.0]))

    assert prepared.shape == (24, 10, 24)
    assert prepared.native_label.shape == SHAPE


def test_a_volume_without_channel_axis_has_one_channel(tmp_path: Path) -> None:
    case = Case("a", np.zeros(SHAPE), np.zeros(SHAPE, bool))

    (prepared,) = prepare_in_memory([case], config(tmp_path))

    assert (prepared.image.shape, prepared.image.dtype) == ((1, *SHAPE), np.float32)
    assert (prepared.num_channels, prepared.num_classes, prepared.block_size) == (1, 2, 16)
    assert (prepared.location, prepared.group, prepared.unit) == ("case a", None, None)
    assert isinstance(prepared, PreparedCase)


def test_prepared_arrays_are_read_only_and_the_user_s_stay_writable(tmp_path: Path) -> None:
    case = raw(0)

    (prepared,) = prepare_in_memory([case], config(tmp_path))

    for array in (prepared.image, prepared.label):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    case.image[...] = 0


def changed(**changes: Any) -> Case:
    fields = {"id": "a", "image": np.zeros(SHAPE), "label": np.zeros(SHAPE, np.uint8)}
    return Case(**(fields | changes))


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (
            changed(image=np.zeros(SHAPE[:2])),
            r"case a: an image holds real numbers, .* \(12, 20\); give one volume, a single",
        ),
        (changed(image=np.zeros(SHAPE, complex)), r"case a: an image .* found complex128"),
        (changed(image=np.full(SHAPE, np.nan)), r"case a: an image holds finite values"),
        (changed(label=np.zeros((1, 2, 3))), r"case a: image and label .* found label \(1, 2, 3\)"),
        (changed(label=np.full(SHAPE, 5)), r"case a: label value 5 .* is not declared"),
        (changed(spacing=(1.0, 0.0, 1.0)), r"case a: a spacing is 3 .* found \(1\.0, 0\.0, 1\.0\)"),
        (changed(spacing=(1.0, 1.0)), r"case a: a spacing is 3 finite voxel edges above 0"),
        (changed(id="../x"), r"case \.\./x: id: .*a case's id is a plain name, found '\.\./x'"),
        (
            changed(id="caf\udce9"),
            r"id: .*a case's id is UTF-8; rename its files, found",
        ),
        (changed(unit="parsec"), r"case a: unit: Input should be 'pm'"),
    ],
)
def test_a_case_that_cannot_be_used_is_named(tmp_path: Path, case: Case, sentence: str) -> None:
    with pytest.raises(InputErrors, match=sentence):
        prepare_in_memory([case], config(tmp_path))


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    cases = [
        raw(0),
        raw(1),
        raw(1),
        Case("x", np.zeros(SHAPE), np.zeros(SHAPE, np.uint8)),
        Case("y", np.zeros((2, *SHAPE)), np.zeros(SHAPE, np.uint8), unit="mm"),
        Case("z", np.zeros(SHAPE), np.full(SHAPE, 9)),
    ]

    with pytest.raises(InputErrors) as caught:
        prepare_in_memory(cases, config(tmp_path))

    starts = ("case c1: ids are unique, found 2", "case z: label value 9", "case x: cases have one")
    for start in (*starts, "case y: the spacings of a data set have one unit, found mm against µm"):
        assert any(fault.startswith(start) for fault in caught.value.faults), start
    assert len(caught.value.faults) == 4


@pytest.mark.parametrize("spacing", [None, [1.0, 1.0, 1.0]])
@pytest.mark.parametrize(
    "grid",
    [
        pytest.param({"unit": "µm"}, id="unit"),
        pytest.param({"spacing": (2.0, 1.0, 1.0)}, id="spacing"),
        pytest.param({"direction": RAS}, id="direction"),
        pytest.param({}, id="nothing"),
    ],
)
def test_no_case_of_an_unknown_spacing_is_resampled_beside_known_ones(
    tmp_path: Path, spacing: list[float] | None, grid: dict[str, Any]
) -> None:
    label = np.zeros(SHAPE, np.uint8)
    cases = [raw(0), Case("x", np.ones((2, *SHAPE), np.int16), label, **grid)]

    if grid or spacing is None:
        prepare_in_memory(cases, config(tmp_path, spacing))
        return
    with pytest.raises(InputErrors) as caught:
        prepare_in_memory(cases, config(tmp_path, spacing))
    assert caught.value.faults == [
        "case x: data.spacing resamples cases of a known spacing, found none in its file and µm in "
        "others; write the spacing into its header, or leave data.spacing out"
    ]


def test_integers_of_the_other_byte_order_are_stored_in_this_machine_s(tmp_path: Path) -> None:
    swapped = np.arange(np.prod(SHAPE), dtype=">i4").reshape(SHAPE)

    (prepared,) = prepare_in_memory([changed(image=swapped)], config(tmp_path))

    assert prepared.image.dtype.isnative
    assert np.array_equal(prepared.image[0], swapped)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("bool", "uint8"),
        ("uint8", "uint8"),
        ("int16", "int16"),
        ("float16", "float16"),
        ("float64", "float32"),
        ("int64", "int32"),
        ("uint64", "int32"),
    ],
)
def test_the_store_keeps_at_most_32_bits(given: str, kept: str) -> None:
    assert to_storable_type(np.ones((1, 1, 1, 1), given)).dtype == kept


def test_integers_beyond_32_bits_become_floats() -> None:
    assert to_storable_type(np.full((1, 1, 1, 1), 2**40)).dtype == np.float32


def test_units_of_image_and_label_are_compared_as_lengths(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeZ": 2.0, "PhysicalSizeY": 1.0, "PhysicalSizeX": 1.0}
    nano = {key: 1000 * size for key, size in sizes.items()}
    nano |= {f"{key}Unit": "nm" for key in sizes}
    image, label = raw(0).image[0].astype(np.uint8), (raw(0).label == 1).astype(np.uint8)
    for kind, array, metadata in (("images", image, sizes), ("labels", label, nano)):
        (tmp_path / f"train_{kind}").mkdir()
        tifffile.imwrite(
            tmp_path / f"train_{kind}" / "a.tif",
            array,
            ome=True,
            metadata={"axes": "ZYX", **metadata},
        )
    (tmp_path / "train.csv").write_text("id\na\n")

    case = prepare(config(tmp_path)).cases["a"]

    assert (case.spacing, case.unit) == ((2.0, 1.0, 1.0), "µm")
    assert read(tmp_path / "train_labels" / "a.tif").unit == "nm"
