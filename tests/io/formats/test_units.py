from __future__ import annotations

import math

import pytest

from vesuv.io.formats.units import common_unit, convert, parse_unit, unit_name


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("µm", "µm"),
        ("\u03bcm", "µm"),
        ("um", "µm"),
        ("\\u00B5m", "µm"),
        ("micron", "µm"),
        ("Microns", "µm"),
        ("micrometer", "µm"),
        ("micrometres", "µm"),
        ("nm", "nm"),
        ("nanometer", "nm"),
        ("mm", "mm"),
        ("\u212b", "Å"),
        ("angstrom", "Å"),
        ("inch", "in"),
        (" cm ", "cm"),
        ("Mm", None),
        ("pixel", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_spellings_of_a_unit_mean_one_unit(text: object, unit: str | None) -> None:
    assert parse_unit(text) == unit


@pytest.mark.parametrize(
    ("value", "unit", "target", "converted"),
    [
        (500.0, "nm", "µm", 0.5),
        (0.0005, "mm", "nm", 500.0),
        (1.0, "in", "mm", 25.4),
        (35.0, "Å", "nm", 3.5),
        (7.91, "µm", "µm", 7.91),
        (3.0, None, "mm", 3.0),
        (3.0, "mm", None, 3.0),
        (math.inf, "mm", "µm", math.inf),
    ],
)
def test_lengths_are_converted_without_loss(
    value: float, unit: str | None, target: str | None, converted: float
) -> None:
    assert convert(value, unit, target) == converted


def test_the_common_unit_is_that_of_most_axes() -> None:
    assert common_unit(["nm", "µm", "µm"]) == "µm"
    assert common_unit(["nm", "µm", None]) == "nm"
    assert common_unit([None, None]) is None


def test_names_are_those_of_ome_zarr() -> None:
    assert unit_name("µm") == "micrometer"
    assert unit_name("Å") == "angstrom"
