"""Image logs in a folder: wells.csv, images/<id>.<png, tif, npy>, and picks/<id>.csv."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vesuv.curves.csv_lines import csv_lines
from vesuv.curves.geometry import Borehole
from vesuv.curves.picks import Pick, read_picks
from vesuv.errors import InputError, InputErrors
from vesuv.files import check_regular

LogImage = npt.NDArray[np.float32]
"""Grey values (row, column); NaN where nothing was measured."""

LIST, IMAGES, PICKS = "wells.csv", "images", "picks"
SUFFIXES = (".png", ".tif", ".tiff", ".npy")
_COLUMNS = ("id", "diameter_mm", "pixel_mm")


@dataclass(frozen=True, eq=False)
class ImageLog:
    """The image of a well, and its picks where an interpreter made them."""

    id: str
    image: LogImage = field(repr=False)
    hole: Borehole
    top: float = 0.0
    """Depth of the first row in metres."""
    group: str = ""
    """Logs of one group never cross folds; the id where nothing else is given."""
    picks: tuple[Pick, ...] = ()

    @property
    def num_rows(self) -> int:
        return int(self.image.shape[0])


@dataclass(frozen=True)
class _Entry:
    """A line of wells.csv."""

    id: str
    hole: Borehole
    top: float
    group: str


def read_logs(
    root: Path, columns: int, missing: float | None, *, needs_picks: bool = True
) -> tuple[ImageLog, ...]:
    """Read all logs of a folder, by id.

    Args:
        root: Folder with wells.csv (id, diameter_mm, pixel_mm and, where they are known, top_m and
            group), images/ and picks/.
        columns: Columns that images are resampled to.
        missing: Grey value of pixels without a measurement, None for none; NaN always is one.
        needs_picks: Refuse a log without a table of picks.

    Raises:
        InputErrors: One sentence for each fault.
    """
    logs, faults = [], []
    for entry in _read_list(root / LIST):
        try:
            logs.append(_read_log(root, entry, columns, missing, needs_picks=needs_picks))
        except InputErrors as fault:
            faults += fault.faults
        except InputError as fault:
            faults.append(str(fault))
    if faults:
        raise InputErrors(faults)
    return tuple(sorted(logs, key=lambda log: log.id))


def folds_of(logs: Sequence[ImageLog], num: int, seed: int) -> list[tuple[ImageLog, ...]]:
    """Deal groups of logs to folds: shuffled, the fold with the fewest rows next.

    Raises:
        InputError: There are fewer groups than folds.
    """
    groups = sorted({log.group for log in logs})
    if len(groups) < num:
        raise InputError(
            f"logs.folds: {num} folds need as many groups of wells, found {len(groups)}; lower it "
            "or add wells"
        )
    order = np.random.default_rng(seed).permutation(len(groups))
    folds: list[list[ImageLog]] = [[] for _ in range(num)]
    for index in order:
        group = [log for log in logs if log.group == groups[index]]
        min(folds, key=lambda fold: sum(log.num_rows for log in fold)).extend(group)
    return [tuple(sorted(fold, key=lambda log: log.id)) for fold in folds]


def resampled(image: LogImage, columns: int) -> LogImage:
    """Return an image with another number of columns, linearly interpolated around the hole.

    A new pixel is missing where more than half of its weight lies on missing ones.
    """
    width = image.shape[1]
    if width == columns:
        return image
    place = np.arange(columns) * (width / columns)
    left = np.floor(place).astype(np.int64)
    share = (place - left).astype(np.float32)
    measured = np.isfinite(image)
    values = np.where(measured, image, 0.0).astype(np.float32)

    def mixed(part: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        mix = part[:, left] * (1 - share) + part[:, (left + 1) % width] * share
        return np.asarray(mix, dtype=np.float32)

    weight = mixed(measured.astype(np.float32))
    result = np.full(weight.shape, np.nan, dtype=np.float32)
    np.divide(mixed(values), weight, out=result, where=weight >= 0.5)
    return result


def _read_log(
    root: Path, entry: _Entry, columns: int, missing: float | None, *, needs_picks: bool
) -> ImageLog:
    image = resampled(read_image(_image_file(root / IMAGES, entry.id), missing), columns)
    log = ImageLog(entry.id, image, entry.hole, entry.top, entry.group)
    table = root / PICKS / f"{entry.id}.csv"
    if not (needs_picks or table.is_file()):
        return log
    return replace(log, picks=read_picks(table, log.top, log.hole.pixel_mm, log.num_rows))


def read_image(path: Path, missing: float | None = None) -> LogImage:
    """Read one image, (row, column); colours are averaged to grey.

    Raises:
        InputError: It cannot be read, or is no image of at least two columns.
    """
    try:
        check_regular(path)
        array = _load(path)
    except Exception as fault:  # each library raises its own exceptions for a damaged file
        reason = " ".join(str(fault).split()) or type(fault).__name__
        raise InputError(f"{path}: cannot be read as an image ({reason:.200}); check it") from None
    if array.ndim == 3 and array.shape[2] in (3, 4):
        array = array[..., :3].mean(axis=2)
    has_pixels = array.ndim == 2 and array.shape[0] >= 1 and array.shape[1] >= 2
    if not has_pixels or array.dtype.kind not in "buif":
        raise InputError(
            f"{path}: an image log has rows and columns of numbers, found {array.dtype} "
            f"{tuple(array.shape)}; convert it"
        )
    image = array.astype(np.float32)
    image[~np.isfinite(image)] = np.nan
    if missing is not None:
        image[array == missing] = np.nan
    if np.isnan(image).all():
        raise InputError(
            f"{path}: every pixel is missing; set logs.missing to the grey value of missing pixels"
        )
    return image


def _load(path: Path) -> npt.NDArray[np.generic]:
    if path.suffix.lower() == ".npy":
        return np.asarray(np.load(path, allow_pickle=False, mmap_mode="r"))
    if path.suffix.lower() == ".png":
        from PIL import Image

        with Image.open(path) as picture:
            mode = picture.mode if picture.mode in ("L", "I", "I;16", "F", "RGB") else "RGB"
            return np.asarray(picture if mode == picture.mode else picture.convert(mode))
    import tifffile

    return np.asarray(tifffile.imread(path))


def _image_file(folder: Path, name: str) -> Path:
    for suffix in SUFFIXES:
        if (folder / f"{name}{suffix}").exists():
            return folder / f"{name}{suffix}"
    raise InputError(
        f"{folder / name}: no image of this name, ending in {', '.join(SUFFIXES)}; add it or take "
        f"{name} out of {LIST}"
    )


def _read_list(path: Path) -> list[_Entry]:
    hint = f"it lists the wells: {', '.join(_COLUMNS)}, top_m, group"
    entries = [_entry(path, line) for _, line in csv_lines(path, _COLUMNS, hint)]
    names = [entry.id for entry in entries]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None or not entries:
        what = f"id {doubled} stands twice" if doubled is not None else "it lists no well"
        raise InputError(f"{path}: {what}; correct it")
    return entries


def _entry(path: Path, line: dict[str, str]) -> _Entry:
    name = line["id"]
    if not name.isprintable() or name in ("", ".", "..") or set("/\\") & set(name):
        raise InputError(f"{path}: id must be a file name without its ending, found {name!r:.60}")
    sizes = [_size(path, line, key) for key in ("diameter_mm", "pixel_mm")]
    top = _size(path, line, "top_m", -math.inf) if line.get("top_m") else 0.0
    return _Entry(name, Borehole(*sizes), top, line.get("group") or name)


def _size(path: Path, line: dict[str, str], key: str, above: float = 0.0) -> float:
    try:
        value = float(line[key])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > above):
        rule = f"a number above {above:g}" if math.isfinite(above) else "a number"
        raise InputError(f"{path}: {line['id']}: {key} must be {rule}, found {line[key]!r:.60}")
    return value
