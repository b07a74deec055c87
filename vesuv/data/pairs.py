"""Layout pairs: image and label of a case lie side by side, x_image.nrrd and x_label.nrrd.

The image may also be x.nrrd alone: its word is empty then.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from vesuv.data.case_paths import CasePaths
from vesuv.errors import InputError
from vesuv.io.formats import stem, volumes_in

IMAGE_WORDS = ("image", "img", "imaging", "raw", "volume", "scan")
"""Words that names of images end in, in the order in which they are looked for."""
LABEL_WORDS = (
    "label",
    "labels",
    "seg",
    "segmentation",
    "mask",
    "gt",
    "masks",
    "lab",
    "lbl",
    "truth",
)
"""Words that names of labels end in."""
_LAST_WORD = re.compile(r"(?P<id>.+)[_-](?P<word>[^_-]+)")

Volumes = dict[str, Path]
"""Case id -> volume."""


def pair_cases(
    root: Path, image_word: str, label_word: str, groups: dict[str, str | None]
) -> tuple[list[CasePaths], list[str]]:
    """List the cases whose files lie in `root`, or in a folder for each case in it.

    A file whose name is the word alone, as image.nii.gz, belongs to the case named by its folder.

    Args:
        root: Folder of the raw data.
        image_word: Last word of the names of images: x_image.nrrd; empty: x.nrrd.
        label_word: Last word of the names of labels.
        groups: Case id -> group.

    Returns:
        The complete cases, and one sentence for each fault of the others.

    Raises:
        InputError: Two files are the image, or the label, of one case.
    """
    files = _volumes(root)
    images, labels = _images_and_labels(files, image_word, label_word)
    faults = [
        f"{found[name]}: no {word or 'image'} of case {name} beside it; add it or take this one out"
        for found, partners, word in ((images, labels, label_word), (labels, images, image_word))
        for name in sorted(set(found) - set(partners))
    ]
    names = sorted(set(images) & set(labels))
    return [CasePaths(n, (images[n],), labels[n], groups.get(n)) for n in names], faults


def find_words(root: Path) -> tuple[str, str] | None:
    """Return the last words of images' and labels' names of which a folder holds most pairs.

    Words of images that are not among `IMAGE_WORDS` are looked for too: one word that all others
    than the labels end in, as in x_t1 and x_seg, and none, as in x and x_seg.
    """
    files = _volumes(root)
    labels = {word: set(with_last_word(files, word)) for word in LABEL_WORDS}
    images = {word: set(with_last_word(files, word)) for word in IMAGE_WORDS}
    images |= _images_of_another_word(files, set().union(*labels.values()))
    images[""] = {name for name, number in Counter(map(stem, files)).items() if number == 1}
    numbers = {
        (image, label): len(names & labels[label])
        for image, names in images.items()
        for label in LABEL_WORDS
    }
    best = max(numbers, key=lambda words: numbers[words])
    return best if numbers[best] else None


def _images_of_another_word(files: Sequence[Path], case_ids: set[str]) -> dict[str, set[str]]:
    """Return the one other word that names of these cases end in -> its cases; none for several."""
    matches = [match for path in files if (match := _LAST_WORD.fullmatch(stem(path)))]
    words: dict[str, set[str]] = {}
    for match in matches:
        if match["id"] in case_ids and match["word"].lower() not in (*IMAGE_WORDS, *LABEL_WORDS):
            words.setdefault(match["word"], set()).add(match["id"])
    return words if len(words) == 1 else {}


def words_in_front(root: Path) -> tuple[Path, Path] | None:
    """Return an image and a label whose names begin with their words: scan_x and seg_x."""
    cases: dict[str, dict[str, Path]] = {}
    for path in _volumes(root):
        word, _, case_id = re.sub("[_-]", "/", stem(path), count=1).partition("/")
        if case_id:
            cases.setdefault(case_id, {})[word.lower()] = path
    for files in cases.values():
        labels = [files[word] for word in LABEL_WORDS if word in files]
        others = sorted(set(files) - set(LABEL_WORDS), key=lambda word: word not in IMAGE_WORDS)
        if labels and others:
            return files[others[0]], labels[0]
    return None


def pairs_in(folder: Path) -> dict[Path, Path]:
    """Return image -> label of the pairs that lie in a folder itself."""
    words = find_words(folder)
    if words is None:
        return {}
    images, labels = _images_and_labels(volumes_in(folder), *words)
    return {images[name]: labels[name] for name in images if name in labels}


def _images_and_labels(
    files: Sequence[Path], image_word: str, label_word: str
) -> tuple[Volumes, Volumes]:
    labels = with_last_word(files, label_word)
    others = set(files) - set(labels.values())
    return with_last_word(sorted(others), image_word), labels


def with_last_word(files: Iterable[Path], word: str) -> Volumes:
    """Return case id -> file of the files whose names end in a word; all files for no word.

    Raises:
        InputError: Two files have one case id.
    """
    text = rf"(?:(?P<id>.+)[_-])?{re.escape(word)}" if word else "(?P<id>.+)"
    pattern = re.compile(text, re.IGNORECASE)
    volumes: Volumes = {}
    for path in files:
        match = pattern.fullmatch(stem(path))
        if not match:
            continue
        name = match["id"] or path.resolve().parent.name
        if name in volumes:
            role = word or "image"
            raise InputError(
                f"{path}: {volumes[name]} is the {role} of case {name} too; keep one of them"
            )
        volumes[name] = path
    return volumes


def case_folders(root: Path) -> list[Path]:
    """Return a folder itself if it holds volumes, else the folders in it, one for each case."""
    return [root] if volumes_in(root) else _folders_in(root)


def _folders_in(root: Path) -> list[Path]:
    folders = [p for p in root.iterdir() if p.is_dir() and p.name[0] != "." and p.suffix != ".zarr"]
    return sorted(folders)


def _volumes(root: Path) -> list[Path]:
    """The volumes in a folder and in the folders in it, which are one level deep."""
    return [path for folder in (root, *_folders_in(root)) for path in volumes_in(folder)]
