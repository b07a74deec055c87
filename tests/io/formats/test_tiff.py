from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from vesuv.errors import InputError
from vesuv.io.formats import Volume, read, write
from vesuv.io.lazy import open_lazy

IMAGE = np.random.default_rng(0).integers(0, 255, (6, 30, 20), dtype=np.uint8)


def test_pages_are_slices_and_lzw_stays_lzw(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, compression="lzw", metadata=None)

    volume = read(tmp_path / "a.tif")
    write(tmp_path / "b.tif", (volume.array > 9).astype(np.uint8), volume)

    assert np.array_equal(volume.array, IMAGE)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert len(tif.pages) == 6
        assert tif.pages[0].compression == tifffile.COMPRESSION.LZW
        assert np.array_equal(tif.asarray(), IMAGE > 9)


def test_an_uncompressed_file_stays_uncompressed(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE)

    write(tmp_path / "b.tif", IMAGE, read(tmp_path / "a.tif"))

    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.pages[0].compression == tifffile.COMPRESSION.NONE


def test_imagej_spacing_and_unit_are_kept(tmp_path: Path) -> None:
    metadata = {"axes": "ZYX", "spacing": 2.5, "unit": "um"}
    tifffile.imwrite(
        tmp_path / "a.tif", IMAGE, imagej=True, resolution=(4.0, 2.0), metadata=metadata
    )

    volume = read(tmp_path / "a.tif")
    write(tmp_path / "b.tif", IMAGE, volume)

    assert volume.spacing == (2.5, 0.5, 0.25)
    assert read(tmp_path / "b.tif").spacing == (2.5, 0.5, 0.25)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.imagej_metadata is not None
        assert tif.imagej_metadata["unit"] == "um"


