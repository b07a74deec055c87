"""Labelled cubes beside the data set (`data.cubes`), as `vesuv suggest` cuts them out of volumes.

A cube is a case that trains and is never judged: the places of cubes are chosen, so that scores on
them say nothing about the volumes. It is normalised by the intensities of its volume, because that
is what the network sees when it predicts the volume.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vesuv.config.data import DataConfig
from vesuv.data.case_paths import CasePaths, CubeOrigin, matched_cases
from vesuv.data.parts import part_name, part_region
from vesuv.data.records import CaseAttributes, CheckedShape, Record, parse_record
from vesuv.data.statistics import CaseStatistics, Count
from vesuv.errors import InputError
from vesuv.io.printable import number_of
from vesuv.migrations import RECORD
from vesuv.types import Region, Shape

IMAGES, LABELS = "images", "labels"
"""Folders of the cubes' files."""
SUGGESTIONS = "suggestions.json"
"""File that says which volumes the cubes were cut out of, and where."""

Corner = tuple[Count, Count, Count]


class CubePlace(Record):
    """Place of a cube in a volume.

    Args:
        volume: Id of the volume.
        start: First voxel.
        stop: Last voxel + 1 along each axis.
    """

    volume: str
    start: Corner
    stop: Corner

    @property
    def region(self) -> Region:
        z, y, x = (slice(*ends) for ends in zip(self.start, self.stop, strict=True))
        return z, y, x


class VolumeRecord(Record):
    """A volume that cubes were cut out of.

    Args:
        shape: Voxels along z, y, x.
        statistics: Intensities of the whole volume.
    """

    shape: CheckedShape
    statistics: CaseStatistics


class CubesRecord(Record):
    """suggestions.json.

    Args:
        version: Version of the format.
        cubes: Id of a cube -> its place.
        volumes: Id of a volume -> the volume.
    """

    version: int
    cubes: dict[str, CubePlace]
    volumes: dict[str, VolumeRecord]


def cube_cases(config: DataConfig, case_ids: Sequence[str]) -> tuple[list[CasePaths], list[str]]:
    """List the cubes of `data.cubes`, and the faults of incomplete ones.

    Args:
        config: Section data.
        case_ids: Ids of the other cases.

    Raises:
        InputError: A folder is missing, or its record is damaged.
    """
    cases: list[CasePaths] = []
    faults: list[str] = []
    for folder in map(Path, config.cubes):
        for part in (IMAGES, LABELS):
            if not (folder / part).is_dir():
                raise InputError(
                    f"data.cubes: {folder / part} is no folder; name folders with {IMAGES}/ and "
                    f"{LABELS}/ in it"
                )
        record = read_cubes_record(folder)
        cubes, folder_faults = matched_cases(folder / IMAGES, folder / LABELS, {})
        cases += [replace(one, cube=_origin(one.id, folder, record, config)) for one in cubes]
        faults += folder_faults
    numbers = Counter([*case_ids, *(one.id for one in cases)])
    faults += [
        f"data.cubes: id {name} stands for {count} cases; rename image and label of one of them"
        for name, count in sorted(numbers.items())
        if count > 1
    ]
    return [one for one in cases if numbers[one.id] == 1], faults


def read_cubes_record(folder: Path) -> CubesRecord:
    """Read suggestions.json of a folder of cubes; without the file, no place is known.

    Raises:
        InputError: It is damaged.
    """
    path = folder / SUGGESTIONS
    remedy = "copy it again from where the cubes were suggested"
    try:
        return parse_record(path, CubesRecord, RECORD, "cannot be read", remedy)
    except FileNotFoundError:
        return CubesRecord(version=RECORD.version, cubes={}, volumes={})


def places_by_volume(config: DataConfig) -> dict[str, list[Region]]:
    """Return id of a volume -> places of the cubes that were cut out of it before."""
    places: dict[str, list[Region]] = {}
    for folder in map(Path, config.cubes):
        for place in read_cubes_record(folder).cubes.values():
            places.setdefault(place.volume, []).append(place.region)
    return places


def cube_notes(cases: Sequence[CaseAttributes], ignore: int | None) -> list[str]:
    """Return a sentence where cubes have no labelled voxel, or come from an unknown volume."""
    cubes = [case for case in cases if case.cut_from is not None]
    empty = [case.id for case in cubes if set(case.values) <= {ignore}]
    unknown = [case.id for case in cubes if not case.cut_from]
    return [
        f"cubes of data.cubes {what}: {len(names)} of {len(cubes)}, first {names[0]}"
        for names, what in (
            (empty, "without a labelled voxel, which train nothing"),
            (unknown, f"that no {SUGGESTIONS} names, which train also what judges their volume"),
        )
        if names
    ]


def with_origin(attributes: CaseAttributes, cube: CubeOrigin) -> CaseAttributes:
    """Return the attributes of a cube, with the intensities of its volume.

    Raises:
        InputError: The volume had another number of channels.
    """
    statistics = attributes.statistics
    if cube.statistics is not None:
        statistics = replace(cube.statistics, foreground=statistics.foreground)
    if len(statistics.mean) != attributes.num_channels:
        raise InputError(
            f"{cube.folder / SUGGESTIONS}: cube {attributes.id} has "
            f"{number_of(attributes.num_channels, 'channel')}, found {len(statistics.mean)} in the "
            "record of its volume; write the image with all channels, or delete the record"
        )
    return attributes.model_copy(update={"cut_from": cube.cases, "statistics": statistics})


def _origin(name: str, folder: Path, record: CubesRecord, config: DataConfig) -> CubeOrigin:
    place = record.cubes.get(name)
    if place is None:
        return CubeOrigin(folder)
    volume = record.volumes.get(place.volume)
    if volume is None:
        return CubeOrigin(folder, (place.volume,))
    return CubeOrigin(folder, _cases_at(place, volume.shape, config.parts), volume.statistics)


def _cases_at(place: CubePlace, shape: Shape, num_parts: int) -> tuple[str, ...]:
    """Return the ids that the parts of a volume with voxels of a cube would have as cases."""
    if num_parts == 1:
        return (place.volume,)
    return tuple(
        part_name(place.volume, index)
        for index in range(num_parts)
        if overlaps(place.region, part_region(shape, place.volume, index, num_parts))
    )


def overlaps(one: Region, other: Region) -> bool:
    """Return whether two boxes have a common voxel."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))
