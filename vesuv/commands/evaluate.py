"""Overlap scores of predicted volumes against labels, case by case and group by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vesuv.config import Config
from vesuv.config.data import LabelsConfig
from vesuv.data.cases import read_groups
from vesuv.data.formats import read, stem, volumes_in
from vesuv.data.labels import IGNORE, encode
from vesuv.errors import InputError, InputErrors
from vesuv.evaluation.overlap import Overlap, confusion, one_against_rest, scores
from vesuv.evaluation.table import Cell, mean, write_csv, write_json
from vesuv.report.figures import triptych
from vesuv.training.run import RunFolder

ClassArray = npt.NDArray[np.uint8]

_DEFAULT_LABELS = LabelsConfig(classes={"background": 0, "foreground": 1}, ignore=2)
"""Label values where neither a run nor a configuration says: those of the scroll data."""

_SHOWN = 40
"""Cases that the printed table holds; scores.csv holds all."""


@dataclass(frozen=True)
class CaseScores:
    """One prediction against its label."""

    id: str
    group: str | None
    matrix: Tensor
    overlap: Overlap

    def row(self) -> dict[str, Cell]:
        """Return the case's line of scores.csv."""
        judged = int(self.matrix.sum())
        return {
            "id": self.id,
            "group": self.group,
            **self.overlap.as_dict(),
            "judged_voxels": judged,
        }


def evaluate(
    predictions: Path,
    labels: Path,
    *,
    run: Path | None = None,
    config: Config | None = None,
    groups: Path | None = None,
    images: Path | None = None,
    output: Path | None = None,
    require_dice: float | None = None,
) -> dict[str, Any]:
    """Score every prediction against the label of its name; ignored voxels are not judged.

    Writes scores.csv, worst case first, and summary.json.

    Args:
        predictions: Folder of masks.
        labels: Folder of labels, in any format; more labels than predictions are fine.
        run: Run folder whose configuration names the label values.
        config: Configuration that names them; without either, 0 is background, 1 foreground and 2
            ignored.
        groups: CSV with columns id,scroll_id; the train.csv beside `labels` when left out.
        images: Folder of images: draws <id>.png, image | label | prediction, for each case.
        output: Folder for what is written; `predictions` when left out.
        require_dice: Smallest mean Dice that is let pass.

    Returns:
        The content of summary.json.

    Raises:
        InputError: Nothing to match, pairs that cannot be compared (all of them named), or a mean
            Dice below `require_dice`.
    """
    schema = _schema(run, config)
    pairs, unmatched = _pairs(predictions, labels)
    by_id = _groups(groups, labels)
    folder = output or predictions
    pictures = None if images is None else _Pictures(_by_id(images), images, folder)
    found, bad = _score(pairs, schema, by_id, pictures)
    faults = unmatched + bad
    if not found:
        raise InputErrors(faults)
    num_left_out = len(volumes_in(labels)) - len(pairs)
    summary = _summary(found, schema, num_left_out, faults)
    write_csv(folder / "scores.csv", [case.row() for case in found])
    write_json(folder / "summary.json", summary)
    _show(found, summary, folder)
    faults += _below(summary["mean"]["dice"], require_dice)
    if faults:
        raise InputErrors(faults)
    return summary


def _score(
    pairs: Sequence[tuple[str, Path, Path]],
    schema: LabelsConfig,
    groups: dict[str, str | None],
    pictures: _Pictures | None,
) -> tuple[list[CaseScores], list[str]]:
    """Score each pair, worst first, unjudged ones last; also return what is wrong with others."""
    found: list[CaseScores] = []
    faults: list[str] = []
    for name, prediction, label in pairs:
        try:
            truth, classes = _pair(prediction, label, schema)
            matrix = _count(truth, classes, schema.num_classes)
            found.append(CaseScores(name, groups.get(name), matrix, scores(matrix)))
            if pictures is not None:
                pictures.draw(found[-1], truth, classes)
        except InputError as fault:
            faults.append(str(fault))
    found.sort(key=lambda case: (np.nan_to_num(case.overlap.dice, nan=2.0), case.id))
    return found, faults


def _schema(run: Path | None, config: Config | None) -> LabelsConfig:
    if run is not None and config is not None:
        raise InputError("--run, --config: both name label values; give one of them")
    if run is not None:
        return RunFolder.open(run).config.labels
    return _DEFAULT_LABELS if config is None else config.labels


def _pairs(predictions: Path, labels: Path) -> tuple[list[tuple[str, Path, Path]], list[str]]:
    """Match files by name without ending; predictions without a label are faults."""
    predicted, labelled = _by_id(predictions), _by_id(labels)
    if not predicted:
        raise InputError(f"--predictions: {predictions} holds no volume; predict first")
    if not predicted.keys() & labelled.keys():
        example = f"{next(iter(predicted.values())).name}"
        raise InputError(
            f"--labels: {labels} holds no label of the predictions' names, for example {example}; "
            "name the folder of their labels"
        )
    faults = [
        f"{path}: no label of this name in {labels}; add it or take the prediction out"
        for name, path in predicted.items()
        if name not in labelled
    ]
    matched = [(n, path, labelled[n]) for n, path in predicted.items() if n in labelled]
    return matched, faults


