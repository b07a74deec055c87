"""Scores of folders of instances, such as cells, against labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesuv.config.labels import LabelsConfig
from vesuv.data.labels import IGNORE, encode
from vesuv.errors import InputError, InputErrors, command
from vesuv.evaluation.instances import (
    InstanceScores,
    compare_instances,
    compare_objects,
    label_cells,
    label_objects,
)
from vesuv.evaluation.pairs import CaseFiles, by_id, find_pairs
from vesuv.evaluation.pictures import PICTURES
from vesuv.io.formats import Volume, check_lossless, read
from vesuv.io.grid import check_same_grid
from vesuv.io.lazy import open_lazy
from vesuv.io.lazy.volume import read_region
from vesuv.io.places import check_no_links, contains
from vesuv.io.tables import TextTable, mean, read_json_or_none, write_csv, write_json
from vesuv.io.urls import is_url
from vesuv.types import Array, Mask, Progress, no_progress

CSV, SUMMARY = "instance_scores.csv", "instance_summary.json"
Row = dict[str, str | int | float | None]
Names = NDArray[np.integer[Any]]
"""Name of the instance of each voxel (z, y, x)."""


Truth = Literal["boundary", "foreground", "ids"]
"""What labels hold: the boundary of cells; objects, as a class or by number; numbers of cells."""

Draw = Callable[[Array, Array, Array, Path, str], None]
"""Draws image, true and predicted instances (z, y, x) to a file, with a title."""


@dataclass(frozen=True)
class InstancePictures:
    """Images of the cases, and how they are drawn beside the instances."""

    images: Path
    """Folder of images, by case id, with or without _0000."""
    draw: Draw


@dataclass(frozen=True)
class InstanceFolder:
    """Scores of one folder of instances."""

    rows: tuple[Row, ...]
    """Scores of each case, worst first."""
    means: dict[str, float]
    faults: tuple[str, ...]
    """A sentence for each case that could not be scored."""


def plan_instances(predictions: Path, labels: Path, output: Path) -> list[CaseFiles]:
    """Return the files that `score_instances` compares; nothing is written.

    Raises:
        InputError: Nothing to match, or files of others would be replaced.
        InputErrors: A prediction has no label.
    """
    if contains(labels, output):
        raise InputError(f"--output: {output} holds the labels; name another folder")
    files = [output / CSV, output / SUMMARY]
    check_no_links(files)
    existing = [path for path in files if path.exists()]
    if existing and "mean" not in (read_json_or_none(output / SUMMARY) or {}):
        raise InputError(
            f"--output: {existing[0]} was not written by {command('evaluate')}; name another folder"
        )
    pairs, faults = find_pairs(predictions, labels)
    if faults:
        raise InputErrors(faults)
    return pairs


def score_instances(
    predictions: Path,
    labels: Path,
    output: Path,
    schema: LabelsConfig | None = None,
    *,
    truth: Truth | None = None,
    pictures: InstancePictures | None = None,
    progress: Progress = no_progress,
) -> InstanceFolder:
    """Score every volume of instances against the label of its name, and write the scores.

    Args:
        predictions: Folder of instances, as `vesuv instances` writes them.
        labels: Folder of labels.
        output: Folder of instance_scores.csv and instance_summary.json.
        schema: Label values of the boundary or foreground; None: the labels hold the name of the
            instance of each voxel.
        truth: boundary: cells between the boundary are the truth, see `label_cells`; foreground:
            its objects, see `label_objects`, or without label values the named ones, and 0 is
            background; ids: the named ones, and 0 is not judged. None: boundary with label values,
            ids without.
        pictures: Draws pictures/<id>.png for each case where given.
        progress: Called with the numbers of finished and of all cases.

    Raises:
        InputError: See `plan_instances`; or the label values have several classes.
        InputErrors: No case can be scored.
    """
    truth = truth or ("ids" if schema is None else "boundary")
    if schema is not None and schema.targets.has_several:
        kind = "lie between one boundary" if truth == "boundary" else "are of one class"
        raise InputError(
            f"label values: instances {kind}, found {', '.join(schema.targets.names)}; name it "
            f"with --classes background=… {truth}=…"
        )
    pairs = plan_instances(predictions, labels, output)
    rows: list[Row] = []
    faults: list[str] = []
    for number, files in enumerate(pairs, start=1):
        try:
            case = _read(files, schema, truth)
            rows.append(_row(case))
            if pictures is not None:
                _draw(case, output, pictures)
        except InputError as fault:
            faults.append(str(fault))
        progress(number, len(pairs))
    if not rows:
        raise InputErrors(faults)
    rows.sort(key=lambda row: -float(row["voi"] or 0))
    names = [name for name in rows[0] if name != "id"]
    means = {name: mean([float(row[name] or 0) for row in rows]) for name in names}
    summary: dict[str, Any] = {
        "truth": "instances" if truth == "ids" else truth,
        "num_cases": len(rows),
        "mean": means,
        "cases": rows,
        "faults": faults,
    }
    write_json(output / SUMMARY, summary)
    write_csv(output / CSV, rows)
    return InstanceFolder(tuple(rows), means, tuple(faults))


@dataclass(frozen=True)
class _Case:
    """Predicted and true instances of a case."""

    id: str
    prediction: Names
    true: Names
    """0 on what is background, or is not judged."""
    has_background: bool
    """Whether 0 is background, which is judged."""
    known: Mask | None = None

    @property
    def scores(self) -> InstanceScores:
        if self.has_background:
            return compare_objects(self.prediction, self.true, self.known)
        return compare_instances(self.prediction, self.true)


def _read(files: CaseFiles, schema: LabelsConfig | None, truth: Truth) -> _Case:
    check_lossless(files.label, "label")
    volume, label = read(files.prediction), read(files.label)
    check_same_grid((files.prediction, volume), (files.label, label), ("prediction", "label"))
    prediction = _names(volume, files.prediction)
    if truth == "foreground":
        if schema is None:
            return _Case(files.id, prediction, _names(label, files.label), has_background=True)
        foreground, known = _members(label, files.label, schema)
        objects = label_objects(foreground, known)
        return _Case(files.id, prediction, objects, has_background=True, known=known)
    cells = (
        _names(label, files.label)
        if schema is None
        else label_cells(*_members(label, files.label, schema))
    )
    if not cells.any():
        raise InputError(f"{files.label}: must hold an instance to judge, found none; check it")
    return _Case(files.id, prediction, cells, has_background=False)


def _row(case: _Case) -> Row:
    judged = case.true != 0
    if case.has_background:
        judged = np.ones(judged.shape, bool) if case.known is None else case.known
    numbers = [np.unique(names[judged]) for names in (case.prediction, case.true)]
    found, true = (names[names > 0] if case.has_background else names for names in numbers)
    return {
        "id": case.id,
        **_columns(case.scores),
        "num_predicted": len(found),
        "num_true": len(true),
    }


def _draw(case: _Case, output: Path, pictures: InstancePictures) -> None:
    images = by_id(pictures.images)
    path = images.get(case.id) or images.get(f"{case.id}_0000")
    if path is None:
        raise InputError(f"--images: {pictures.images} holds no image of case {case.id}; add it")
    image = read(path).channels[0]
    if image.shape != case.true.shape:
        raise InputError(
            f"{path}: an image has its label's shape {case.true.shape}, found {image.shape}"
        )
    voi = case.scores.voi
    title = f"{case.id}: VOI {voi.split + voi.merge:.3f} bits"
    file = output / PICTURES / f"{case.id}.png"
    pictures.draw(image, case.true, case.prediction, file, title)


def _columns(scores: InstanceScores) -> dict[str, float]:
    voi, rand = scores.voi, scores.rand
    return {
        "voi": voi.split + voi.merge,
        "voi_split": voi.split,
        "voi_merge": voi.merge,
        "rand_error": rand.error,
        "rand_precision": rand.precision,
        "rand_recall": rand.recall,
        **({} if scores.f1 is None else {"f1": scores.f1}),
    }


def read_numbers(path: Path | str, *, anonymous: bool = False) -> Names:
    """Return the names of instances of a volume, 0, 1, … in the order of its values; 0 stays 0.

    Args:
        path: File, or address of a Zarr.
        anonymous: Read from s3 without credentials.

    Raises:
        InputError: It cannot be read, or holds no whole numbers from 0 on.
    """
    if not is_url(path):
        return _names(read(path), path)
    volume = open_lazy(path, anonymous=anonymous)
    z, y, x = (slice(0, edge) for edge in volume.shape)
    voxels = read_region(volume.voxels, (z, y, x), str(path))
    array = voxels[0] if len(voxels) == 1 else voxels
    return _names(replace(volume.header, array=array), path)


def _names(volume: Volume, path: Path | str) -> Names:
    """Return the names of instances, 0, 1, … in the order of the file's values; 0 stays 0."""
    values: Array = volume.array
    whole = values if values.dtype.kind in "iu" else np.rint(values)
    if values.ndim != 3 or not np.array_equal(whole, values) or (whole < 0).any():
        raise InputError(
            f"{path}: must hold one instance a voxel, whole numbers from 0 on, found "
            f"{values.dtype} of shape {values.shape}; give a volume of instances"
        )
    found, places = np.unique(whole, return_inverse=True)
    first = 0 if found[0] == 0 else 1
    return places.reshape(values.shape) + first


def _members(label: Volume, path: Path, schema: LabelsConfig) -> tuple[Mask, Mask]:
    """Return where the only class lies, and where the label is known."""
    try:
        classes = encode(label.array, schema)
    except InputError as fault:
        raise InputError(f"{path}: {fault}") from None
    (members,) = schema.targets.members
    return np.isin(classes, members), classes != IGNORE


def scores_table(folder: InstanceFolder) -> TextTable:
    """Return the scores of the cases, and their mean below them."""
    rows = [[_text(value) for value in row.values()] for row in folder.rows]
    footer = [
        "mean",
        *(f"{v:.1f}" if k.startswith("num_") else _text(v) for k, v in folder.means.items()),
    ]
    f1 = ["F1"] if "f1" in folder.means else []
    short = ["id", "VOI", "split", "merge", "Rand", "prec.", "recall", *f1, "found", "true"]
    return TextTable("Instances", list(folder.rows[0]), rows, [footer], short_header=short)


def _text(value: str | float | None) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