def test_ome_spacing_and_unit_are_kept_exactly(tmp_path: Path) -> None:
    metadata = {
        "axes": "ZYX",
        "PhysicalSizeZ": 7.91,
        "PhysicalSizeZUnit": "µm",
        "PhysicalSizeY": 0.1,
        "PhysicalSizeX": 0.3,
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", IMAGE, ome=True, metadata=metadata)

    volume = read(tmp_path / "a.ome.tif")
    write(tmp_path / "b.tif", IMAGE.astype(np.int16), volume)

    assert volume.spacing == (7.91, 0.1, 0.3)
    assert read(tmp_path / "b.tif").spacing == volume.spacing
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert 'PhysicalSizeZUnit="µm"' in str(tif.ome_metadata)


def ome(path: Path, **sizes: str) -> Path:
    """An OME-TIFF with the attributes PhysicalSizeX, PhysicalSizeXUnit, …"""
    metadata = {"axes": "ZYX", **{f"PhysicalSize{name}": size for name, size in sizes.items()}}
    tifffile.imwrite(path, IMAGE, ome=True, metadata=metadata)
    return path


def test_ome_sizes_in_different_units_are_brought_to_one(tmp_path: Path) -> None:
    nano = read(ome(tmp_path / "a.ome.tif", Z="3", Y="0.8", X="500", XUnit="nm"))
    micro = read(ome(tmp_path / "b.ome.tif", Z="3", Y="0.8", X="0.5"))

    assert (nano.spacing, nano.unit) == ((3.0, 0.8, 0.5), "µm")
    assert (nano.spacing, nano.unit) == (micro.spacing, micro.unit)


@pytest.mark.parametrize("axis", ["X", "Y"])
def test_a_pixel_of_one_ome_size_is_square(tmp_path: Path, axis: str) -> None:
    volume = read(ome(tmp_path / "a.ome.tif", Z="3", **{axis: "0.5", f"{axis}Unit": "nm"}))

    assert (volume.spacing, volume.unit) == ((3000.0, 0.5, 0.5), "nm")


@pytest.mark.parametrize(
    "sizes",
    [
        {"X": "0.5", "Y": "0.5"},
        {"X": "0.5"},
        {"X": "0.5", "Y": "0.5", "Z": "2", "ZUnit": "reference frame"},
    ],
)
def test_a_stack_without_a_known_ome_size_along_z_states_no_spacing(
    tmp_path: Path, sizes: dict[str, str]
) -> None:
    volume = read(ome(tmp_path / "a.ome.tif", **sizes))

    assert (volume.spacing, volume.unit, volume.has_header) == ((1.0, 1.0, 1.0), None, False)


@pytest.mark.parametrize("size", ["0", "-1", "INF", "NaN"])
def test_a_voxel_edge_that_is_no_length_is_refused(tmp_path: Path, size: str) -> None:
    path = ome(tmp_path / "a.ome.tif", Z="3", Y="0.8", X=size)

    for open_file in (read, open_lazy):
        with pytest.raises(InputError, match=r"a\.ome\.tif: voxel edges are finite and above 0, "):
            open_file(path)


def test_ome_sizes_are_written_back_to_the_letter(tmp_path: Path) -> None:
    source = ome(tmp_path / "a.ome.tif", Z="3.00", Y="0.8", YUnit="µm", X="500", XUnit="nm")

    write(tmp_path / "m.tif", (IMAGE > 9).astype(np.uint8), read(source))

    with tifffile.TiffFile(tmp_path / "m.tif") as tif:
        written = str(tif.ome_metadata)
    for text in ('PhysicalSizeZ="3.00"', 'X="500" PhysicalSizeXUnit="nm"', 'YUnit="µm"'):
        assert text in written
    assert "PhysicalSizeZUnit" not in written
    assert read(tmp_path / "m.tif").spacing == (3.0, 0.8, 0.5)


def test_ome_escapes_and_unknown_units_are_understood(tmp_path: Path) -> None:
    escaped = ome(tmp_path / "a.ome.tif", Z="3", Y="1", X="1", ZUnit="MUMUMUM")
    escaped.write_bytes(escaped.read_bytes().replace(b'"MUMUMUM"', b'"&#181;m"'))
    unknown = ome(tmp_path / "b.ome.tif", Z="3", ZUnit="reference frame")

    assert (read(escaped).unit, read(escaped).spacing) == ("µm", (3.0, 1.0, 1.0))
    assert (read(unknown).unit, read(unknown).spacing) == (None, (3.0, 1.0, 1.0))


@pytest.mark.parametrize("unit", ["nm", None])
def test_a_unit_of_another_format_is_carried_over(tmp_path: Path, unit: str | None) -> None:
    write(tmp_path / "a.tif", IMAGE, Volume(IMAGE, (3.0, 1.0, 0.5), None, unit=unit))

    volume = read(tmp_path / "a.tif")

    assert (volume.spacing, volume.unit) == ((3.0, 1.0, 0.5), unit)


def test_imagej_units_of_single_axes_are_brought_to_one(tmp_path: Path) -> None:
    metadata = {"axes": "ZYX", "spacing": 2500.0, "unit": "\\u00B5m", "zunit": "nm"}
    tifffile.imwrite(
        tmp_path / "a.tif", IMAGE, imagej=True, resolution=(4.0, 2.0), metadata=metadata
    )

    volume = read(tmp_path / "a.tif")
    write(tmp_path / "b.tif", IMAGE, volume)

    assert (volume.spacing, volume.unit) == ((2.5, 0.5, 0.25), "µm")
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        written = tif.imagej_metadata or {}
    assert {key: written[key] for key in ("spacing", "unit", "zunit")} == {
        "spacing": 2500.0,
        "unit": "\\u00B5m",
        "zunit": "nm",
    }


@pytest.mark.parametrize("unit", [{"unit": "inch"}, {}])
def test_dots_per_inch_are_no_spacing(tmp_path: Path, unit: dict[str, str]) -> None:
    options: dict[str, Any] = {"resolution": (300.0, 300.0), "resolutionunit": 2}
    tifffile.imwrite(
        tmp_path / "a.tif", IMAGE, imagej=True, metadata={"axes": "ZYX", **unit}, **options
    )

    assert not read(tmp_path / "a.tif").has_header


def test_an_imagej_stack_of_pixels_beside_lengths_states_no_spacing(tmp_path: Path) -> None:
    metadata = {"axes": "ZYX", "spacing": 3.0, "unit": "um", "zunit": "pixel"}
    for name, image in (("stack", IMAGE), ("slice", IMAGE[:1])):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, image, imagej=True, resolution=(4.0, 2.0), metadata=metadata)

    assert not read(tmp_path / "stack.tif").has_header
    assert read(tmp_path / "slice.tif").spacing[1:] == (0.5, 0.25)


