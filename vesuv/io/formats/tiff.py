"""Multi-page TIFF through tifffile: plain, ImageJ and OME dialects."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vesuv.files import open_regular
from vesuv.io.formats.image_2d import OF_A_PALETTE, ORIENTATION, refuse_turned
from vesuv.io.formats.tiff_checks import (
    SingleFile,
    collected_faults,
    refuse_alpha,
    refuse_codecs,
    refuse_faults,
    refuse_missing_pages,
    refuse_other_files,
    refuse_truncated_pages,
    refuse_truncated_series,
)
from vesuv.io.formats.units import are_comparable, common_unit, convert, parse_unit
from vesuv.io.formats.volume import (
    NO_SPACING,
    FormatError,
    Volume,
    check_claimed_size,
    refuse_time_points,
    require_volume,
    without_slice_axis,
)
from vesuv.types import Array, Spacing

_CHANNEL_AXES = "CS"
_INCH = 2  # tag ResolutionUnit, of dots in print
_WHITE_IS_ZERO, _PALETTE = 0, 3
"""Values of the tag PhotometricInterpretation."""
_IMAGEJ_TYPES = (np.uint8, np.uint16, np.float32)
_IMAGEJ_KEYS = ("spacing", "unit", "yunit", "zunit")
_OME_DEFAULT_UNIT = "µm"
"""Unit of a PhysicalSize without a PhysicalSizeUnit, by the OME schema."""
_OME_NO_UNIT = "reference frame"
"""OME's unit of lengths in an unknown unit."""
_LZW = 5
_LOSSLESS = {1: 1, _LZW: _LZW, 8: 8, 32773: 32773, 32946: 8, 50000: 50000}
"""Compression tag of the image -> tag of the mask; for all other tags masks are written as LZW."""
_MAX_CLASSIC = 2**31
"""Most bytes of voxels in a TIFF that is no BigTIFF: 4 GiB end it, and LZW makes noise longer."""


@dataclass(frozen=True)
class TiffGeometry:
    """Header entries that masks are written with: compression, resolution, dialect's metadata."""

    kind: Literal["plain", "imagej", "ome"]
    compression: int
    resolution: tuple[Any, Any] | None
    resolution_unit: int | None
    metadata: dict[str, Any]
    """ImageJ's spacing and units, or OME's PhysicalSize attributes, with the file's values."""
    is_slice: bool = False
    """Whether the file has no axis z, so that masks have none."""


def read(path: Path) -> Volume:
    """Read all pages as one volume; refuse truncated files, which decoders fill with zeros."""
    import tifffile

    faults = collected_faults()
    with SingleFile(open_regular(path).detach()) as file, tifffile.TiffFile(file) as tif:
        refuse_codecs_and_other_files(tif, path)
        refuse_faults(faults)
        series = checked_series(tif, path)
        check_claimed_size(series.shape, series.dtype.itemsize if series.dtype else 1)
        _refuse_other_looks(tif, series)
        array = series.asarray()
        refuse_faults(faults)
        return header_of(tif, _reorder(array, series.axes))


def refuse_codecs_and_other_files(tif: Any, path: Path) -> None:
    """Refuse a file that points to other files, is truncated, or needs an unsafe codec.

    Raises:
        FormatError: Names the fault.
    """
    refuse_other_files(tif)
    refuse_truncated_pages(tif, path.stat().st_size)
    refuse_codecs(tif)


def checked_series(tif: Any, path: Path) -> Any:
    """Return the only series of a file.

    Raises:
        FormatError: Several series, several time points, an alpha channel, or missing pages.
    """
    if len(tif.series) != 1:
        shapes = ", ".join(str(tuple(series.shape)) for series in tif.series[:3])
        raise FormatError(
            f"a volume is one series of equal pages, found {len(tif.series)} ({shapes}); "
            "save its pages at once, with one shape and type"
        )
    series = tif.series[0]
    refuse_alpha(tif)
    refuse_time_points(dict(zip(series.axes, series.shape, strict=True)).get("T", 1))
    refuse_truncated_series(series, path.stat().st_size)
    refuse_missing_pages(series)
    return series


def header_of(tif: Any, array: Array) -> Volume:
    """Return an array with the geometry of a file."""
    geometry = _geometry(tif)
    spacing, unit = _spacing(tif, geometry, array.shape[-3])
    return Volume(array, spacing, geometry, unit=unit)


