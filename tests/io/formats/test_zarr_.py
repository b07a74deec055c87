from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from vesuv.errors import InputError
from vesuv.io.formats import Volume, read, write
from vesuv.io.lazy import open_lazy

IMAGE = np.random.default_rng(0).integers(0, 255, (6, 7, 8), dtype=np.uint8)
UNIT = "micrometer"


def ome(path: Path, array: np.ndarray, axes: str, *, version: str) -> Path:
    """An image as another program writes it, with a coarser level that must not be taken."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)
    group.create_array("full", data=array, chunks=array.shape)
    group.create_array("half", data=array[..., ::2, ::2], chunks=array[..., ::2, ::2].shape)
    scale = {"l": 1.0, "t": 1.0, "c": 1.0, "z": 2.4, "y": 0.1, "x": 0.3}
    place = {"l": 0.0, "t": 0.0, "c": 0.0, "z": 5.0, "y": 6.0, "x": 7.0}
    transforms: list[dict[str, Any]] = [
        {"type": "scale", "scale": [scale[name] for name in axes]},
        {"type": "translation", "translation": [place[name] for name in axes]},
    ]
    kinds = {"t": "time", "c": "channel"}
    image = {
        "axes": [
            {"name": name, "type": kinds[name]}
            if name in kinds
            else {"name": name, "type": "space", "unit": UNIT}
            for name in axes
        ],
        "datasets": [
            {"path": "full", "coordinateTransformations": transforms},
            {"path": "half", "coordinateTransformations": transforms},
        ],
    }
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    else:
        group.attrs["multiscales"] = [{"version": "0.4", **image}]
    return path


@contextmanager
def multiscale(path: Path) -> Iterator[dict[str, Any]]:
    """Give the metadata of an OME-Zarr 0.5 image to change."""
    group = zarr.open_group(str(path), mode="r+")
    attributes: Any = dict(group.attrs)["ome"]
    yield attributes["multiscales"][0]
    group.attrs["ome"] = attributes


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_the_finest_level_is_read_with_its_spacing(tmp_path: Path, version: str) -> None:
    volume = read(ome(tmp_path / "a.zarr", IMAGE, "zyx", version=version))

    assert np.array_equal(volume.array, IMAGE)
    assert (volume.spacing, volume.unit) == ((2.4, 0.1, 0.3), "µm")
    assert volume.origin == (5.0, 6.0, 7.0)


def test_axes_of_different_units_are_brought_to_one_and_written_back_as_they_were(
    tmp_path: Path,
) -> None:
    path = ome(tmp_path / "a.zarr", IMAGE, "zyx", version="0.5")
    with multiscale(path) as before:
        before["axes"][0]["unit"] = "nanometer"

    volume = read(path)
    write(tmp_path / "m.zarr", IMAGE, volume)

    assert (volume.spacing, volume.unit) == ((0.0024, 0.1, 0.3), "µm")
    assert volume.origin == (0.005, 6.0, 7.0)
    written: Any = dict(zarr.open_group(str(tmp_path / "m.zarr"), mode="r").attrs)["ome"]
    (after,) = written["multiscales"]
    assert after["axes"] == before["axes"]
    place = "coordinateTransformations"
    assert after["datasets"][0][place] == before["datasets"][0][place]


@pytest.mark.parametrize("unit", ["reference frame", None])
def test_an_axis_in_an_unknown_unit_beside_known_ones_leaves_the_place_unknown(
    tmp_path: Path, unit: str | None
) -> None:
    path = ome(tmp_path / "a.zarr", IMAGE, "zyx", version="0.5")
    with multiscale(path) as image:
        image["axes"][0]["unit"] = unit

    assert not read(path).has_header


@pytest.mark.parametrize("transforms", [[], [{"type": "affine", "affine": [[2, 0, 0, 0]]}]])
def test_an_image_without_a_scale_states_no_spacing(
    tmp_path: Path, transforms: list[dict[str, Any]]
) -> None:
    path = ome(tmp_path / "a.zarr", IMAGE, "zyx", version="0.5")
    with multiscale(path) as image:
        image["datasets"][0]["coordinateTransformations"] = transforms

    assert not read(path).has_header


def test_transformations_of_the_whole_image_come_on_top(tmp_path: Path) -> None:
    path = ome(tmp_path / "a.zarr", IMAGE, "zyx", version="0.5")
    with multiscale(path) as image:
        image["coordinateTransformations"] = [{"type": "scale", "scale": [10.0, 10.0, 10.0]}]

    volume = read(path)
    write(tmp_path / "m.zarr", IMAGE, volume)

    for one in (volume, read(tmp_path / "m.zarr")):
        assert one.spacing == (24.0, 1.0, 3.0)
        assert one.origin == (50.0, 60.0, 70.0)


def test_an_image_without_translation_has_no_origin(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", IMAGE, Volume(IMAGE, (2.0, 1.0, 1.0), None, unit="nm"))

    volume = read(tmp_path / "a.zarr")

    assert (volume.spacing, volume.unit, volume.origin) == ((2.0, 1.0, 1.0), "nm", None)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_mask_keeps_scale_translation_and_units(tmp_path: Path, version: str) -> None:
    volume = read(ome(tmp_path / "a.zarr", IMAGE[None, None], "tczyx", version=version))

    write(tmp_path / "m.zarr", (volume.array > 9).astype(np.uint8), volume)

    group = zarr.open_group(str(tmp_path / "m.zarr"), mode="r")
    attributes: Any = dict(group.attrs)["ome"]
    (image,) = attributes["multiscales"]
    assert attributes["version"] == "0.5"
    assert image["axes"] == [{"name": n, "type": "space", "unit": UNIT} for n in "zyx"]
    assert image["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [2.4, 0.1, 0.3]},
        {"type": "translation", "translation": [5.0, 6.0, 7.0]},
    ]
    assert np.array_equal(read(tmp_path / "m.zarr").array, IMAGE > 9)
    assert read(tmp_path / "m.zarr").spacing == volume.spacing


def test_channels_stay_in_front(tmp_path: Path) -> None:
    image = np.stack([IMAGE, 255 - IMAGE])

    volume = read(ome(tmp_path / "a.zarr", image[None], "tczyx", version="0.5"))

    assert np.array_equal(volume.array, image)


@pytest.mark.parametrize("axes", ["tzyx", "tczyx", "ctzyx"])
@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_several_time_points_are_refused(tmp_path: Path, axes: str, version: str) -> None:
    lengths = {"t": 2, "c": 1, "z": 6, "y": 7, "x": 8}
    image = np.zeros([lengths[name] for name in axes], np.uint8)

    with pytest.raises(InputError, match=r"a\.zarr: a volume has one time point, found 2; save"):
        read(ome(tmp_path / "a.zarr", image, axes, version=version))


@pytest.mark.parametrize("reader", [read, open_lazy])
def test_an_axis_of_another_kind_is_refused(tmp_path: Path, reader: Callable[[Path], Any]) -> None:
    with pytest.raises(InputError, match=r"axes z, y, x and possibly c, found \['l', 'z'"):
        reader(ome(tmp_path / "a.zarr", np.stack([IMAGE, IMAGE]), "lzyx", version="0.5"))


def test_a_group_that_is_no_image_is_named(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("image", data=IMAGE)

    with pytest.raises(InputError, match=r"must be an OME-Zarr image, found entries \['image'\]"):
        read(tmp_path / "a.zarr")


def test_an_array_s_attributes_are_kept(tmp_path: Path) -> None:
    array = zarr.create_array(str(tmp_path / "a.zarr"), data=IMAGE)
    array.attrs["scan"] = "54 keV"

    write(tmp_path / "b.zarr", IMAGE, read(tmp_path / "a.zarr"))

    assert zarr.open_array(str(tmp_path / "b.zarr"), mode="r").attrs["scan"] == "54 keV"


def test_a_folder_that_is_no_zarr_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()

    with pytest.raises(InputError, match=r"a\.zarr: cannot be read as Zarr"):
        read(tmp_path / "a.zarr")


def test_a_damaged_chunk_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", IMAGE)
    (chunk,) = (p for p in (tmp_path / "a.zarr" / "c").rglob("*") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:40])

    with pytest.raises(InputError, match=r"a\.zarr: cannot be read as Zarr, truncated or damaged"):
        read(tmp_path / "a.zarr")


@pytest.mark.parametrize("axes", ["xyz", "zxy", "yxz"])
def test_voxels_of_axes_in_any_order_lie_where_they_belong(tmp_path: Path, axes: str) -> None:
    cube = IMAGE[:, :6, :6]
    order = ["zyx".index(name) for name in axes]
    path = ome(tmp_path / "a.zarr", cube.transpose(order), axes, version="0.5")

    assert np.array_equal(read(path).array, cube)
    assert np.array_equal(open_lazy(path).voxels.read((slice(0, 6),) * 3)[0], cube)
    assert read(path).spacing == (2.4, 0.1, 0.3)


def named_array(path: Path, array: np.ndarray, names: list[str], zarr_format: int) -> None:
    """A plain array whose axes have names: by Zarr v3, or by xarray in v2."""
    if zarr_format == 3:
        zarr.create_array(str(path), data=array, dimension_names=names)
    else:
        node = zarr.create_array(str(path), data=array, zarr_format=2)
        node.attrs["_ARRAY_DIMENSIONS"] = names


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("reader", [read, open_lazy])
def test_a_plain_array_whose_axes_are_in_another_order_is_refused(
    tmp_path: Path, reader: Callable[[Path], Any], zarr_format: int
) -> None:
    named_array(tmp_path / "a.zarr", IMAGE, ["x", "y", "z"], zarr_format)

    with pytest.raises(InputError, match=r"in the order c, z, y, x, found x, y, z; transpose it"):
        reader(tmp_path / "a.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_plain_array_of_colours_is_one_slice(tmp_path: Path, zarr_format: int) -> None:
    path = tmp_path / "a.zarr"
    named_array(path, IMAGE, ["c", "y", "x"], zarr_format)

    assert np.array_equal(read(path).array, IMAGE[:, np.newaxis])
    assert open_lazy(path).voxels.shape == (6, 1, 7, 8)
    write(tmp_path / "mask.zarr", IMAGE[:1], like=read(path))
    assert np.array_equal(read(tmp_path / "mask.zarr").array, IMAGE[:1])
    assert "_ARRAY_DIMENSIONS" not in zarr.open_array(str(tmp_path / "mask.zarr")).attrs


def test_names_of_axes_that_mean_nothing_are_left(tmp_path: Path) -> None:
    named_array(tmp_path / "a.zarr", IMAGE, ["dim_0", "dim_1", "dim_2"], 3)

    assert np.array_equal(read(tmp_path / "a.zarr").array, IMAGE)


def test_an_array_of_one_axis_is_refused(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), data=IMAGE[0, 0])

    with pytest.raises(InputError, match=r"has 3 dimensions .* found 1 \(array \(8,\)\)"):
        read(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("shape", "axes"), [((5, 6), "yx"), ((4, 5, 6), "zyx"), ((2, 4, 5, 6), "czyx")]
)
def test_arrays_of_a_written_image_name_their_axes_as_its_metadata_do(
    tmp_path: Path, shape: tuple[int, ...], axes: str
) -> None:
    spatial = axes.removeprefix("c")
    image = np.zeros(shape[-len(spatial) :], np.uint8)
    like = read(ome(tmp_path / "a.zarr", image, spatial, version="0.5"))

    write(tmp_path / "b.zarr", np.zeros(shape if len(shape) > 2 else (1, *shape), np.uint8), like)

    group = zarr.open_group(str(tmp_path / "b.zarr"), mode="r")
    (written,) = group.attrs["ome"]["multiscales"]
    assert [axis["name"] for axis in written["axes"]] == list(axes)
    assert group["0"].metadata.dimension_names == tuple(axes)
