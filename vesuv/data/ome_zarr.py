"""Layout ome_zarr: OME-Zarr images that hold their labels, in the group `labels`."""

from __future__ import annotations

from pathlib import Path

from vesuv.data.case_paths import CasePaths
from vesuv.errors import InputError
from vesuv.io.formats import stem, suffix, volumes_in

LABELS = "labels"
"""Group of the label images inside an image, by NGFF."""
_METADATA = ("zarr.json", ".zgroup", ".zarray")


def ome_zarr_cases(
    root: Path, label: str, groups: dict[str, str | None]
) -> tuple[list[CasePaths], list[str]]:
    """List the images with the label of this name.

    Args:
        root: One OME-Zarr image, or a folder of several.
        label: Name of the label image inside `labels`.
        groups: Case id -> group.

    Returns:
        The complete cases, and one sentence for each image without the label.
    """
    cases, faults = [], []
    for image in zarr_images(root):
        path = image / LABELS / label
        if path.is_dir():
            name = stem(image)
            cases.append(CasePaths(name, (image,), path, groups.get(name)))
        else:
            names = label_names(image)
            faults.append(
                f"{path}: no such label; {image.name} holds {', '.join(names) or 'no label'}: "
                "correct data.labels"
            )
    return cases, faults


def zarr_images(root: Path) -> list[Path]:
    """Return the OME-Zarr images at a path: itself, or those of a folder, sorted."""
    if suffix(root) == ".zarr":
        return [root]
    try:
        return [path for path in volumes_in(root) if suffix(path) == ".zarr"]
    except InputError:
        return []


def label_names(image: Path) -> list[str]:
    """Return the names of the label images inside an OME-Zarr image, sorted."""
    folder = image / LABELS
    if not folder.is_dir():
        return []
    return sorted(
        path.name for path in folder.iterdir() if any((path / name).is_file() for name in _METADATA)
    )
