"""The phantom of image logs: several wells with exact picks of bedding and fractures.

The difficulties are those of microresistivity images: pads leave gaps that turn with the tool, the
hole breaks out on two opposite sides, contrast fades around the hole and along it, laminae follow
the bedding without being picks, and noise and contrast differ from well to well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vesuv.curves.geometry import Borehole, column_angles, phase
from vesuv.curves.logs import IMAGES, LIST, PICKS
from vesuv.curves.picks import Pick, write_picks
from vesuv.errors import InputError
from vesuv.io.atomic import atomic_replace, catch_write_errors
from vesuv.io.places import check_no_links
from vesuv.io.tables import Cell, read_json_or_none, write_csv, write_json

COLUMNS = 360
_LIST = "phantom.json"
"""File with the ids of a phantom's wells, so that only these are replaced."""
_MIN_DISTANCE = 6.0
"""Rows between two picks."""
_CLUSTER_ROWS = 40.0
"""Fractures and beds come in clusters of about this many rows."""
_MEAN_CLUSTER = 1.7
"""Picks of a cluster."""

Field = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WellParameters:
    """What differs from well to well; contrasts relative to the grey value of the rock."""

    hole: Borehole
    structural_dip: float
    """Dip of the laminae in degrees."""
    structural_azimuth: float
    laminae: float
    """Contrast of the laminae."""
    noise: float
    pads: int
    coverage: float
    """Share of the wall that the pads image."""
    breakouts: float
    """Share of the rows with breakouts."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> WellParameters:
        """Draw the parameters of a well."""
        return cls(
            hole=Borehole(float(rng.choice([152.4, 200.0, 215.9])), 5.0),
            structural_dip=float(rng.uniform(4, 16)),
            structural_azimuth=float(rng.uniform(0, 360)),
            laminae=float(rng.uniform(0.03, 0.08)),
            noise=float(rng.uniform(0.06, 0.12)),
            pads=int(rng.choice([4, 6, 8])),
            coverage=float(rng.uniform(0.65, 0.9)),
            breakouts=float(rng.uniform(0.0, 0.3)),
        )


def make_phantom(
    folder: Path,
    *,
    wells: int,
    rows: int,
    per_strip: float = 1.0,
    seed: int = 0,
    overwrite: bool = False,
) -> None:
    """Write a folder of image logs: wells.csv, images/, picks/.

    Args:
        folder: Receives the files.
        wells: Number of wells, each a group of its own.
        rows: Rows of each image.
        per_strip: Mean number of picks in 100 rows.
        seed: Seed of all wells.
        overwrite: Replace an existing phantom.

    Raises:
        InputError: The folder holds logs already, or cannot be written.
    """
    check_no_links(folder / name for name in (LIST, IMAGES, PICKS))
    if (folder / LIST).exists():
        if not overwrite:
            raise InputError(f"{folder}: holds {LIST} already; --overwrite replaces it")
        _remove(folder)
    lines: list[dict[str, Cell]] = []
    ids = [f"well_{index:02d}" for index in range(wells)]
    write_json(folder / _LIST, {"wells": ids})
    for index, name in enumerate(ids):
        params, image, picks = phantom_log(seed, index, rows, per_strip)
        top = 1500.0 + 100.0 * index
        hole = params.hole
        _write_png(folder / IMAGES / f"{name}.png", image)
        write_picks(folder / PICKS / f"{name}.csv", picks, top, hole.pixel_mm)
        sizes: dict[str, Cell] = {"diameter_mm": hole.diameter_mm, "pixel_mm": hole.pixel_mm}
        lines.append({"id": name, **sizes, "top_m": top, "group": name})
    write_csv(folder / LIST, lines)


def _remove(folder: Path) -> None:
    """Remove the files of an earlier phantom, and no others."""
    ids = (read_json_or_none(folder / _LIST) or {}).get("wells")
    if not isinstance(ids, list):
        raise InputError(
            f"{folder}: {LIST} is not of a phantom (no {_LIST} beside it); give another --output"
        )
    with catch_write_errors(folder):
        for name in ids:
            if isinstance(name, str) and name.replace("_", "").isalnum():
                (folder / IMAGES / f"{name}.png").unlink(missing_ok=True)
                (folder / PICKS / f"{name}.csv").unlink(missing_ok=True)


def phantom_log(
    seed: int, index: int, rows: int, per_strip: float
) -> tuple[WellParameters, npt.NDArray[np.uint8], tuple[Pick, ...]]:
    """Make the log of one well.

    Returns:
        Its parameters, its image (grey 1 to 255, 0 where nothing was measured), and its picks.
    """
    rng = np.random.default_rng([seed, index])
    params = WellParameters.draw(rng)
    picks = _draw_picks(rng, rows, per_strip, params)
    wall = 0.5 + params.laminae * _laminae(rng, rows, params) + 0.05 * _patches(rng, rows, 12.0)
    for pick in picks:
        _draw_curve(rng, wall, pick, params.hole)
    fading = np.clip(1.0 + 0.35 * _patches(rng, rows, 60.0), 0.3, 1.5)
    wall = 0.5 + (wall - 0.5) * fading
    wall = ndimage.gaussian_filter(wall, (0.5, 0.8), mode=("nearest", "wrap"))
    wall += params.noise * rng.standard_normal(wall.shape, np.float32)
    wall -= 0.3 * _breakouts(rng, rows, params)
    grey = np.clip(np.rint(wall * 180 + 30), 1, 255).astype(np.uint8)
    grey[_gaps(rng, rows, params)] = 0
    return params, grey, picks


def _draw_picks(
    rng: np.random.Generator, rows: int, per_strip: float, params: WellParameters
) -> tuple[Pick, ...]:
    """Draw clusters of picks: fractures steep, beds near the structural dip."""
    picks: list[Pick] = []
    for centre in rng.uniform(0, rows, rng.poisson(per_strip * rows / 100 / _MEAN_CLUSTER)):
        is_fracture = rng.random() < 0.5
        azimuth = rng.uniform(0, 360)
        for _ in range(1 + rng.poisson(_MEAN_CLUSTER - 1)):
            row = centre + rng.normal(0, _CLUSTER_ROWS / 2)
            if not 0 <= row <= rows - 1 or any(abs(row - p.row) < _MIN_DISTANCE for p in picks):
                continue
            if is_fracture:
                dip, direction = rng.uniform(30, 65), azimuth + rng.normal(0, 15)
            else:
                dip = max(2.0, params.structural_dip + rng.normal(0, 3))
                direction = params.structural_azimuth + rng.normal(0, 12)
            picks.append(Pick(float(row), float(dip), float(direction % 360), int(is_fracture)))
    return tuple(sorted(picks, key=lambda pick: pick.row))


def _draw_curve(rng: np.random.Generator, wall: Field, pick: Pick, hole: Borehole) -> None:
    """Draw one plane into the wall: a bed as a step or band, a fracture as a dark line."""
    line = hole.rows(pick.row, pick.dip, pick.azimuth, wall.shape[1])
    first = max(0, int(line.min()) - 12)
    last = min(len(wall), int(line.max()) + 13)
    below = np.arange(first, last)[:, None] - line
    angle = column_angles(wall.shape[1])
    start, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.45)
    visible = 1.0 - depth * (1 + np.cos(angle - start))  # fades on one side of the hole
    if pick.kind == 1:
        width = rng.uniform(0.8, 1.6)
        change = -rng.uniform(0.25, 0.5) * np.exp(-0.5 * (below / width) ** 2) * visible
    else:
        width = rng.uniform(1.0, 2.0)
        sign, tail = rng.choice([-1.0, 1.0]), rng.uniform(3.0, 8.0)
        step = np.where(below >= 0, np.exp(-below / tail), np.exp(2 * below / width))
        change = sign * rng.uniform(0.25, 0.45) * step * visible
    wall[first:last] += change.astype(np.float32)


def _laminae(rng: np.random.Generator, rows: int, params: WellParameters) -> Field:
    """Thin layers of the structural dip, mean 0, deviation 1."""
    profile = ndimage.gaussian_filter1d(rng.standard_normal(rows + 200), 1.5)
    profile /= profile.std()
    shift = params.hole.amplitude(params.structural_dip) * np.sin(
        column_angles(COLUMNS) + phase(params.structural_azimuth)
    )
    place = np.arange(rows)[:, None] + 100 - shift[None, :]
    return np.interp(place, np.arange(rows + 200), profile).astype(np.float32)


def _patches(rng: np.random.Generator, rows: int, scale: float) -> Field:
    """A random field that varies over `scale` pixels, circular in azimuth, deviation 1."""
    step = max(1, int(scale / 3))
    coarse = rng.standard_normal((rows // step + 4, COLUMNS // step))
    coarse = ndimage.gaussian_filter(coarse, scale / step, mode=("nearest", "wrap"))
    coarse /= coarse.std()
    row, column = np.arange(rows) / step + 1.0, np.arange(COLUMNS) * (coarse.shape[1] / COLUMNS)
    wrapped = np.concatenate([coarse, coarse[:, :2]], axis=1)
    places = np.stack(np.meshgrid(row, column, indexing="ij"))
    field: Field = ndimage.map_coordinates(wrapped, places, order=1).astype(np.float32)
    return field


def _breakouts(rng: np.random.Generator, rows: int, params: WellParameters) -> Field:
    """Two opposite bands in which the hole has broken out, from 0 to 1."""
    zones = ndimage.gaussian_filter1d(rng.standard_normal(rows), 60.0, mode="nearest")
    has_breakout = zones > np.quantile(zones, 1 - params.breakouts) if params.breakouts else False
    edges = ndimage.gaussian_filter1d(np.broadcast_to(has_breakout, rows).astype(float), 4.0)
    centre, width = rng.uniform(0, np.pi), rng.uniform(0.15, 0.3)
    distance = np.abs(np.mod(column_angles(COLUMNS) - centre + np.pi / 2, np.pi) - np.pi / 2)
    rough = np.clip(1.0 + 0.4 * _patches(rng, rows, 5.0), 0.0, 2.0)
    band = np.exp(-0.5 * (distance / width) ** 2)
    field: Field = (edges[:, None] * band[None, :] * rough).astype(np.float32)
    return field


def _gaps(rng: np.random.Generator, rows: int, params: WellParameters) -> npt.NDArray[np.bool_]:
    """Pixels between the pads, which turn slowly with the tool."""
    turn = rng.uniform(0, 360) + np.cumsum(rng.normal(0, 0.15, rows)) + 0.02 * np.arange(rows)
    place = np.mod(np.arange(COLUMNS)[None, :] + turn[:, None], 360.0 / params.pads)
    return np.asarray(place < 360.0 / params.pads * (1 - params.coverage))


def _write_png(path: Path, image: npt.NDArray[np.uint8]) -> None:
    from PIL import Image

    with catch_write_errors(path), atomic_replace(path, ending=".png") as temporary:
        Image.fromarray(image).save(temporary, "PNG")
