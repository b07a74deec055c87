from __future__ import annotations

import numpy as np
import pytest

from vesuv.config.labels import LabelsConfig
from vesuv.data.labels import IGNORE, count_values, decode, encode
from vesuv.errors import InputError

SURFACE = LabelsConfig(classes={"background": 0, "surface": 1}, ignore=2)
MERGED = LabelsConfig(classes={"rest": (0, 7), "vessel": -3, "lymph": 1000}, ignore=-1)


def test_file_values_become_class_indices_in_declared_order() -> None:
    label = np.array([[[0, 7, -3, 1000, -1]]], np.int16)

    assert encode(label, MERGED).tolist() == [[[0, 0, 1, 2, IGNORE]]]
    assert encode(label, MERGED).dtype == np.uint8


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int32", "uint64", "float32", "bool"])
def test_every_number_type_is_encoded_alike(kind: str) -> None:
    label = np.array([[[0, 1], [1, 0]]]).astype(kind)

    assert encode(label, SURFACE).tolist() == [[[0, 1], [1, 0]]]


def test_values_far_apart_are_encoded() -> None:
    config = LabelsConfig(classes={"a": 0, "b": 2**64 - 1})
    label = np.array([[[2**64 - 1, 0]]], np.uint64)

    classes = encode(label, config)

    assert classes.tolist() == [[[1, 0]]]
    assert np.array_equal(decode(classes, config), label)


def test_decoding_gives_the_first_value_of_a_class_in_the_smallest_type() -> None:
    classes = np.array([[[0, 1, 2, IGNORE]]], np.uint8)

    values = decode(classes, MERGED)

    assert values.tolist() == [[[0, -3, 1000, -1]]]
    assert values.dtype == np.int16
    assert decode(np.array([[[0, 1, IGNORE]]], np.uint8), SURFACE).dtype == np.uint8


def test_an_undeclared_value_is_named_with_its_share_and_a_remedy() -> None:
    label = np.zeros((1, 10, 10), np.uint8)
    label[0, 0, :3] = 4

    with pytest.raises(
        InputError,
        match=r"label value 4 \(3\.00% of the voxels\) is not declared; labels\.classes declares "
        r"background 0, surface 1, ignore 2.*labels\.ignore",
    ):
        encode(label, SURFACE)


def test_many_undeclared_values_are_counted_not_listed() -> None:
    with pytest.raises(InputError, match=r"and 5 more are not declared"):
        encode(np.arange(13, dtype=np.uint8).reshape(1, 1, 13), SURFACE)


def test_a_fraction_is_no_label() -> None:
    with pytest.raises(InputError, match=r"whole numbers, found 0\.5; was it resampled"):
        encode(np.array([[[0.0, 0.5]]], np.float32), SURFACE)


def test_a_missing_number_is_no_label() -> None:
    with pytest.raises(InputError, match=r"found NaN or infinite in 1 of 2 voxels"):
        encode(np.array([[[0.0, np.nan]]], np.float32), SURFACE)


def test_a_complex_number_is_no_label() -> None:
    with pytest.raises(InputError, match=r"found type complex64"):
        encode(np.array([[[0.0]]], np.complex64), SURFACE)


@pytest.mark.parametrize("kind", ["uint8", "int16", "int64"])
def test_values_are_counted(kind: str) -> None:
    label = np.array([[[1, 1, 9]], [[1, 0, 9]]]).astype(kind)

    assert count_values(label) == {0: 1, 1: 3, 9: 2}
    assert count_values(np.array([[[-70_000, 70_000]]])) == {-70_000: 1, 70_000: 1}
    assert count_values(np.zeros((0, 1, 1), np.uint8)) == {}


def test_values_beyond_int64_are_counted_encoded_and_refused_by_their_value() -> None:
    label = np.full((2, 2, 2), 2**63 + 5, np.uint64)
    label[0, 0, 0] = 2**63 + 7
    config = LabelsConfig.model_validate({"classes": {"background": 0, "sheet": 1}})

    assert count_values(label) == {2**63 + 5: 7, 2**63 + 7: 1}
    with pytest.raises(InputError, match="label values 9223372036854775813 "):
        encode(label, config)
    with pytest.raises(InputError, match="whole numbers, found 1e"):
        encode(np.full((2, 2, 2), 1e30), config)
