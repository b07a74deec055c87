"""Volumes that cubes are cut out of: unlabelled files, or partly labelled cases of the data set."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from vesuv.config import Config
from vesuv.config.data import DataConfig
from vesuv.config.labels import LabelsConfig
from vesuv.data.cubes import places_by_volume
from vesuv.data.labels import IGNORE, encode
from vesuv.data.layouts import case_of, find_cases
from vesuv.data.parts import part_name, part_region
from vesuv.data.preparation import prefix_message
from vesuv.errors import InputError
from vesuv.inference.blocks.source import Source
from vesuv.inference.inputs import find_inputs
from vesuv.inference.members import Member
from vesuv.io.formats import suffix
from vesuv.io.grid import check_same_grid
from vesuv.io.lazy import LazyVolume, Voxels, open_lazy
from vesuv.io.lazy.volume import read_region
from vesuv.runs.folder import RunFolder
from vesuv.types import Array, Mask, Region, Shape


@dataclass(frozen=True)
class LabelVoxels:
    """Label of a volume, of which regions are read.

    Args:
        voxels: Reads them.
        name: Name of the file.
    """

    voxels: Voxels
    name: str

    def values(self, region: Region) -> Array:
        """Return the label values of the file, (z, y, x).

        Raises:
            InputError: The file is damaged.
        """
        values: Array = read_region(self.voxels, region, self.name)[0]
        return values

    def labelled(self, region: Region, labels: LabelsConfig) -> Mask:
        """Return which voxels of a region are labelled.

        Raises:
            InputError: The file is damaged, or holds a value that is not declared.
        """
        with prefix_message(self.name):
            labelled: Mask = encode(self.values(region), labels) != IGNORE
        return labelled


@dataclass(frozen=True)
class SourceVolume:
    """A volume on disk.

    Args:
        id: Its name.
        images: One file for each channel, or one file with all channels.
        label: Label file; None for an unlabelled volume.
        level: Level of an OME-Zarr image.
        cubes: Places of cubes that were cut out of it before.
        held_out: Parts of it (index, number of parts) that the networks were not trained on.
    """

    id: str
    images: tuple[Path, ...]
    label: Path | None = None
    level: int = 0
    cubes: tuple[Region, ...] = ()
    held_out: tuple[tuple[int, int], ...] = ()

    @property
    def source(self) -> Source:
        return Source.of_files(self.images, self.level)

    def open_label(self, image: LazyVolume) -> LabelVoxels | None:
        """Open the label; None for an unlabelled volume.

        Args:
            image: The opened images.

        Raises:
            InputError: It cannot be read, or lies on another grid than the image.
        """
        if self.label is None:
            return None
        label = open_lazy(self.label, level=self.level)
        check_same_grid((self.label, label.header), (self.images[0], image.header))
        return LabelVoxels(label.voxels, str(self.label))

    def closed_regions(self, shape: Shape) -> list[Region]:
        """Return the regions that no cube may touch."""
        parts = [part_region(shape, self.id, index, number) for index, number in self.held_out]
        return [*self.cubes, *parts]


def unlabelled_volumes(path: Path, config: Config) -> list[SourceVolume]:
    """List the volumes of --input, by the names that they have as cases.

    Args:
        path: A volume, or a folder of volumes.
        config: Configuration of the networks.

    Raises:
        InputError: There is none.
    """
    places = places_by_volume(config.data)
    level = config.data.level
    found = find_inputs(path, num_channels=config.model.in_channels)
    cases = [case_of(one.id, config.data) for one in found]
    names = [
        case if cases.count(case) == 1 else one.id for case, one in zip(cases, found, strict=True)
    ]
    return [
        SourceVolume(
            id=name,
            images=one.files,
            level=level if suffix(one.files[0]) == ".zarr" else 0,
            cubes=tuple(places.get(name, places.get(one.id, ()))),
        )
        for name, one in zip(names, found, strict=True)
    ]


def partly_labelled_cases(members: Sequence[Member]) -> list[SourceVolume]:
    """List the cases that runs were trained on.

    Raises:
        InputError: Bundles do not say where their data lie; every voxel has a class; or the data
            are gone.
    """
    config = members[0].config
    if any(one.bundle_files is not None for one in members):
        raise InputError("--input: bundles do not name their data; give volumes to label")
    if config.labels.ignore is None:
        raise InputError(
            f"--input: {members[0].folder} has no labels.ignore, so that all voxels of its data "
            "are labelled; give volumes that are not"
        )
    trained = {name for one in members for name in RunFolder(one.folder).facts.train_cases}
    places = places_by_volume(config.data)
    data = config.data.model_copy(update={"parts": 1, "cubes": ()})
    return [
        SourceVolume(
            id=case.id,
            images=case.images,
            label=case.label,
            level=case.level,
            cubes=tuple(places.get(case.id, ())),
            held_out=_held_out(case.id, config.data, trained),
        )
        for case in find_cases(data)
        if trained & {case.id, *_part_names(case.id, config.data)}
    ]


def _held_out(name: str, data: DataConfig, trained: Collection[str]) -> tuple[tuple[int, int], ...]:
    parts = enumerate(_part_names(name, data))
    return tuple((index, data.parts) for index, part in parts if part not in trained)


def _part_names(name: str, data: DataConfig) -> list[str]:
    return [part_name(name, index) for index in range(data.parts)] if data.parts > 1 else []
