"""Files of predictions and labels, matched by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vesuv.data.ome_zarr import LABELS, label_names
from vesuv.data.pairs import IMAGE_WORDS, LABEL_WORDS, case_folders, pairs_in, with_last_word
from vesuv.errors import InputError
from vesuv.io.formats import stem, volumes_in


@dataclass(frozen=True)
class CaseFiles:
    """One case's prediction and label."""

    id: str
    prediction: Path
    label: Path


def name_folders(folders: Sequence[Path]) -> dict[str, Path]:
    """Name each folder by its own name, and by its parents' too where names would be the same.

    Raises:
        InputError: No folder is given, or one twice.
    """
    if not folders:
        raise InputError("--predictions: needs a folder of masks, found none; name one")
    whole = [folder.resolve() for folder in folders]
    for index, folder in enumerate(whole):
        if folder in whole[:index]:
            raise InputError(f"--predictions: {folders[index]} is given twice; take one out")
    depth = 1
    while len({folder.parts[-depth:] for folder in whole}) < len(whole):
        depth += 1
    return {"/".join(f.parts[-depth:]): given for f, given in zip(whole, folders, strict=True)}


def find_pairs(predictions: Path, labels: Path) -> tuple[list[CaseFiles], list[str]]:
    """Match files by name without ending; predictions x and x_image belong to the label x_label.

    The prediction of nnU-Net's image x_0000 belongs to the label x.
    The label of an OME-Zarr image that holds one is that in its group `labels`.

    Returns:
        The pairs, and a fault for each prediction without a label.

    Raises:
        InputError: Nothing to match.
    """
    predicted = by_id(predictions)
    by_case = _by_case(labels)
    by_name = {name: _label_of(path) for name, path in by_id(labels).items()}
    labelled = {
        stem(path): of_case[case]
        for word, of_case in (*((word, by_case) for word in IMAGE_WORDS), ("0000", by_name))
        for case, path in with_last_word(predicted.values(), word).items()
        if case in of_case
    }
    labelled |= by_case | by_name
    labelled |= {stem(image): label for image, label in pairs_in(labels).items()}
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


def labels_in(folder: Path) -> list[Path]:
    """Return the volumes of a folder without the images that lie beside their labels."""
    folders = case_folders(folder)
    return [path for one in folders for path in sorted({*volumes_in(one)} - {*pairs_in(one)})]


def _by_case(labels: Path) -> dict[str, Path]:
    """Return x -> x_label of the labels whose names end in a word, where x has one label.

    The label of the case x can lie in a folder x, with the word alone for its name.
    """
    files = [path for folder in case_folders(labels) for path in volumes_in(folder)]
    by_word = [with_last_word(files, word) for word in LABEL_WORDS]
    num_labels = Counter(name for by_name in by_word for name in by_name)
    return {
        name: path for by_name in by_word for name, path in by_name.items() if num_labels[name] == 1
    }


def _label_of(path: Path) -> Path:
    """Return the label inside an OME-Zarr image; the path itself where there is none.

    Raises:
        InputError: The image holds several labels.
    """
    names = label_names(path)
    if len(names) > 1:
        raise InputError(
            f"--labels: {path} must hold one label, found {', '.join(names)}; copy the one to "
            "compare with into a folder of its own"
        )
    return path / LABELS / names[0] if names else path


def by_id(folder: Path) -> dict[str, Path]:
    """Return the volumes of a folder by name without ending.

    Raises:
        InputError: No such folder, or two volumes of one name.
    """
    volumes: dict[str, Path] = {}
    for path in volumes_in(folder):
        name = stem(path)
        if name in volumes:
            raise InputError(f"{path}: {volumes[name].name} has the same name; keep one of them")
        volumes[name] = path
    return volumes
