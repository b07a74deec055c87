"""Multi-page TIFF through tifffile."""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vesuv.io.formats.volume import (
    Array,
    FormatError,
    Spacing,
    Volume,
    check_claim,
    require_volume,
)

_SPATIAL = "ZIQRYX"
"""Axis codes of tifffile that can be spatial; I, Q and R are unnamed page sequences."""
_CHANNEL = "CS"
_IMAGEJ_TYPES = (np.uint8, np.uint16, np.float32)


_LZW = 5
_LOSSLESS = {1: 1, _LZW: _LZW, 8: 8, 32773: 32773, 32946: 8, 50000: 50000}
"""Compression tags that are written back; masks under any other are written as LZW."""


@dataclass(frozen=True)
class TiffGeometry:
    """What is written back: compression, resolution, and whose metadata carries the spacing."""

    kind: Literal["plain", "imagej", "ome"]
    compression: int
    resolution: tuple[Any, Any] | None
    resolution_unit: int | None
    metadata: dict[str, Any]


def read(path: Path) -> Volume:
    """Read all pages as one volume; refuse files cut short, which decoders fill with zeros."""
    import tifffile

    faults = _COLLECTOR.messages()
    faults.clear()
    logging.getLogger("tifffile").addHandler(_COLLECTOR)
    with tifffile.TiffFile(path) as tif:
        _refuse_cut(tif, path.stat().st_size)
        _refuse_logged(faults)
        if len(tif.series) != 1:
            shapes = ", ".join(str(tuple(series.shape)) for series in tif.series[:3])
            raise FormatError(
                f"a volume is one series of equal pages, found {len(tif.series)} ({shapes}); "
                "save its pages with one shape and type"
            )
        series = tif.series[0]
        _refuse_short(series, path.stat().st_size)
        check_claim(series.shape, series.dtype.itemsize if series.dtype else 1)
        array = series.asarray()
        _refuse_logged(faults)
        array = _ordered(array, series.axes)
        spacing, geometry = _spacing(tif), _geometry(tif)
    return Volume(array, spacing, geometry)


def write(path: Path, array: Array, like: Volume | None) -> None:
    """Write one page a slice, compressed as `like` is (LZW without it), in its dialect."""
    import tifffile

    array = array.view(np.uint8) if array.dtype == np.bool_ else array
    spacing = (1.0, 1.0, 1.0) if like is None else like.spacing
    geometry = like.geometry if like and isinstance(like.geometry, TiffGeometry) else None
    if geometry is None:
        kind: Any = "plain" if spacing == (1.0, 1.0, 1.0) else "ome"
        geometry = TiffGeometry(kind, _LZW, None, None, {})
    imagej = geometry.kind == "imagej" and array.dtype.type in _IMAGEJ_TYPES
    if imagej and array.ndim == 4:
        array = array.swapaxes(0, 1)
    axes = "ZYX" if array.ndim == 3 else "ZCYX" if imagej else "CZYX"
    options: dict[str, Any] = {"metadata": {"axes": axes}}
    if imagej:
        options = {"imagej": True, "metadata": {"axes": axes, **geometry.metadata}}
    elif geometry.kind != "plain":
        sizes = {f"PhysicalSize{n}": edge for n, edge in zip("ZYX", spacing, strict=True)}
        options = {"ome": True, "metadata": {"axes": axes, **sizes, **geometry.metadata}}
    if geometry.resolution and (imagej or geometry.kind == "plain"):
        options["resolution"] = geometry.resolution
        options["resolutionunit"] = geometry.resolution_unit
    compression = _LOSSLESS.get(geometry.compression, _LZW)
    tifffile.imwrite(path, array, photometric="minisblack", compression=compression, **options)


class _Collector(logging.Handler):
    """Keeps what tifffile logs about broken pages instead of raising, apart for each thread."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.own = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message for the thread that reads."""
        self.messages().append(record.getMessage())

    def messages(self) -> list[str]:
        """Messages of the calling thread, which it may clear."""
        if not hasattr(self.own, "messages"):
            self.own.messages = []
        messages: list[str] = self.own.messages
        return messages


_COLLECTOR = _Collector()


def _refuse_logged(faults: list[str]) -> None:
    """A broken chain of pages or strip is only logged; a strange tag alone does no harm."""
    for fault in faults:
        if "TiffTag" not in fault:
            reason = fault.rpartition("> ")[2]
            raise FormatError(f"the TIFF is truncated or damaged ({reason:.200}); copy it again")


def _refuse_cut(tif: Any, size: int) -> None:
    """Every strip and tile of every page must lie within the file, where decoders fill in zeros."""
    for number, page in enumerate(tif.pages):
        ends = [o + c for o, c in zip(page.dataoffsets, page.databytecounts, strict=False)]
        if not ends or max(ends) > size:
            raise FormatError(
                f"the TIFF is truncated: page {number} reaches to byte {max(ends, default=0)}, the "
                f"file has {size}; copy it again"
            )


def _refuse_short(series: Any, size: int) -> None:
    """Slices that follow the first page without pages of their own must lie within the file."""
    end = 0 if series.dataoffset is None else series.dataoffset + series.nbytes
    if end > size:
        raise FormatError(
            f"the TIFF is truncated: its volume reaches to byte {end}, the file has {size}; "
            "copy it again"
        )


def _ordered(array: Array, axes: str) -> Array:
    """Bring tifffile's axes to (z, y, x) or (c, z, y, x)."""
    for place in reversed(range(len(axes))):
        if array.shape[place] == 1 and axes[place] not in "ZYX" and array.ndim > 3:
            array, axes = array.squeeze(place), axes[:place] + axes[place + 1 :]
    channel = next((place for place, code in enumerate(axes) if code in _CHANNEL), None)
    if array.ndim == 4 and channel is not None:
        array = np.moveaxis(array, channel, 0)
    elif array.ndim == 3 and "S" in axes:
        raise FormatError(
            f"a volume has 3 dimensions, found one colour picture {array.shape}; give a 3-D volume"
        )
    return require_volume(array, axes)


def _spacing(tif: Any) -> Spacing:
    """Voxel edges from ImageJ's or OME's metadata; 1 where plain TIFF tags say nothing of z."""
    if tif.is_imagej:
        depth = float((tif.imagej_metadata or {}).get("spacing", 1.0))
        page = tif.pages[0]
        return abs(depth) or 1.0, _edge(page, "YResolution"), _edge(page, "XResolution")
    if tif.is_ome:
        found = dict(re.findall(r'PhysicalSize([ZYX])="([^"]+)"', tif.ome_metadata))
        z, y, x = (float(found.get(name, 1.0)) for name in "ZYX")
        return z, y, x
    return 1.0, 1.0, 1.0


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
        metadata = {key: imagej[key] for key in ("spacing", "unit") if key in imagej}
    elif tif.is_ome:
        metadata = dict(re.findall(r'(PhysicalSize[ZYX]Unit)="([^"]+)"', tif.ome_metadata))
    return TiffGeometry(
        kind="imagej" if tif.is_imagej else "ome" if tif.is_ome else "plain",
        compression=int(page.compression),
        resolution=None if None in tags else (tags[0].value, tags[1].value),
        resolution_unit=None if unit is None else int(unit.value),
        metadata=metadata,
    )
