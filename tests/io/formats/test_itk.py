from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from vesuv.errors import InputError
from vesuv.io.formats import read, write
from vesuv.io.formats.itk import ItkGeometry

RNG = np.random.default_rng(0)
SPACING = (0.7812499999999999, 0.7812499999999999, 6.499999999999998)
ORIGIN = (-99.60937499999999, 99.60937499999999, -77.99999999999996)
COSINE, SINE = np.cos(0.3), np.sin(0.3)
DIRECTION = (COSINE, -SINE, 0.0, SINE, COSINE, 0.0, 0.0, 0.0, 1.0)


def source(path: Path, data: np.ndarray, *, vector: bool = False) -> Path:
    image = SimpleITK.GetImageFromArray(data, isVector=vector)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(DIRECTION)
    SimpleITK.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_a_mask_keeps_spacing_origin_and_direction_exactly(tmp_path: Path, ending: str) -> None:
    data = RNG.integers(-900, 900, (6, 5, 4)).astype(np.int16)
    path = source(tmp_path / f"a{ending}", data)
    volume = read(path)
    assert np.array_equal(volume.array, data)
    assert volume.spacing == SimpleITK.ReadImage(str(path)).GetSpacing()[::-1]
    assert volume.origin == pytest.approx(ORIGIN[::-1])
    # Columns of ITK's matrix are the axes x, y, z: the first one turns towards y.
    assert volume.direction == pytest.approx((1, 0, 0, 0, COSINE, -SINE, 0, SINE, COSINE))

    write(tmp_path / f"m{ending}", (data > 0).astype(np.uint8), volume)

    before = SimpleITK.ReadImage(str(path))
    after = SimpleITK.ReadImage(str(tmp_path / f"m{ending}"))
    assert after.GetSpacing() == before.GetSpacing()
    assert after.GetOrigin() == before.GetOrigin()
    assert after.GetDirection() == before.GetDirection()
    assert after.GetPixelID() == SimpleITK.sitkUInt8
    assert np.array_equal(SimpleITK.GetArrayFromImage(after), data > 0)


def test_vector_components_are_channels(tmp_path: Path) -> None:
    data = RNG.normal(size=(6, 5, 4, 3)).astype(np.float32)

    volume = read(source(tmp_path / "a.nrrd", data, vector=True))

    assert np.array_equal(volume.array, np.moveaxis(data, -1, 0))


def test_a_fourth_axis_is_channels_with_the_geometry_of_the_first_three(tmp_path: Path) -> None:
    data = RNG.normal(size=(2, 6, 5, 4)).astype(np.float32)
    image = SimpleITK.GetImageFromArray(data, isVector=False)
    image.SetSpacing((*SPACING, 9.0))
    image.SetOrigin((*ORIGIN, 3.0))
    SimpleITK.WriteImage(image, str(tmp_path / "a.nrrd"))

    volume = read(tmp_path / "a.nrrd")

    assert np.array_equal(volume.array, data)
    assert isinstance(volume.geometry, ItkGeometry)
    assert volume.geometry.spacing == pytest.approx(SPACING)
    assert volume.geometry.origin == pytest.approx(ORIGIN)
    assert volume.geometry.direction == pytest.approx(np.eye(3).ravel())


def test_a_fault_is_told_without_source_lines_and_addresses(tmp_path: Path) -> None:
    path = source(tmp_path / "a.nrrd", RNG.integers(0, 9, (6, 5, 4)).astype(np.int16))
    path.write_bytes(path.read_bytes()[:-60])

    with pytest.raises(InputError, match=r"not a \.nrrd file \(.*75% of expected") as it:
        read(path)

    assert "0x" not in str(it.value)
