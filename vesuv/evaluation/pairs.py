"""Predictions and the labels of their names: which files, and whether they can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vesuv.config.data import LabelsConfig
from vesuv.data.labels import IGNORE, encode
from vesuv.errors import InputError
from vesuv.io.formats import Volume, read, stem, volumes_in
from vesuv.report.figures import triptych

ClassArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CaseFiles:
    """One case's prediction and label."""

    id: str
    prediction: Path
    label: Path


@dataclass(frozen=True)
class Classes:
    """Class indices of a prediction and its label, which judges nothing where it is `IGNORE`."""

    prediction: ClassArray
    label: ClassArray
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class Picture:
    """Where to draw a case, and from which image."""

    image: Path | None
    source: Path
    """Folder of the images, for the message."""
    path: Path

    def draw(self, case_id: str, classes: Classes, dice: float) -> None:
        """Draw image | label | prediction; the first channel of the image.

        Raises:
            InputError: There is no image, or one of another shape.
        """
        if self.image is None:
            raise InputError(f"--images: {self.source} holds no image of case {case_id}; add it")
        image = read(self.image).channels[0]
        if image.shape != classes.label.shape:
            raise InputError(
                f"{self.image}: an image has its label's shape {classes.label.shape}, found "
                f"{image.shape}"
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        title = f"{case_id}: Dice {dice:.4f}"
        triptych(image, classes.label, classes.prediction, self.path, title)


def name_folders(folders: Sequence[Path]) -> dict[str, Path]:
    """Name each folder by its own name, and by those above it where that does not tell them apart.

    Raises:
        InputError: One folder is given twice.
    """
    whole = [folder.resolve() for folder in folders]
    for index, folder in enumerate(whole):
        if folder in whole[:index]:
            raise InputError(f"--predictions: {folders[index]} is given twice; take one out")
    depth = 1
    while len({folder.parts[-depth:] for folder in whole}) < len(whole):
        depth += 1
    return {"/".join(f.parts[-depth:]): given for f, given in zip(whole, folders, strict=True)}


def find_pairs(predictions: Path, labels: Path) -> tuple[list[CaseFiles], list[str]]:
    """Match files by name without ending.

    Returns:
        The pairs, and a fault for each prediction without a label.

    Raises:
        InputError: Nothing to match.
    """
    predicted, labelled = by_id(predictions), by_id(labels)
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
    matched = [CaseFiles(n, path, labelled[n]) for n, path in predicted.items() if n in labelled]
    return matched, faults


def by_id(folder: Path) -> dict[str, Path]:
    """Return the volumes of a folder by name without ending.

    Raises:
        InputError: No such folder, or two volumes of one name.
    """
    found: dict[str, Path] = {}
    for path in volumes_in(folder):
        name = stem(path)
        if name in found:
            raise InputError(f"{path}: {found[name].name} has the same name; keep one of them")
        found[name] = path
    return found


def read_pair(files: CaseFiles, schema: LabelsConfig) -> Classes:
    """Read label and prediction, which must judge every voxel that the label judges.

    Raises:
        InputError: They cannot be read, are no masks, or cannot be compared.
    """
    truth = read(files.label)
    label = _classes(files.label, truth, schema)
    found = _classes(files.prediction, read(files.prediction), schema)
    if label.shape != found.shape:
        raise InputError(
            f"{files.prediction}: a prediction has its label's shape {label.shape}, found "
            f"{found.shape}; predict on the image that was labelled"
        )
    undecided = int(np.count_nonzero((label != IGNORE) & (found == IGNORE)))
    if undecided:
        raise InputError(
            f"{files.prediction}: a prediction names a class wherever the label does, found the "
            f"ignore value {schema.ignore} in {undecided} of those voxels; is it a label?"
        )
    return Classes(found, label, truth.spacing)


def _classes(path: Path, volume: Volume, schema: LabelsConfig) -> ClassArray:
    if len(volume.channels) != 1:
        raise InputError(
            f"{path}: classes are one channel, found {len(volume.channels)}; give masks, not "
            "probabilities"
        )
    try:
        return encode(volume.channels[0], schema)
    except InputError as fault:
        raise InputError(f"{path}: {fault}") from None