def test_a_mask_in_a_type_that_imagej_lacks_keeps_spacing_and_unit(tmp_path: Path) -> None:
    metadata = {"axes": "ZYX", "spacing": 2.5, "unit": "um"}
    tifffile.imwrite(
        tmp_path / "a.tif", IMAGE, imagej=True, resolution=(4.0, 2.0), metadata=metadata
    )

    write(tmp_path / "b.tif", IMAGE.astype(np.int16), read(tmp_path / "a.tif"))

    volume = read(tmp_path / "b.tif")
    assert (volume.spacing, volume.unit) == ((2.5, 0.5, 0.25), "µm")


@pytest.mark.parametrize("dialect", ["ome", "imagej"])
@pytest.mark.parametrize(
    ("axes", "shape"), [("TZYX", (2, 3, 4, 5)), ("TZCYX", (2, 3, 2, 4, 5)), ("TYX", (2, 4, 5))]
)
def test_several_time_points_are_refused(
    tmp_path: Path, dialect: str, axes: str, shape: tuple[int, ...]
) -> None:
    options = {dialect: True, "metadata": {"axes": axes}}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8), **options)

    with pytest.raises(InputError, match=r"a\.tif: a volume has one time point, found 2; save"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("dialect", ["ome", "imagej"])
def test_one_time_point_is_a_volume(tmp_path: Path, dialect: str) -> None:
    options = {dialect: True, "metadata": {"axes": "TZYX"}}
    tifffile.imwrite(tmp_path / "a.tif", IMAGE[None], **options)

    assert np.array_equal(read(tmp_path / "a.tif").array, IMAGE)


def test_channels_in_the_middle_move_to_the_front(tmp_path: Path) -> None:
    image = np.stack([IMAGE, 255 - IMAGE], axis=1)
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, metadata={"axes": "ZCYX"})

    volume = read(tmp_path / "a.tif")
    write(tmp_path / "b.tif", volume.array, volume)

    assert np.array_equal(volume.array, np.moveaxis(image, 1, 0))
    assert np.array_equal(read(tmp_path / "b.tif").array, volume.array)


