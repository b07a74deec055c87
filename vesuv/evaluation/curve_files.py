"""Digitised logs as files: scales and true curves in, samples and errors out."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from vesuv.config.labels import LabelsConfig
from vesuv.data.labels import encode
from vesuv.errors import InputError
from vesuv.evaluation.digitization import (
    CurveErrors,
    SampledCurve,
    Scale,
    Values,
    curve_errors,
    sample_curve,
)
from vesuv.evaluation.pairs import by_id
from vesuv.files import open_text
from vesuv.io.formats import check_lossless, read
from vesuv.io.places import contains
from vesuv.io.tables import Cell, plain_cell, write_csv

_DEPTH = "depth"
_NUMBERS = tuple(field.name for field in fields(Scale))
_ERRORS_FILE = "curves.csv"

Scales = dict[str, dict[str, Scale]]
"""Id of the scan -> class of the curve -> its scale."""


@dataclass(frozen=True)
class DigitizedCurve:
    """One curve of a scan, with its errors where the true curve is given."""

    id: str
    name: str
    curve: SampledCurve
    scale: Scale
    errors: CurveErrors | None

    def row(self) -> dict[str, Cell]:
        """Return its line of curves.csv."""
        return {"id": self.id, "curve": self.name, **self.numbers()}

    def numbers(self) -> dict[str, float]:
        """Return the numbers of that line."""
        numbers = {"coverage": self.curve.coverage}
        if self.errors is not None:
            share = self.errors.mae / self.scale.full_value
            numbers |= {**self.errors._asdict(), "mae_of_scale": share}
        return numbers


def digitize_folder(
    masks: Path,
    scales: Path,
    output: Path,
    labels: LabelsConfig,
    *,
    num_samples: int,
    truth: Path | None = None,
) -> list[DigitizedCurve]:
    """Write <id>.csv for each mask: a depth a line, a column for each curve; and curves.csv.

    Args:
        masks: Folder of masks, images of one slice.
        scales: CSV with a line for each curve of each scan: id, curve (name of the class), left,
            right (columns), left_value, right_value, top, bottom (rows), top_depth, bottom_depth.
        output: Folder of the results.
        labels: Classes of the masks.
        num_samples: Samples of each curve.
        truth: Folder of <id>.csv with a column `depth` and one for each curve; None: none.

    Raises:
        InputError: A file is missing or cannot be used; the message names it.
    """
    files, by_scan = by_id(masks), read_scales(scales)
    if not files:
        raise InputError(f"--masks: {masks} holds no image; predict first")
    if contains(output, masks) or (truth is not None and contains(output, truth)):
        raise InputError(f"--output: {output} holds the masks or true curves; name another folder")
    curves: list[DigitizedCurve] = []
    for name, file in files.items():
        if name not in by_scan:
            raise InputError(f"{scales}: has no line of id {name} ({file}); add its curves")
        true_curves = {} if truth is None else _read_curves(truth / f"{name}.csv")
        scan = _digitize(file, name, by_scan[name], labels, num_samples, true_curves)
        by_depth = zip(scan[0].curve.depths, *(one.curve.values for one in scan), strict=True)
        columns = [_DEPTH, *(one.name for one in scan)]
        rows = [dict(zip(columns, map(float, values), strict=True)) for values in by_depth]
        write_csv(output / f"{name}.csv", rows)
        curves += scan
    write_csv(output / _ERRORS_FILE, [one.row() for one in curves])
    return curves


def _digitize(
    file: Path,
    name: str,
    scales: Mapping[str, Scale],
    labels: LabelsConfig,
    num_samples: int,
    truth: Mapping[str, Values],
) -> list[DigitizedCurve]:
    check_lossless(file, "mask")
    classes = encode(read(file).channels[0], labels)
    curves = []
    for curve_name, scale in scales.items():
        if curve_name not in labels.names[1:]:
            raise InputError(
                f"{file}: its curves are {', '.join(labels.names[1:])}, the scales name "
                f"{curve_name!r}; correct one of them"
            )
        mask = classes == labels.names.index(curve_name)
        try:
            curve = sample_curve(mask, scale, num_samples)
        except InputError as fault:
            raise InputError(f"{file}: {fault}") from None
        errors = None
        if truth:
            if curve_name not in truth:
                raise InputError(f"--truth: {name}.csv has no column {curve_name!r}; add it")
            order = np.argsort(truth[_DEPTH])
            true_values = np.interp(
                curve.depths, truth[_DEPTH][order], truth[curve_name][order], np.nan, np.nan
            )
            errors = curve_errors(curve.values, true_values)
        curves.append(DigitizedCurve(name, curve_name, curve, scale, errors))
    return curves


def read_scales(path: Path) -> Scales:
    """Read the scales of all scans.

    Raises:
        InputError: The file is missing, or a line has no number where it needs one.
    """
    scales: Scales = {}
    for place, row in _lines(path, ("id", "curve", *_NUMBERS)):
        scale = Scale(**{key: _number(row[key], f"{place}: {key}") for key in _NUMBERS})
        for low, high in (("left", "right"), ("top", "bottom"), ("top_depth", "bottom_depth")):
            if not getattr(scale, low) < getattr(scale, high):
                raise InputError(
                    f"{place}: {low} is below {high}, found {getattr(scale, low):g} and "
                    f"{getattr(scale, high):g}; exchange them"
                )
        if scale.full_value == 0:
            raise InputError(
                f"{place}: left_value and right_value differ, found {scale.left_value:g} twice; "
                "read them off the log's header"
            )
        curves = scales.setdefault(row["id"], {})
        if row["curve"] in curves:
            raise InputError(f"{place}: curve {row['curve']} of id {row['id']} stands twice")
        curves[row["curve"]] = scale
    return scales


def _read_curves(path: Path) -> dict[str, Values]:
    """Return column -> values of a true curve; an empty cell is no value."""
    columns: dict[str, list[float]] = {}
    for place, row in _lines(path, (_DEPTH,)):
        for key, text in row.items():
            value = _number(text, f"{place}: {key}") if text or key == _DEPTH else math.nan
            columns.setdefault(key, []).append(value)
    return {key: np.array(values) for key, values in columns.items()}


def _lines(path: Path, needed: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Return the lines of a CSV with their places."""
    try:
        with open_text(path, newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True, restval="")
            missing = [key for key in needed if key not in (reader.fieldnames or [])]
            if missing:
                raise InputError(
                    f"{path}: needs the columns {', '.join(needed)}, without {', '.join(missing)}; "
                    "add them"
                )
            rows = [
                (f"{path}, line {number}", {k: plain_cell(v) for k, v in row.items() if k})
                for number, row in enumerate(reader, start=2)
            ]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise InputError(f"{path}: cannot be read as CSV ({fault!s:.200}); save it anew") from None
    if not rows:
        raise InputError(f"{path}: holds no line below its columns; add them")
    return rows


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{place} is a number, found {text!r:.40}; correct it")
    return value
