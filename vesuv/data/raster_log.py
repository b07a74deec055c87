"""The raster-log phantom: scans of paper well logs with two curves, exact labels and true values.

The difficulties are those of old logs. A curve is one or two pixels wide, its ink fades, the second
one is dashed, and the two cross. Grid lines are as thin as the curves, scribbles and stamps as
dark. Depth runs down the image; each curve's value is linear between the edges of the track.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesuv.data.phantom_folder import CaseFolder, PhantomLayout, case_ids, start_phantom
from vesuv.io import formats
from vesuv.io.atomic import catch_write_errors
from vesuv.io.tables import Cell, write_csv

CURVES = ("curve_1", "curve_2")
"""Names of the classes, with label values 1 and 2; where they cross, the second lies on top."""
WIDTHS = (200, 600)
"""Smallest and largest width in pixels."""
SCALES = ((0.0, 150.0), (1.95, 2.95))
"""Value at the left and at the right edge of the track, of each curve: gamma ray, bulk density."""
_TOP, _STEP = 1000.0, 0.1
"""Depth of the first row, and between two rows, in metres."""
_PAPER = 225.0
_SUBROWS = 8
"""Positions of a curve that are drawn between two rows, so that steep parts have no gaps."""
_FOLDERS = {
    f"{prefix}{kind}": CaseFolder(part, ending)
    for part, prefix in (("train", ""), ("test", "test_"))
    for kind, ending in (("images", ".png"), ("labels", ".png"), ("curves", ".csv"))
}
_SCALES_FILE = "scales.csv"
_LAYOUT = PhantomLayout(_FOLDERS, (_SCALES_FILE,))

Field = NDArray[np.float32]


class RasterLog(NamedTuple):
    """A scan with what it shows."""

    image: NDArray[np.uint8]
    """(y, x), 0 black."""
    label: NDArray[np.uint8]
    """(y, x): 0 paper, 1 and 2 the curves."""
    columns: NDArray[np.float64]
    """Column of each curve's centre in each row, (2, y)."""
    track: tuple[int, int]
    """Column of the left and of the right edge of the track."""

    def values(self) -> NDArray[np.float64]:
        """Return the value of each curve in each row, (2, y)."""
        left, right = self.track
        shares = (self.columns - left) / (right - left)
        low, high = np.array(SCALES).T[:, :, None]
        values: NDArray[np.float64] = low + shares * (high - low)
        return values


def make_raster_logs(
    folder: str | Path,
    *,
    num_cases: int,
    height: int,
    seed: int,
    num_test: int = 0,
    overwrite: bool = False,
) -> None:
    """Write a data set of two folders, images and labels, as PNG.

    Args:
        folder: Receives images/, labels/, curves/ (the true values of each row), scales.csv (what
            `vesuv digitize` needs to know of each scan), and with `num_test` the same as
            test_images/, test_labels/, test_curves/.
        num_cases: Training scans.
        height: Rows of each scan; widths vary.
        seed: Seed of all scans.
        num_test: Held-out scans.
        overwrite: Replace an existing data set.

    Raises:
        InputError: The folder holds a data set, which is not replaced where it is no phantom, or
            cannot be written.
    """
    folder = Path(folder)
    with catch_write_errors(folder):
        ids = case_ids(num_cases, num_test, seed)
        start_phantom(folder, _LAYOUT, ids, overwrite=overwrite)
        rows: list[dict[str, Cell]] = []
        for prefix, cases in (("", ids["train"]), ("test_", ids["test"])):
            for case in cases:
                log = raster_log(seed * 100_003 + int(case), height)
                formats.write(folder / f"{prefix}images/{case}.png", log.image[np.newaxis])
                formats.write(folder / f"{prefix}labels/{case}.png", log.label[np.newaxis])
                write_csv(folder / f"{prefix}curves/{case}.csv", _curve_rows(log))
                rows += _scale_rows(case, log)
        write_csv(folder / _SCALES_FILE, rows)


