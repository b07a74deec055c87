"""Recognition of the layout of a folder of raw data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vesuv.data.layouts import read_groups
from vesuv.data.ome_zarr import label_names, zarr_images
from vesuv.data.pairs import find_words
from vesuv.errors import InputError
from vesuv.io.formats import stem, volumes_in
from vesuv.io.printable import number_of

_LABEL_WORDS = ("label", "mask", "seg", "truth", "gt", "annotation", "target")
"""Parts of the names of folders that hold labels."""
_DICOM = (".dcm", ".ima")
_KNOWN = (
    "train_images/, train_labels/ and train.csv (Kaggle); imagesTr/, labelsTr/ and dataset.json "
    "(nnU-Net); two folders of images and labels with files of one name; files x_image.nrrd and "
    "x_label.nrrd; an OME-Zarr image with its labels"
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
    recognition = _nnunet(root) or _kaggle(root) or _ome_zarr(root) or _folders(root)
    recognition = recognition or _pairs(root)
    if recognition is None:
        _refuse_dicom(root)
        names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
        found = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        raise InputError(
            f"{root}: training data lie in one of these layouts: {_KNOWN}; found "
            f"{found or 'nothing'}: rename or move the files"
        )
    return recognition


def _refuse_dicom(root: Path) -> None:
    file = next((path for path in root.rglob("*") if path.suffix.lower() in _DICOM), None)
    if file is not None:
        raise InputError(
            f"{file}: DICOM is not read; convert each series, with dcm2niix for example, to one "
            "NIfTI file"
        )


def _nnunet(root: Path) -> Recognition | None:
    if not ((root / "imagesTr").is_dir() and (root / "labelsTr").is_dir()):
        return None
    if not (root / "dataset.json").is_file():
        raise InputError(f"{root / 'dataset.json'}: no such file; layout nnunet needs it, add it")
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
    label_folders = [f for f in names if any(w in f.name.lower() for w in _LABEL_WORDS)]
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
    return Recognition(
        {"layout": "pairs", "images": image, "labels": label},
        f"files side by side whose names end in {image} and {label}",
    )
