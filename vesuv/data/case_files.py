"""Read the files of one case and check that image and label lie on one grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from vesuv.data.case import Case
from vesuv.data.case_paths import CasePaths
from vesuv.data.parts import PartVoxels, cut_part, part_of_voxels
from vesuv.errors import InputError
from vesuv.io.formats import check_lossless, read, suffix
from vesuv.io.formats.volume import FormatError, Volume, check_claimed_size
from vesuv.io.grid import VolumeFile, check_same_grid, read_channels
from vesuv.io.lazy import LAZY_SUFFIXES, LazyVolume, Voxels, open_lazy
from vesuv.io.lazy.tiff import PageVoxels
from vesuv.io.lazy.volume import ChannelFiles, empty_array, read_region
from vesuv.types import Array


@dataclass(frozen=True)
class LazyCase:
    """A case whose voxels are read on request.

    Args:
        case: Its other properties; its arrays hold zeros and take no memory.
        image: Intensities.
        label: Label values of the file.
        names: Names of image and label in messages.
    """

    case: Case
    image: Voxels
    label: Voxels
    names: tuple[str, str]

    @property
    def num_voxels(self) -> int:
        return math.prod(self.label.shape)

    @property
    def reads_slices(self) -> bool:
        """Whether a file is compressed slice by slice."""
        return _reads_slices(self.image) or _reads_slices(self.label)


def file_names(files: CasePaths) -> tuple[str, str]:
    """Return the names of image and label in messages."""
    return ", ".join(map(str, files.images)), str(files.label)


def read_case(files: CasePaths) -> Case:
    """Read image and label of a case, which must lie on one grid.

    Raises:
        InputError: A file cannot be used; the message names it and the reason.
    """
    if files.level:
        return _read_whole(open_case_files(files))
    label_file = _label_file(files)
    geometry, image = read_channels(files.images)
    label = read(label_file)
    _check_label((label_file, label), (files.images[0], geometry))
    case = _case(files, geometry, image, label.channels[0])
    return case if files.part is None else cut_part(case, *files.part)


def open_case_files(files: CasePaths) -> LazyCase:
    """Open image and label of a case without reading their voxels, where their formats allow it.

    Raises:
        InputError: As `read_case`.
    """
    label_file = _label_file(files)
    images = [_open(path, files.level) for path in files.images]
    label = _open(label_file, files.level)
    first = (files.images[0], images[0].header)
    for path, volume in zip(files.images[1:], images[1:], strict=True):
        check_same_grid((path, volume.header), first, ("channel", "channel"))
    _check_label((label_file, label.header), first)
    voxels = tuple(volume.voxels for volume in images)
    image = voxels[0] if len(voxels) == 1 else ChannelFiles(voxels)
    label_voxels = label.voxels
    if files.part is not None:
        image, label_voxels = (
            part_of_voxels(one, files.id, *files.part) for one in (image, label_voxels)
        )
    arrays = [empty_array(one.shape, one.dtype) for one in (image, label_voxels)]
    case = _case(files, first[1], arrays[0], arrays[1][0])
    return LazyCase(case, image, label_voxels, file_names(files))


def are_lazy(files: CasePaths) -> bool:
    """Return whether the formats of a case's files allow to read regions of them."""
    paths = [*files.images, *([] if files.label is None else [files.label])]
    return all(suffix(path) in LAZY_SUFFIXES or _is_inside_zarr(path) for path in paths)


def _is_inside_zarr(path: Path) -> bool:
    return not suffix(path) and any(suffix(folder) == ".zarr" for folder in path.parents)


def _open(path: Path, level: int) -> LazyVolume:
    try:
        return open_lazy(path, level=level)
    except InputError as fault:  # which names the option of the command line
        raise InputError(str(fault).replace("--level:", "data.level:")) from None


def _reads_slices(voxels: Voxels) -> bool:
    if isinstance(voxels, ChannelFiles):
        return any(_reads_slices(one) for one in voxels.files)
    if isinstance(voxels, PartVoxels):
        return _reads_slices(voxels.voxels)
    return isinstance(voxels, PageVoxels)


def _label_file(files: CasePaths) -> Path:
    if files.label is None:
        raise InputError(f"case {files.id}: has no label; training cases need one")
    check_lossless(files.label, "label")
    return files.label


def _check_label(label: VolumeFile, image: VolumeFile) -> None:
    check_same_grid(label, image)
    if len(label[1].channels) != 1:
        raise InputError(
            f"{label[0]}: a label has one channel, found {len(label[1].channels)}; give one "
            "integer map"
        )


def _case(files: CasePaths, geometry: Volume, image: Array, label: Array) -> Case:
    place = geometry.spacing, files.group, geometry.unit, geometry.direction
    return Case(files.id, image, label, *place)


def _read_whole(volumes: LazyCase) -> Case:
    arrays = []
    for voxels, name in zip((volumes.image, volumes.label), volumes.names, strict=True):
        try:
            check_claimed_size(voxels.shape, voxels.dtype.itemsize)
        except FormatError as fault:
            raise InputError(f"{name}: {fault}") from None
        z, y, x = (slice(0, edge) for edge in voxels.shape[1:])
        arrays.append(read_region(voxels, (z, y, x), name))
    return replace(volumes.case, image=arrays[0], label=arrays[1][0])