def test_colour_samples_are_channels(tmp_path: Path) -> None:
    image = np.stack([IMAGE, 255 - IMAGE, IMAGE // 2], axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")

    assert np.array_equal(read(tmp_path / "a.tif").array, np.moveaxis(image, -1, 0))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_colour_image_is_one_slice_of_three_channels(tmp_path: Path, planar: str) -> None:
    image = np.stack([IMAGE[0], 255 - IMAGE[0], IMAGE[0] // 2])
    samples = image if planar == "separate" else np.moveaxis(image, 0, -1)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", planarconfig=planar)

    volume = read(tmp_path / "a.tif")

    assert np.array_equal(volume.array, image[:, np.newaxis])
    assert np.array_equal(open_lazy(tmp_path / "a.tif").voxels.array, image[:, np.newaxis])


def test_one_grey_page_is_one_slice(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE[0], compression="lzw")

    assert np.array_equal(read(tmp_path / "a.tif").array, IMAGE[:1])
    assert open_lazy(tmp_path / "a.tif").shape == IMAGE[:1].shape


def test_channels_of_one_slice_are_no_slices(tmp_path: Path) -> None:
    image = np.stack([IMAGE[0], 255 - IMAGE[0], IMAGE[0] // 2])
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, metadata={"axes": "CYX"})

    assert np.array_equal(read(tmp_path / "a.tif").array, image[:, np.newaxis])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"photometric": "rgb", "extrasamples": ["unassalpha"]},
            "an image has no alpha channel, found one; save",
        ),
        (
            {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
            "its pixels are entries of a palette",
        ),
        ({"photometric": "miniswhite"}, "its header tells viewers to show 0 as white"),
        (
            {"extratags": [(274, 3, 1, 6, True)]},
            r"its header tells viewers to turn it \(EXIF orientation 6\)",
        ),
    ],
)
def test_an_image_whose_values_viewers_change_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    image = np.zeros((30, 20, 4) if "extrasamples" in options else (30, 20), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, **options)

    with pytest.raises(InputError, match=rf"a\.tif: {message}"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_stack_with_an_alpha_channel_is_refused_as_an_image_is(
    tmp_path: Path, planar: str
) -> None:
    samples = np.zeros((5, 9, 8, 4) if planar == "contig" else (5, 4, 9, 8), np.uint8)
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", samples, planarconfig=planar, **options)

    for open_file in (read, open_lazy):
        with pytest.raises(InputError, match="an image has no alpha channel, found one"):
            open_file(tmp_path / "a.tif")


def test_pages_of_different_shape_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(IMAGE[0], contiguous=False)
        tif.write(IMAGE[0, :9], contiguous=False)

    with pytest.raises(InputError, match=r"one series of equal pages, found 2"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_no_cut_of_a_file_is_read_as_a_shorter_volume(
    tmp_path: Path, compression: str | None
) -> None:
    whole, cut = tmp_path / "a.tif", tmp_path / "cut.tif"
    tifffile.imwrite(whole, IMAGE, compression=compression, metadata=None)
    content = whole.read_bytes()
    with tifffile.TiffFile(whole) as tif:
        ends = [int(page.dataoffsets[-1] + page.databytecounts[-1]) for page in tif.pages]
    assert len(ends) == 6
    places = {*range(1, len(content) - 1, 97), *ends[:-1], len(content) // 2}

    for place in sorted(places):
        cut.write_bytes(content[:place])
        try:
            found = read(cut)
        except InputError as fault:
            assert "truncated" in str(fault)
        else:
            assert np.array_equal(found.array, IMAGE), place


def test_faults_of_one_file_do_not_reach_another_thread_s(tmp_path: Path) -> None:
    whole, cut = tmp_path / "a.tif", tmp_path / "cut.tif"
    tifffile.imwrite(whole, IMAGE, compression="lzw")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    def good(path: Path) -> bool:
        try:
            return read(path).shape == IMAGE.shape
        except InputError:
            return False

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(good, [whole, cut] * 20))

    assert found == [True, False] * 20


def test_a_cut_stack_of_slices_without_pages_is_refused(tmp_path: Path) -> None:
    whole, cut = tmp_path / "a.tif", tmp_path / "cut.tif"
    tifffile.imwrite(whole, IMAGE, imagej=True, metadata={"axes": "ZYX"})
    cut.write_bytes(whole.read_bytes()[:-1000])

    with pytest.raises(InputError, match=r"truncated"):
        read(cut)


@pytest.mark.parametrize("missing_bytes", [1, 100])
def test_a_cut_header_behind_the_pages_is_refused_and_not_read_as_no_spacing(
    tmp_path: Path, missing_bytes: int
) -> None:
    whole, cut = tmp_path / "a.ome.tif", tmp_path / "cut.ome.tif"
    sizes = {"PhysicalSizeZ": 2.0, "PhysicalSizeX": 1.0}
    tifffile.imwrite(whole, IMAGE, compression="zlib", metadata={"axes": "ZYX", **sizes})
    with tifffile.TiffFile(whole) as tif:
        end = int(tif.pages[-1].dataoffsets[-1] + tif.pages[-1].databytecounts[-1])
    content = whole.read_bytes()
    assert end < len(content) - missing_bytes
    assert read(whole).spacing == open_lazy(whole).header.spacing == (2.0, 1.0, 1.0)
    cut.write_bytes(content[:-missing_bytes])

    for open_file in (read, open_lazy):
        with pytest.raises(InputError, match=r"truncated or damaged \(invalid value offset \d+\)"):
            open_file(cut)
