"""A TIFF without an axis z gets masks without one, in each dialect."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from vesuv.io.formats import read, write
from vesuv.io.slabs import write_slabs

PIXELS = np.random.default_rng(0).integers(0, 200, (6, 9), dtype=np.uint8)
MASK = (PIXELS > 99).astype(np.uint8)[np.newaxis]
DIALECTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "imagej": {"imagej": True, "resolution": (2, 4), "metadata": {"axes": "YX", "unit": "um"}},
    "ome": {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}},
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_mask_of_a_slice_has_its_axes_and_spacing(tmp_path: Path, dialect: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, **DIALECTS[dialect])
    image = read(tmp_path / "a.tif")

    write(tmp_path / "b.tif", MASK, image)

    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), MASK[0])
    again = read(tmp_path / "b.tif")
    assert np.array_equal(again.array, MASK)
    assert (again.spacing, again.unit) == (image.spacing, image.unit)
    assert image.spacing == ((1.0, 1.0, 1.0) if dialect == "plain" else (1.0, 0.25, 0.5))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_mask_that_is_written_by_slabs_has_them_too(tmp_path: Path, dialect: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, **DIALECTS[dialect])
    image = read(tmp_path / "a.tif")

    write_slabs(tmp_path / "b.tif", MASK.shape, MASK.dtype, lambda _, planes: MASK[planes], image)

    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), MASK[0])


def test_a_colour_image_gets_a_mask_of_two_axes_and_probabilities_of_four(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([PIXELS] * 3), photometric="rgb")
    image = read(tmp_path / "a.tif")
    probs = np.stack([MASK, 1 - MASK]).astype(np.float32)

    write(tmp_path / "mask.tif", MASK, image)
    write(tmp_path / "probs.tif", probs, image)

    assert tifffile.imread(tmp_path / "mask.tif").shape == (6, 9)
    assert read(tmp_path / "probs.tif").array.shape == (2, 1, 6, 9)


def test_a_volume_of_one_page_keeps_its_axis_z(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[np.newaxis], metadata={"axes": "ZYX"})

    write(tmp_path / "b.tif", MASK, read(tmp_path / "a.tif"))

    assert tifffile.imread(tmp_path / "b.tif").shape == (1, 6, 9)
