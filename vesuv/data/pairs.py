"""Layout pairs: image and label of a case lie side by side, x_image.nrrd and x_label.nrrd."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from vesuv.data.case_paths import CasePaths
from vesuv.errors import InputError
from vesuv.io.formats import stem, volumes_in

IMAGE_WORDS = ("image", "img", "imaging", "raw", "volume", "scan")
"""Words that names of images end in, in the order in which they are looked for."""
LABEL_WORDS = ("label", "labels", "seg", "segmentation", "mask", "gt")
"""Words that names of labels end in."""

Volumes = dict[str, Path]
"""Case id -> volume."""


def pair_cases(
    root: Path, image_word: str, label_word: str, groups: dict[str, str | None]
) -> tuple[list[CasePaths], list[str]]:
    """List the cases whose files lie in `root`, or in a folder for each case in it.

    A file whose name is the word alone, as image.nii.gz, belongs to the case named by its folder.

    Args:
        root: Folder of the raw data.
        image_word: Last word of the names of images: x_image.nrrd.
        label_word: Last word of the names of labels.
        groups: Case id -> group.

    Returns:
        The complete cases, and one sentence for each fault of the others.

    Raises:
        InputError: Two files are the image, or the label, of one case.
    """
    files = _volumes(root)
    images, labels = with_last_word(files, image_word), with_last_word(files, label_word)
    faults = [
        f"{found[name]}: no {word} of case {name} beside it; add it or take this one out"
        for found, partners, word in ((images, labels, label_word), (labels, images, image_word))
        for name in sorted(set(found) - set(partners))
    ]
    names = sorted(set(images) & set(labels))
    return [CasePaths(n, (images[n],), labels[n], groups.get(n)) for n in names], faults


def find_words(root: Path) -> tuple[str, str] | None:
    """Return the last words of images' and labels' names of which a folder holds most pairs."""
    files = _volumes(root)
    numbers = {
        (image, label): len(set(with_last_word(files, image)) & set(with_last_word(files, label)))
        for image in IMAGE_WORDS
        for label in LABEL_WORDS
    }
    best = max(numbers, key=lambda words: numbers[words])
    return best if numbers[best] else None


def pairs_in(folder: Path) -> dict[Path, Path]:
    """Return image -> label of the pairs that lie in a folder itself."""
    words = find_words(folder)
    if words is None:
        return {}
    files = volumes_in(folder)
    images, labels = (with_last_word(files, word) for word in words)
    return {images[name]: labels[name] for name in images if name in labels}


def with_last_word(files: Iterable[Path], word: str) -> Volumes:
    """Return case id -> file of the files whose names end in a word.

    Raises:
        InputError: Two files have one case id.
    """
    pattern = re.compile(rf"(?:(?P<id>.+)[_-])?{re.escape(word)}", re.IGNORECASE)
    volumes: Volumes = {}
    for path in files:
        match = pattern.fullmatch(stem(path))
        if not match:
            continue
        name = match["id"] or path.resolve().parent.name
        if name in volumes:
            raise InputError(
                f"{path}: {volumes[name]} is the {word} of case {name} too; keep one of them"
            )
        volumes[name] = path
    return volumes


def _volumes(root: Path) -> list[Path]:
    """The volumes in a folder and in the folders in it, which are one level deep."""
    folders = [p for p in root.iterdir() if p.is_dir() and p.name[0] != "." and p.suffix != ".zarr"]
    return [path for folder in (root, *sorted(folders)) for path in volumes_in(folder)]
