from __future__ import annotations

import numpy as np
import pytest

from vesuv.errors import InputError
from vesuv.evaluation.units import convert_spacing, length_unit
from vesuv.io.formats import Volume
from vesuv.types import Spacing

AXES = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("spacing", "direction", "unit", "expected"),
    [
        ((1.0, 1.0, 1.0), None, None, "voxel"),
        ((2.0, 1.0, 1.0), None, None, "file unit"),
        ((2.0, 1.0, 1.0), None, "µm", "µm"),
        ((1.0, 1.0, 1.0), AXES, None, "mm"),
        ((1.0, 1.0, 1.0), AXES, "m", "m"),
    ],
)
def test_the_unit_is_that_of_the_file(
    spacing: Spacing, direction: tuple[float, ...] | None, unit: str | None, expected: str
) -> None:
    volume = Volume(np.zeros((1, 1, 1)), spacing, None, direction, None, unit)

    assert length_unit(volume) == expected


def test_lengths_are_converted_between_units() -> None:
    assert convert_spacing((8.0, 4.0, 4.0), "nm", "µm") == (0.008, 0.004, 0.004)
    assert convert_spacing((8.0, 4.0, 4.0), "voxel", "voxel") == (8.0, 4.0, 4.0)


@pytest.mark.parametrize(("unit", "target"), [("voxel", "mm"), ("mm", "file unit")])
def test_an_unknown_unit_is_not_converted(unit: str, target: str) -> None:
    with pytest.raises(InputError, match=rf"must have one unit, found {unit} and, .* {target}; st"):
        convert_spacing((1.0, 1.0, 1.0), unit, target)
