"""NIfTI, NRRD, MetaImage, NPY and Zarr files of two axes are volumes of one slice, as PNG is."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import zarr

from vesuv.io.formats import read, write
from vesuv.io.formats.crop import cropped
from vesuv.io.lazy import open_lazy
from vesuv.io.slabs import write_slabs

PIXELS = np.random.default_rng(0).integers(0, 200, (6, 9), dtype=np.uint8)
"""(y, x)."""
MASK = (PIXELS > 99).astype(np.uint8)
ENDINGS = [".npy", ".nii", ".nii.gz", ".nrrd", ".mha", ".zarr", ".ome.zarr"]
NO_EDGES = (".npy", ".zarr")
"""Formats that state no spacing."""


def write_image(path: Path) -> None:
    """Write PIXELS as a file of two axes, with edges 0.5 (x) and 2 (y) where it states any."""
    if path.suffix == ".npy":
        np.save(path, PIXELS)
    elif ".nii" in path.name:
        image = nibabel.Nifti1Image(PIXELS.T, np.diag([0.5, 2.0, 1.0, 1.0]))
        nibabel.save(image, path)
    elif path.name.endswith(".ome.zarr"):
        write_ome(path, PIXELS, "yx")
    elif path.suffix == ".zarr":
        zarr.create_array(str(path), data=PIXELS, chunks=(4, 4))
    else:
        image = SimpleITK.GetImageFromArray(PIXELS)
        image.SetSpacing((0.5, 2.0))
        image.SetOrigin((3.0, 4.0))
        SimpleITK.WriteImage(image, str(path))


def write_ome(path: Path, array: np.ndarray, axes: str) -> None:
    """Write an OME-Zarr image with edges 0.5 (x) and 2 (y) in µm, its first pixel at (8, 3)."""
    kinds = {"c": {"type": "channel"}, "t": {"type": "time"}}
    space = {"type": "space", "unit": "micrometer"}
    transforms = [
        {"type": "scale", "scale": [{"y": 2.0, "x": 0.5}.get(name, 1.0) for name in axes]},
        {"type": "translation", "translation": [{"y": 8.0, "x": 3.0}.get(n, 0.0) for n in axes]},
    ]
    image = {
        "axes": [{"name": name, **kinds.get(name, space)} for name in axes],
        "datasets": [{"path": "0", "coordinateTransformations": transforms}],
    }
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    group.create_array("0", data=array, chunks=array.shape)
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}


def axes_of(path: Path) -> tuple[int, ...]:
    """Shape of a file by its own library."""
    if path.suffix == ".npy":
        return tuple(np.load(path).shape)
    if ".nii" in path.name:
        return tuple(nibabel.load(path).shape)
    if path.suffix == ".zarr":
        return tuple(zarr.open_array(str(path / "0" if ".ome" in path.name else path)).shape)
    return tuple(SimpleITK.ReadImage(str(path)).GetSize())


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_of_two_axes_is_one_slice(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path)

    volume = read(path)

    assert np.array_equal(volume.array, PIXELS[np.newaxis])
    assert volume.spacing == ((1.0, 1.0, 1.0) if ending in NO_EDGES else (1.0, 2.0, 0.5))


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_one_slice_lies_in_the_plane_z_0(tmp_path: Path, ending: str) -> None:
    write_image(tmp_path / f"a{ending}")

    volume = read(tmp_path / f"a{ending}")

    assert volume.origin == (0.0, 4.0, 3.0)
    assert volume.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_the_origin_of_a_box_of_one_slice_moves(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path)

    box = cropped(read(path), PIXELS[np.newaxis, 1:4, 2:5], (0, 1, 2))
    write(path, box.array, like=box)

    assert read(path).origin == (0.0, 4.0 + 1 * 2.0, 3.0 + 2 * 0.5)


def _whole(path: Path) -> None:
    write(path, MASK[np.newaxis], like=read(path))


def _in_slabs(path: Path) -> None:
    def slab(_: int, part: slice) -> np.ndarray:
        return MASK[np.newaxis][part]

    write_slabs(path, (1, 6, 9), MASK.dtype, slab, like=open_lazy(path).header)


@pytest.mark.parametrize(
    ("ending", "write_mask"),
    [*((ending, _whole) for ending in ENDINGS), *((ending, _in_slabs) for ending in ENDINGS[:3])],
)
def test_a_mask_has_the_axes_of_its_image(
    tmp_path: Path, ending: str, write_mask: Callable[[Path], None]
) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path)
    shape, header = axes_of(path), read(path)

    write_mask(path)

    assert axes_of(path) == shape
    assert np.array_equal(read(path).array, MASK[np.newaxis])
    assert (read(path).spacing, read(path).origin) == (header.spacing, header.origin)


@pytest.mark.parametrize("ending", ENDINGS)
def test_probabilities_of_classes_keep_their_channels(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path)
    probs = np.random.default_rng(1).random((3, 1, 6, 9), dtype=np.float32)

    write(path, probs, like=read(path))

    assert np.array_equal(read(path).array, probs)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_colours_of_two_axes_are_channels(tmp_path: Path, ending: str) -> None:
    colours = np.random.default_rng(2).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    image = SimpleITK.GetImageFromArray(colours, isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / f"a{ending}"))

    array = read(tmp_path / f"a{ending}").array

    assert np.array_equal(array, np.moveaxis(colours, -1, 0)[:, np.newaxis])


@pytest.mark.parametrize("ending", ENDINGS)
def test_regions_of_one_slice_are_read(tmp_path: Path, ending: str) -> None:
    write_image(tmp_path / f"a{ending}")

    volume = open_lazy(tmp_path / f"a{ending}")
    part = volume.voxels.read((slice(0, 1), slice(2, 5), slice(1, 9)))

    assert volume.shape == (1, 6, 9)
    assert np.array_equal(part, PIXELS[np.newaxis, np.newaxis, 2:5, 1:9])


def test_a_mask_of_ome_zarr_keeps_axes_unit_and_place(tmp_path: Path) -> None:
    write_ome(tmp_path / "a.ome.zarr", PIXELS, "yx")

    _whole(tmp_path / "a.ome.zarr")

    image = zarr.open_group(str(tmp_path / "a.ome.zarr")).attrs["ome"]["multiscales"][0]
    space = {"type": "space", "unit": "micrometer"}
    assert image["axes"] == [{"name": "y", **space}, {"name": "x", **space}]
    assert image["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [2.0, 0.5]},
        {"type": "translation", "translation": [8.0, 3.0]},
    ]


@pytest.mark.parametrize("axes", ["cyx", "ycx", "tyxc"])
def test_channels_of_an_ome_zarr_slice_stay_in_front(tmp_path: Path, axes: str) -> None:
    colours = np.random.default_rng(2).integers(0, 256, (3, 6, 9), dtype=np.uint8)
    places = {"c": 0, "y": 1, "x": 2}
    array = colours.transpose([places[name] for name in axes if name != "t"])
    write_ome(tmp_path / "a.zarr", array[np.newaxis] if axes[0] == "t" else array, axes)

    whole = read(tmp_path / "a.zarr")
    part = open_lazy(tmp_path / "a.zarr").voxels.read((slice(0, 1), slice(1, 4), slice(2, 9)))

    assert np.array_equal(whole.array, colours[:, np.newaxis])
    assert np.array_equal(part, colours[:, np.newaxis, 1:4, 2:9])