def write(path: Path, array: Array, like: Volume | None) -> None:
    """Write one page for each slice, with the compression (else LZW) and dialect of `like`."""
    import tifffile

    array = array.view(np.uint8) if array.dtype == np.bool_ else array
    array = without_slice_axis(array) if _is_slice(like) else array
    options, is_zcyx = _options(array.shape, array.dtype, like)
    array = array.swapaxes(0, 1) if is_zcyx else array
    tifffile.imwrite(path, array, **options)


def write_pages(
    path: Path,
    pages: Iterable[Array],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    like: Volume | None,
) -> None:
    """Write a volume of which one page is in memory at a time.

    Args:
        path: File.
        pages: Slices in the order of (z, y, x) or (c, z, y, x).
        shape: Shape of the volume.
        dtype: Type of the pages; not bool.
        like: As for `write`; files of ImageJ with channels are written as OME-TIFF.
    """
    import tifffile

    shape = shape[1:] if _is_slice(like) and len(shape) == 3 and shape[0] == 1 else shape
    options, is_zcyx = _options(shape, dtype, like)
    if is_zcyx and like is not None:
        options, _ = _options(shape, dtype, replace(like, geometry=None))
    tifffile.imwrite(path, iter(pages), shape=shape, dtype=dtype, **options)


def _is_slice(like: Volume | None) -> bool:
    return like is not None and isinstance(like.geometry, TiffGeometry) and like.geometry.is_slice


def _options(
    shape: tuple[int, ...], dtype: np.dtype[Any], like: Volume | None
) -> tuple[dict[str, Any], bool]:
    """Options of tifffile, and whether channels follow z."""
    is_big = math.prod(shape) * dtype.itemsize > _MAX_CLASSIC
    geometry = like.geometry if like and isinstance(like.geometry, TiffGeometry) else None
    if geometry is None:
        kind: Any = "ome" if like and like.has_header else "plain"
        geometry = TiffGeometry(kind, _LZW, None, None, _ome_sizes(like))
    compression = _LOSSLESS.get(geometry.compression, _LZW)
    imagej = geometry.kind == "imagej" and dtype.type in _IMAGEJ_TYPES
    imagej = imagej and not (is_big and compression != 1)  # which has large files without BigTIFF
    is_zcyx = imagej and len(shape) == 4
    axes = {2: "YX", 3: "ZYX", 4: "ZCYX" if imagej else "CZYX"}[len(shape)]
    options: dict[str, Any] = {"metadata": {"axes": axes}}
    if imagej:
        options = {"imagej": True, "metadata": {"axes": axes, **geometry.metadata}}
    elif geometry.kind != "plain":
        sizes = geometry.metadata if geometry.kind == "ome" else _ome_sizes(like)
        options = {"ome": True, "metadata": {"axes": axes, **sizes}}
    if geometry.resolution and (imagej or geometry.kind == "plain"):
        options["resolution"] = geometry.resolution
        options["resolutionunit"] = geometry.resolution_unit
    bigtiff = is_big and not imagej
    options |= {"compression": compression, "photometric": "minisblack", "bigtiff": bigtiff}
    return options, is_zcyx


def _ome_sizes(like: Volume | None) -> dict[str, Any]:
    """OME's attributes for the spacing of another format or dialect."""
    if like is None or not like.has_header:
        return {}
    sizes: dict[str, Any] = {}
    for name, edge in zip("ZYX", like.spacing, strict=True):
        sizes |= {f"PhysicalSize{name}": edge, f"PhysicalSize{name}Unit": like.unit or _OME_NO_UNIT}
    return sizes


def _reorder(array: Array, axes: str) -> Array:
    """The array with axes (z, y, x) or (c, z, y, x)."""
    for place in reversed(range(len(axes))):
        if array.shape[place] == 1 and axes[place] not in "ZYX" and array.ndim > 3:
            array, axes = array.squeeze(place), axes[:place] + axes[place + 1 :]
    if is_image_2d(axes):
        array, axes = array[np.newaxis], f"Z{axes}"
    channel = next((place for place, code in enumerate(axes) if code in _CHANNEL_AXES), None)
    if array.ndim == 4 and channel is not None:
        array = np.moveaxis(array, channel, 0)
    return require_volume(array, axes)