def _curve_rows(log: RasterLog) -> list[dict[str, Cell]]:
    first, second = CURVES
    return [
        {"depth": round(_TOP + row * _STEP, 3), first: float(one), second: float(two)}
        for row, (one, two) in enumerate(log.values().T)
    ]


def _scale_rows(case: str, log: RasterLog) -> list[dict[str, Cell]]:
    last, rows = len(log.image) - 1, []
    for name, (low, high) in zip(CURVES, SCALES, strict=True):
        row: dict[str, Cell] = {"id": case, "curve": name}
        row |= {"left": log.track[0], "right": log.track[1], "left_value": low, "right_value": high}
        row |= {"top": 0, "bottom": last}
        row |= {"top_depth": _TOP, "bottom_depth": round(_TOP + last * _STEP, 3)}
        rows.append(row)
    return rows


def raster_log(seed: int, height: int) -> RasterLog:
    """Make one scan.

    Args:
        seed: Seed; with an equal height it gives equal pixels.
        height: Rows.
    """
    rng = np.random.default_rng(seed)
    width = int(rng.integers(WIDTHS[0], WIDTHS[1] + 1))
    margin = int(rng.integers(6, 20))
    track = margin, width - 1 - margin
    ink = np.zeros((height, width), np.float32)
    _draw_grid(rng, ink, track)
    label = np.zeros((height, width), np.uint8)
    fine = _curves(rng, height, track)
    for number, curve in enumerate(fine, start=1):
        drawn = _stroke(curve, width, thickness=float(rng.uniform(1.0, 2.0)))
        label[drawn] = number
        darkness = rng.uniform(110, 190) * _fading(rng, height)
        if number == 2:
            darkness = darkness * _dashes(rng, height)
        ink = np.maximum(ink, drawn * darkness[:, None])
    for _ in range(int(rng.integers(0, 4))):
        _draw_scribble(rng, ink)
    for _ in range(int(rng.integers(0, 3))):
        _draw_stamp(rng, ink)
    return RasterLog(_scan(rng, ink), label, fine[:, ::_SUBROWS], track)


def _curves(rng: np.random.Generator, height: int, track: tuple[int, int]) -> NDArray[np.float64]:
    """Two smooth random curves that cross, (2, (height - 1) * _SUBROWS + 1) columns."""
    left, right = track
    depth = np.linspace(0, height - 1, (height - 1) * _SUBROWS + 1)
    crossing = rng.uniform(0.25, 0.75) * height
    shares = []
    for sign in (-1.0, 1.0):
        lengths, phases = rng.uniform((14, 30, 80), (30, 80, 200)), rng.uniform(size=3)
        amplitudes = rng.uniform(0.3, 1.0, 3) * lengths / 40
        angles = 2 * np.pi * (depth / lengths[:, None] + phases[:, None])
        wiggle = (amplitudes[:, None] * np.sin(angles)).sum(axis=0)
        drift = sign * rng.uniform(0.1, 0.3) * np.tanh((depth - crossing) / (0.3 * height))
        shares.append(0.5 + drift + 0.06 * wiggle)
    columns: NDArray[np.float64] = left + np.clip(shares, 0.03, 0.97) * (right - left)
    return columns


