"""Pictures of logs with picks drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vesuv.curves.geometry import Borehole
from vesuv.curves.logs import ImageLog
from vesuv.curves.picks import Pick
from vesuv.curves.scores import LogPicks
from vesuv.io.atomic import atomic_replace, catch_write_errors

EXAMPLE = "picks.png"
COLOURS = {"bedding": (34, 160, 60), "fracture": (220, 40, 40)}
"""Colour of each kind, in the order of `KINDS`."""
_MISSING = (205, 214, 230)
_EXAMPLE_ROWS = 400
_MAX_EXAMPLES = 3
_MARGIN = 12

Picture = npt.NDArray[np.uint8]


def draw_log(log: ImageLog, *layers: Sequence[Pick]) -> Picture:
    """Return an image of a log, and beside it one for each layer of picks, (rows, columns, 3)."""
    low, high = np.nanpercentile(log.image, (1, 99))
    grey = np.clip((log.image - low) / max(high - low, 1e-6), 0, 1) * 255
    plain = np.repeat(np.nan_to_num(grey)[..., None], 3, axis=2).astype(np.uint8)
    plain[np.isnan(log.image)] = _MISSING
    panels = [plain]
    for picks in layers:
        panel = plain.copy()
        for pick in picks:
            _draw_pick(panel, pick, log.hole)
        panels.append(panel)
    return _side_by_side(panels)


def write_log_picture(path: Path, log: ImageLog, *layers: Sequence[Pick]) -> None:
    """Write the picture of `draw_log`.

    Raises:
        InputError: The file cannot be written.
    """
    _write(path, draw_log(log, *layers))


def write_example(run: Path, logs: Sequence[ImageLog], judged: Sequence[LogPicks]) -> None:
    """Write picks.png: of each log the rows with the most references; references, then predictions.

    Raises:
        InputError: The file cannot be written.
    """
    panels = []
    for log, one in zip(logs[:_MAX_EXAMPLES], judged, strict=False):
        first = _busiest_row(log)
        part = replace(log, image=log.image[first : first + _EXAMPLE_ROWS])
        layers = [
            [replace(pick, row=pick.row - first) for pick in picks]
            for picks in (one.references, one.predictions)
        ]
        panel = draw_log(part, *layers)
        missing_rows = _EXAMPLE_ROWS - len(panel)
        panels.append(np.pad(panel, ((0, missing_rows), (0, 0), (0, 0)), constant_values=255))
    if panels:
        _write(run / EXAMPLE, _side_by_side(panels, 3 * _MARGIN))


def _busiest_row(log: ImageLog) -> int:
    rows = np.array([pick.row for pick in log.picks])
    starts = range(0, max(log.num_rows - _EXAMPLE_ROWS, 0) + 1, _EXAMPLE_ROWS // 4)
    inside = {first: (rows >= first) & (rows < first + _EXAMPLE_ROWS) for first in starts}
    return max(starts, key=lambda first: int(inside[first].sum()))


def _draw_pick(panel: Picture, pick: Pick, hole: Borehole) -> None:
    """Draw a sinusoid two pixels thick, without gaps where it is steep."""
    columns = panel.shape[1]
    fine = np.rint(hole.rows(pick.row, pick.dip, pick.azimuth, 8 * columns)).astype(np.int64)
    column = np.arange(8 * columns) // 8
    for shift in (0, 1):
        row = fine + shift
        inside = (row >= 0) & (row < len(panel))
        panel[row[inside], column[inside]] = list(COLOURS.values())[pick.kind]


def _side_by_side(panels: Sequence[Picture], margin: int = _MARGIN) -> Picture:
    gap = np.full((len(panels[0]), margin, 3), 255, dtype=np.uint8)
    parts = [part for panel in panels for part in (panel, gap)][:-1]
    return np.concatenate(parts, axis=1)


def _write(path: Path, picture: Picture) -> None:
    from PIL import Image

    with catch_write_errors(path), atomic_replace(path, ending=".png") as temporary:
        Image.fromarray(picture).save(temporary, "PNG", optimize=True)