def is_image_2d(axes: str) -> bool:
    """Return whether axes are those of one slice: y and x, and channels or samples."""
    return len(axes) == 2 or (len(axes) == 3 and any(code in _CHANNEL_AXES for code in axes))


def _refuse_other_looks(tif: Any, series: Any) -> None:
    """Refuse a two-dimensional image whose values are not what viewers show."""
    if not is_image_2d(series.axes):
        return  # of stacks the values count: ImageJ saves colour tables and inverted ones with them
    page = tif.pages[0]
    if page.photometric == _PALETTE:
        raise FormatError(OF_A_PALETTE)
    if page.photometric == _WHITE_IS_ZERO:
        raise FormatError(
            "its header tells viewers to show 0 as white (PhotometricInterpretation 0), and "
            "programs differ in the values they read; save it with 0 as black"
        )
    tag = page.tags.get(ORIENTATION)
    refuse_turned(1 if tag is None else int(tag.value))


def _spacing(tif: Any, geometry: TiffGeometry, num_slices: int) -> tuple[Spacing, str | None]:
    """Spacing and unit by ImageJ's or OME's metadata; plain TIFF has no tag for z."""
    metadata, unit_x = geometry.metadata, geometry.metadata.get("unit")
    is_print = geometry.resolution_unit == _INCH and parse_unit(unit_x) in (None, "in")
    if geometry.kind == "plain" or (geometry.kind == "imagej" and is_print):
        return NO_SPACING, None
    if geometry.kind == "imagej":
        depth = abs(float(metadata.get("spacing", 1.0))) or 1.0
        edges = [depth, *(_edge(tif.pages[0], f"{axis}Resolution") for axis in "YX")]
        units = [metadata.get("zunit", unit_x), metadata.get("yunit", unit_x), unit_x]
    else:
        names = [f"PhysicalSize{axis}" for axis in "ZYX"]
        in_plane = [name for name in names[1:] if name in metadata]
        names[1:] = in_plane * 2 if len(in_plane) == 1 else names[1:]  # pixels are square
        if num_slices > 1 and names[0] not in metadata:
            return NO_SPACING, None  # how the other edges compare with z, nobody knows
        edges = [float(metadata.get(name, 1.0)) for name in names]
        units = [
            metadata.get(f"{name}Unit", _OME_DEFAULT_UNIT) if name in metadata else None
            for name in names
        ]
    axis_units = [parse_unit(text) for text in units]
    if not are_comparable(axis_units[num_slices == 1 :]):  # one slice has no distance of slices
        return NO_SPACING, None
    unit = common_unit(axis_units)
    z, y, x = (convert(*edge, unit) for edge in zip(edges, axis_units, strict=True))
    return (z, y, x), unit


def _edge(page: Any, name: str) -> float:
    tag = page.tags.get(name)
    if tag is None or not tag.value[0] or not tag.value[1]:
        return 1.0
    numerator, denominator = tag.value
    return float(denominator) / float(numerator)


def _geometry(tif: Any) -> TiffGeometry:
    page = tif.pages[0]
    tags = [page.tags.get(name) for name in ("XResolution", "YResolution")]
    unit = page.tags.get("ResolutionUnit")
    metadata: dict[str, Any] = {}
    if tif.is_imagej:
        imagej = tif.imagej_metadata or {}
        metadata = {key: imagej[key] for key in _IMAGEJ_KEYS if key in imagej}
    elif tif.is_ome:
        metadata = _ome_attributes(tif.ome_metadata)
    return TiffGeometry(
        kind="imagej" if tif.is_imagej else "ome" if tif.is_ome else "plain",
        compression=int(page.compression),
        resolution=None if None in tags else (tags[0].value, tags[1].value),
        resolution_unit=None if unit is None else int(unit.value),
        metadata=metadata,
        is_slice=is_image_2d(tif.series[0].axes),
    )


def _ome_attributes(text: str) -> dict[str, str]:
    """PhysicalSize attributes of the first image, unconverted."""
    element = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", text)
    attributes = re.findall(
        r"""\b(PhysicalSize[ZYX](?:Unit)?)\s*=\s*["']([^"']*)["']""", element[0] if element else ""
    )
    return {name: html.unescape(value) for name, value in attributes}