def _stroke(curve: NDArray[np.float64], width: int, thickness: float) -> NDArray[np.bool_]:
    """Pixels within half the thickness of the curve, along the row."""
    height = (len(curve) - 1) // _SUBROWS + 1
    padded = np.pad(curve, _SUBROWS // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _SUBROWS + 1)[::_SUBROWS][:height]
    low, high = windows.min(axis=1) - thickness / 2, windows.max(axis=1) + thickness / 2
    x = np.arange(width)
    drawn: NDArray[np.bool_] = (x >= low[:, None]) & (x <= high[:, None])
    return drawn


def _fading(rng: np.random.Generator, height: int) -> Field:
    """Share of the ink that is left in each row: in places a quarter."""
    noise = ndimage.gaussian_filter1d(rng.standard_normal(height), 12.0, mode="reflect")
    faded: Field = np.clip(0.8 + 0.35 * noise / max(noise.std(), 1e-6), 0.25, 1).astype(np.float32)
    return faded


def _dashes(rng: np.random.Generator, height: int) -> Field:
    dash, gap = int(rng.integers(6, 12)), int(rng.integers(2, 5))
    phase = np.arange(height) + int(rng.integers(dash + gap))
    return (phase % (dash + gap) < dash).astype(np.float32)


def _draw_grid(rng: np.random.Generator, ink: Field, track: tuple[int, int]) -> None:
    """Thin lines across and along, each fifth one darker, and the edges of the track."""
    light = float(rng.uniform(15, 45))
    for axis, start in ((0, int(rng.integers(8))), (1, track[0])):
        step = int(rng.integers(9, 22))
        for number, place in enumerate(range(start, ink.shape[axis], step)):
            line = ink[place] if axis == 0 else ink[:, place]
            np.maximum(line, light * (2.2 if number % 5 == 0 else 1.0), out=line)
    ink[:, list(track)] = 3.0 * light


def _draw_scribble(rng: np.random.Generator, ink: Field) -> None:
    """One bent pen stroke, two pixels wide."""
    size = np.array(ink.shape)
    turns = np.cumsum(ndimage.gaussian_filter1d(rng.normal(0, 0.9, 160), 4.0)) + rng.uniform(0, 6.3)
    path = rng.uniform(0, 1, 2) * size + np.cumsum([np.sin(turns), np.cos(turns)], axis=1).T
    _mark(ink, path, float(rng.uniform(90, 190)))


def _draw_stamp(rng: np.random.Generator, ink: Field) -> None:
    """A tilted double frame with bars of text."""
    half_height, half_width = rng.uniform(8, 18), rng.uniform(22, 50)
    tilt, centre = rng.uniform(-0.4, 0.4), rng.uniform(0, 1, 2) * ink.shape
    side = np.linspace(-1, 1, 160)
    one = np.ones_like(side)
    edges = [(side, -one), (side, one), (-one, side), (one, side)]
    lines = [(f * y, f * x) for f in (1.0, 0.86) for x, y in edges]
    lines += [(np.full(160, y), 0.7 * side) for y in rng.uniform(-0.6, 0.6, 3)]
    darkness = float(rng.uniform(50, 120))
    for y, x in lines:
        y, x = y * half_height, x * half_width
        turned = [y * np.cos(tilt) + x * np.sin(tilt), x * np.cos(tilt) - y * np.sin(tilt)]
        _mark(ink, centre + np.array(turned).T, darkness)


def _mark(ink: Field, path: NDArray[np.floating], darkness: float) -> None:
    """Darken the pixels at positions (n, 2) and those to their right."""
    for shift in (0, 1):
        place = np.rint(path).astype(np.int64) + np.array([0, shift])
        inside = place[((place >= 0) & (place < ink.shape)).all(axis=1)]
        ink[tuple(inside.T)] = np.maximum(ink[tuple(inside.T)], darkness)


def _scan(rng: np.random.Generator, ink: Field) -> NDArray[np.uint8]:
    """Print on uneven paper, with the scanner's blur and grain."""
    zoom = np.array(ink.shape) / 4
    tone = ndimage.zoom(rng.standard_normal((4, 4)), zoom, order=3, mode="nearest")
    grain = ndimage.gaussian_filter(rng.standard_normal(ink.shape), 0.5)
    blurred = ndimage.gaussian_filter(ink, float(rng.uniform(0.3, 0.6)))
    image = _PAPER + 7.0 * tone - blurred + 9.0 * grain
    grey: NDArray[np.uint8] = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return grey