def _by_id(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in volumes_in(folder):
        name = stem(path)
        if name in found:
            raise InputError(f"{path}: {found[name].name} has the same name; keep one of them")
        found[name] = path
    return found


def _groups(given: Path | None, labels: Path) -> dict[str, str | None]:
    groups = read_groups(given or labels.parent / "train.csv")
    if groups is None and given is not None:
        raise InputError(f"--groups: {given} is not there; give a CSV with columns id,scroll_id")
    return groups or {}


def _pair(prediction: Path, label: Path, schema: LabelsConfig) -> tuple[ClassArray, ClassArray]:
    """Read label and prediction, which must judge every voxel that the label judges."""
    truth, found = _classes(label, schema), _classes(prediction, schema)
    if truth.shape != found.shape:
        raise InputError(
            f"{prediction}: a prediction has its label's shape {truth.shape}, found {found.shape}; "
            "predict on the image that was labelled"
        )
    undecided = int(np.count_nonzero((truth != IGNORE) & (found == IGNORE)))
    if undecided:
        raise InputError(
            f"{prediction}: a prediction names a class wherever the label does, found the ignore "
            f"value {schema.ignore} in {undecided} of those voxels; is it a label?"
        )
    return truth, found


def _count(truth: ClassArray, found: ClassArray, num_classes: int) -> Tensor:
    valid = torch.from_numpy(truth != IGNORE)
    return confusion(torch.from_numpy(found), torch.from_numpy(truth), valid, num_classes)


@dataclass(frozen=True)
class _Pictures:
    """Images by case id, and where to draw."""

    images: dict[str, Path]
    source: Path
    folder: Path

    def draw(self, case: CaseScores, truth: ClassArray, found: ClassArray) -> None:
        """Draw one case; the first channel of its image."""
        path = self.images.get(case.id) or self.images.get(f"{case.id}_0000")
        if path is None:
            raise InputError(f"--images: {self.source} holds no image of case {case.id}; add it")
        image = read(path).channels[0]
        if image.shape != truth.shape:
            raise InputError(
                f"{path}: an image has its label's shape {truth.shape}, found {image.shape}"
            )
        title = f"{case.id}: Dice {case.overlap.dice:.4f}"
        triptych(image, truth, found, self.folder / f"{case.id}.png", title)


def _below(dice: float, required: float | None) -> list[str]:
    if required is None or dice >= required:
        return []
    return [f"--require-dice: the mean Dice must be at least {required:g}, found {dice:.4f}"]


def _classes(path: Path, schema: LabelsConfig) -> ClassArray:
    volume = read(path)
    if len(volume.channels) != 1:
        raise InputError(
            f"{path}: classes are one channel, found {len(volume.channels)}; give masks, not "
            "probabilities"
        )
    try:
        return encode(volume.channels[0], schema)
    except InputError as fault:
        raise InputError(f"{path}: {fault}") from None


def _summary(
    found: Sequence[CaseScores], schema: LabelsConfig, num_left_out: int, faults: Sequence[str]
) -> dict[str, Any]:
    names = sorted({case.group for case in found if case.group is not None})
    summary: dict[str, Any] = {
        "labels": schema.model_dump(mode="json"),
        "num_cases": len(found),
        "num_labels_without_prediction": num_left_out,
        "faults": list(faults),
        **_means(found),
        "groups": {name: _means([case for case in found if case.group == name]) for name in names},
    }
    if schema.num_classes > 2:
        summary["classes"] = {
            name: _means(found, partial(one_against_rest, index=index))
            for index, name in enumerate(schema.names[1:], start=1)
        }
    return summary


def _means(
    found: Sequence[CaseScores], view: Callable[[Tensor], Tensor] = lambda matrix: matrix
) -> dict[str, Any]:
    """Mean over cases, and the scores of all their voxels together."""
    matrices = [view(case.matrix) for case in found]
    rows = [scores(matrix).as_dict() for matrix in matrices]
    return {
        "mean": {name: mean([row[name] for row in rows]) for name in rows[0]},
        "pooled": scores(torch.stack(matrices).sum(dim=0)).as_dict(),
        "cases": len(found),
    }


def _show(found: Sequence[CaseScores], summary: dict[str, Any], folder: Path) -> None:
    """Print the worst cases first, then the groups and the mean."""
    console = Console(highlight=False, soft_wrap=True)
    sizes = Counter(case.group for case in found)
    table = Table(title=f"{len(found)} cases, worst first" if len(found) > 1 else None)
    for column in ("case", "group", "Dice", "IoU", "prec.", "recall", "pred.", "label"):
        table.add_column(column, justify="left" if column in ("case", "group") else "right")
    for case in found[:_SHOWN]:
        table.add_row(case.id, case.group or "", *_cells(case.overlap.as_dict()))
    if len(found) > _SHOWN:
        table.add_row(f"… {len(found) - _SHOWN} better", *[""] * 7)
    table.add_section()
    for name, group in summary["groups"].items():
        table.add_row(f"mean of {sizes[name]}", name, *_cells(group["mean"]))
    table.add_row(f"mean of {len(found)}", "", *_cells(summary["mean"]), style="bold")
    table.add_row("all voxels", "", *_cells(summary["pooled"]))
    console.print(table)
    if summary["num_labels_without_prediction"]:
        left_out = summary["num_labels_without_prediction"]
        console.print(f"{left_out} labels without a prediction are not counted", markup=False)
    console.print(f"written: {folder / 'scores.csv'}, {folder / 'summary.json'}", markup=False)


def _cells(row: dict[str, float]) -> list[str]:
    numbers = [f"{row[name]:.4f}" for name in ("dice", "iou", "precision", "recall")]
    return numbers + [f"{row[name]:.2%}" for name in ("predicted_fraction", "labelled_fraction")]
