"""Recognition of the layout of a folder of raw data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from vesuv.data.layouts import read_groups
from vesuv.data.ome_zarr import label_names, zarr_images
from vesuv.data.pairs import find_words, words_in_front
from vesuv.errors import InputError
from vesuv.io.formats import SUFFIXES, stem, suffix, volumes_in
from vesuv.io.printable import number_of

_LABEL_WORD = re.compile(r"label|(^|[_-])labs?$|lbl|mask|seg|truth|gt|anno|target", re.IGNORECASE)
"""Part of the name of a folder that holds labels."""
_DICOM = (".dcm", ".ima")
_HDF5 = (".h5", ".hdf5", ".hdf", ".he5")
_MAX_FOLDERS, _MAX_FILES = 20, 10_000
"""Folders and files that are looked at for the message about an unknown layout."""
_KNOWN = (
    "train_images/, train_labels/ and train.csv (Kaggle); imagesTr/, labelsTr/ and dataset.json "
    "(nnU-Net); two folders, such as images/ and labels/, with files of one name; files "
    "x_image.nrrd, or x.nrrd, and x_label.nrrd; an OME-Zarr image with its labels"
)


@dataclass(frozen=True)
class Recognition:
    """Layout of a folder.

    Args:
        data: Keys of the section `data`: layout, images, labels.
        reason: What it was recognised by.
    """

    data: dict[str, str]
    reason: str


def recognise(root: Path) -> Recognition:
    """Recognise the layout of a folder by the names of its files.

    Raises:
        InputError: It is no folder, or of no known layout.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; name the folder of the raw data")
    recognition = _layout_of(root)
    if recognition is None:
        _refuse_other_formats(root)
        _refuse_words_in_front(root)
        names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
        found = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        raise InputError(
            f"{root}: training data lie in one of these layouts: {_KNOWN}; found "
            f"{found or 'nothing'}: {_remedy(root)}"
        )
    return recognition


def _layout_of(root: Path) -> Recognition | None:
    recognition = _nnunet(root) or _kaggle(root) or _ome_zarr(root) or _folders(root)
    return recognition or _pairs(root)


def _remedy(root: Path) -> str:
    """Name the folders below that are of a known layout: train, val."""
    folders = [path for path in sorted(root.iterdir()) if path.is_dir()]
    known = [str(path) for path in folders[:_MAX_FOLDERS] if _is_known(path)]
    return f"give one of the folders {', '.join(known)}" if known else "rename or move the files"


def _is_known(folder: Path) -> bool:
    try:
        return _layout_of(folder) is not None
    except InputError:
        return False


def _refuse_other_formats(root: Path) -> None:
    """Refuse a folder with files of which none has a known format, with one of them."""
    paths = [root, *islice(root.rglob("*"), _MAX_FILES)]
    files = sorted(path for path in paths if path.is_file())
    if not files or any(suffix(path) for path in paths):
        return
    if any(path.suffix.lower() in _DICOM for path in files):
        raise InputError(
            f"{root}: holds DICOM, which is not read; convert each series to one NIfTI file, with "
            "dcm2niix or the five lines of docs/your_data.md"
        )
    if any(path.suffix.lower() in _HDF5 for path in files):
        raise InputError(
            f"{root}: holds HDF5, which is not read; convert each data set to one file, with the "
            "lines of docs/your_data.md"
        )
    raise InputError(
        f"{root}: volumes are {', '.join(SUFFIXES)} files, found {files[0].name}; convert the files"
    )


def _refuse_words_in_front(root: Path) -> None:
    pair = words_in_front(root)
    if pair is not None:
        found = " and ".join(path.name for path in pair)
        names = " and ".join(_with_word_behind(path) for path in pair)
        raise InputError(
            f"{root}: the words for image and label stand behind the names of the cases, found "
            f"{found}; rename all files like these two to {names}"
        )


def _with_word_behind(path: Path) -> str:
    word, mark, case_id = re.split("([_-])", stem(path), maxsplit=1)
    return f"{case_id}{mark}{word}{suffix(path)}"


def _nnunet(root: Path) -> Recognition | None:
    if not ((root / "imagesTr").is_dir() and (root / "labelsTr").is_dir()):
        return None
    if not (root / "dataset.json").is_file():
        raise InputError(
            f"{root / 'dataset.json'}: no such file; layout nnunet needs it, add it; or, where "
            "image and label of a case have one name, rename imagesTr and labelsTr to images and "
            "labels"
        )
    return Recognition({"layout": "nnunet"}, "nnU-Net: imagesTr, labelsTr and dataset.json")


def _kaggle(root: Path) -> Recognition | None:
    images, labels = root / "train_images", root / "train_labels"
    has_list = read_groups(root / "train.csv") is not None
    if not (images.is_dir() and labels.is_dir() and has_list):
        return None
    return Recognition({"layout": "kaggle"}, "Kaggle: train_images, train_labels and train.csv")


def _ome_zarr(root: Path) -> Recognition | None:
    images = zarr_images(root)
    names = sorted({name for image in images for name in label_names(image)})
    if not names:
        return None
    shared = [name for name in names if all(name in label_names(image) for image in images)]
    name = (shared or names)[0]
    others = f", of {', '.join(names)}" if len(names) > 1 else ""
    number = number_of(len(images), "OME-Zarr image")
    return Recognition(
        {"layout": "ome_zarr", "labels": name}, f"{number} with the label {name}{others}"
    )


def _folders(root: Path) -> Recognition | None:
    """The two folders that share most names, the one that is called labels or the like second."""
    names = {
        folder: {stem(path) for path in volumes_in(folder)}
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".") and folder.suffix != ".zarr"
    }
    label_folders = [folder for folder in names if _LABEL_WORD.search(folder.name)]
    pairs = {
        (images, labels): len(names[images] & names[labels])
        for labels in label_folders
        for images in names
        if images not in label_folders
    }
    pair = max(pairs, key=lambda one: pairs[one], default=None)
    if pair is None or not pairs[pair]:
        return None
    images, labels = (folder.name for folder in pair)
    number = number_of(pairs[pair], "file")
    return Recognition(
        {"layout": "folders", "images": images, "labels": labels},
        f"two folders, {images} and {labels}, with {number} of one name",
    )


def _pairs(root: Path) -> Recognition | None:
    words = find_words(root)
    if words is None:
        return None
    image, label = words
    reason = f"files side by side whose names end in {image} and {label}"
    if not image:
        reason = f"labels named as their images, with {label} behind"
    return Recognition({"layout": "pairs", "images": image, "labels": label}, reason)
