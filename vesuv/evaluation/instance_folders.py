"""Scores of folders of instances, such as cells, against labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesuv.config.labels import LabelsConfig
from vesuv.data.labels import IGNORE, encode
from vesuv.errors import InputError, InputErrors, command
from vesuv.evaluation.instances import InstanceScores, compare_instances, label_cells
from vesuv.evaluation.pairs import CaseFiles, by_id, find_pairs
from vesuv.io.formats import Volume, check_lossless, read
from vesuv.io.grid import check_same_grid
from vesuv.io.places import check_no_links, contains
from vesuv.io.tables import TextTable, mean, read_json_or_none, write_csv, write_json
from vesuv.types import Array, Progress, no_progress

CSV, SUMMARY = "instance_scores.csv", "instance_summary.json"
Row = dict[str, str | int | float | None]
Names = NDArray[np.integer[Any]]
"""Name of the instance of each voxel (z, y, x)."""


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
    pictures: InstancePictures | None = None,
    progress: Progress = no_progress,
) -> InstanceFolder:
    """Score every volume of instances against the label of its name, and write the scores.

    Args:
        predictions: Folder of instances, as `vesuv instances` writes them.
        labels: Folder of labels.
        output: Folder of instance_scores.csv and instance_summary.json.
        schema: Label values of a boundary, whose cells are the truth, see `label_cells`; None: the
            labels hold the name of the instance of each voxel, and 0 where none is judged.
        pictures: Draws <id>.png for each case where given.
        progress: Called with the numbers of finished and of all cases.

    Raises:
        InputError: See `plan_instances`; or the label values have several classes.
        InputErrors: No case can be scored.
    """
    if schema is not None and schema.targets.has_several:
        raise InputError(
            f"label values: instances lie between one boundary, found "
            f"{', '.join(schema.targets.names)}; name it with --classes background=… boundary=…"
        )
    pairs = plan_instances(predictions, labels, output)
    rows: list[Row] = []
    faults: list[str] = []
    for number, files in enumerate(pairs, start=1):
        try:
            prediction, truth = _read(files, schema)
            rows.append(_row(files.id, prediction, truth))
            if pictures is not None:
                _draw(files.id, prediction, truth, output, pictures)
        except InputError as fault:
            faults.append(str(fault))
        progress(number, len(pairs))
    if not rows:
        raise InputErrors(faults)
    rows.sort(key=lambda row: -float(row["voi"] or 0))
    names = [name for name in rows[0] if name != "id"]
    means = {name: mean([float(row[name] or 0) for row in rows]) for name in names}
    summary: dict[str, Any] = {
        "truth": "instances" if schema is None else "boundary",
        "num_cases": len(rows),
        "mean": means,
        "cases": rows,
        "faults": faults,
    }
    write_json(output / SUMMARY, summary)
    write_csv(output / CSV, rows)
    return InstanceFolder(tuple(rows), means, tuple(faults))


def _read(files: CaseFiles, schema: LabelsConfig | None) -> tuple[Names, Names]:
    """Return predicted and true instances of a case; true ones are 0 where none is judged."""
    check_lossless(files.label, "label")
    volume, label = read(files.prediction), read(files.label)
    check_same_grid((files.prediction, volume), (files.label, label), ("prediction", "label"))
    prediction = _names(volume, files.prediction)
    truth = _names(label, files.label) if schema is None else _cells(label, files.label, schema)
    if not truth.any():
        raise InputError(f"{files.label}: must hold an instance to judge, found none; check it")
    return prediction, truth


def _row(case: str, prediction: Names, truth: Names) -> Row:
    judged = truth != 0
    return {
        "id": case,
        **_columns(compare_instances(prediction, truth)),
        "num_predicted": len(np.unique(prediction[judged])),
        "num_true": len(np.unique(truth[judged])),
    }


def _draw(
    case: str, prediction: Names, truth: Names, output: Path, pictures: InstancePictures
) -> None:
    images = by_id(pictures.images)
    path = images.get(case) or images.get(f"{case}_0000")
    if path is None:
        raise InputError(f"--images: {pictures.images} holds no image of case {case}; add it")
    image = read(path).channels[0]
    if image.shape != truth.shape:
        raise InputError(
            f"{path}: an image has its label's shape {truth.shape}, found {image.shape}"
        )
    voi = compare_instances(prediction, truth).voi
    title = f"{case}: VOI {voi.split + voi.merge:.3f} bits"
    pictures.draw(image, truth, prediction, output / f"{case}.png", title)


def _columns(scores: InstanceScores) -> dict[str, float]:
    voi, rand = scores.voi, scores.rand
    return {
        "voi": voi.split + voi.merge,
        "voi_split": voi.split,
        "voi_merge": voi.merge,
        "rand_error": rand.error,
        "rand_precision": rand.precision,
        "rand_recall": rand.recall,
    }


def _names(volume: Volume, path: Path) -> Names:
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


def _cells(label: Volume, path: Path, schema: LabelsConfig) -> Names:
    try:
        classes = encode(label.array, schema)
    except InputError as fault:
        raise InputError(f"{path}: {fault}") from None
    (members,) = schema.targets.members
    return label_cells(np.isin(classes, members), classes != IGNORE)


def scores_table(folder: InstanceFolder) -> TextTable:
    """Return the scores of the cases, and their mean below them."""
    rows = [[_text(value) for value in row.values()] for row in folder.rows]
    footer = [
        "mean",
        *(f"{v:.1f}" if k.startswith("num_") else _text(v) for k, v in folder.means.items()),
    ]
    short = ["id", "VOI", "split", "merge", "Rand", "prec.", "recall", "found", "true"]
    return TextTable("Instances", list(folder.rows[0]), rows, [footer], short_header=short)


def _text(value: str | float | None) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
