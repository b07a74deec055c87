"""Suggested cubes as files: images, labels to paint, a table, and a configuration that trains them.

Labels that a person painted cannot be made again, so a folder that exists is never written to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vesuv.config import Config
from vesuv.config.labels import LabelsConfig
from vesuv.config.text import dump_yaml
from vesuv.data.cubes import (
    IMAGES,
    LABELS,
    SUGGESTIONS,
    CubePlace,
    CubesRecord,
    VolumeRecord,
)
from vesuv.data.labels import IGNORE, decode
from vesuv.data.records import write_record
from vesuv.data.store import store_path
from vesuv.errors import InputError, InputErrors, command
from vesuv.inference.blocks.input import BlockInput
from vesuv.inference.blocks.plan import check_edge
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.domain_shift import DomainShift, shift_lines
from vesuv.inference.members import Member
from vesuv.inference.predictor import Predictor
from vesuv.inference.suggestion.cubes import SuggestedCube, choose_cubes, volumes_with_room
from vesuv.inference.suggestion.places import PlaceGrid
from vesuv.inference.suggestion.scoring import PlaceScorer, ScoredPlaces
from vesuv.inference.suggestion.volume_search import VolumeSearch
from vesuv.inference.suggestion.volumes import SourceVolume
from vesuv.io.atomic import atomic_replace, catch_write_errors
from vesuv.io.formats import mask_suffix, write
from vesuv.io.formats.crop import cropped
from vesuv.io.lazy import open_lazy
from vesuv.io.lazy.volume import read_region
from vesuv.io.tables import write_csv, write_text
from vesuv.migrations import RECORD
from vesuv.runs.folder import RunFolder
from vesuv.types import Array, Say, Shape, ShowProgress, no_shown_progress, silent

TABLE = "suggestions.csv"
TRAIN = "train.yaml"
"""Configuration that trains on the data of a run and on the cubes."""
_PNG_CHANNELS, _PNG_TYPES = (1, 3), (np.uint8, np.uint16)


@dataclass(frozen=True)
class ScoredVolume:
    """Scores of a volume's places, and what is recorded beside the cubes.

    Args:
        source: The volume.
        scores: Scores of the places in it.
        record: Shape and intensities.
        shifts: How it differs from the training cases.
    """

    source: SourceVolume
    scores: ScoredPlaces
    record: VolumeRecord
    shifts: list[DomainShift]


@dataclass(frozen=True)
class FileSuggestion:
    """Suggestion of cubes of volumes on disk, into a new folder.

    Args:
        members: Checkpoints of the predictor.
        predictor: Several networks, or one with views.
        output: Folder to write.
        number: Number of cubes.
        size: Edges of a cube in voxels of the files.
        seed: Seed of random places; None: those of the largest disagreement.
        always_blocks: Predict in blocks also volumes that fit into memory.
        block_size: Edge of the blocks.
        say: Called with each message.
        show_progress: Shows the progress of each volume.
    """

    members: Sequence[Member]
    predictor: Predictor
    output: Path
    number: int
    size: Shape
    seed: int | None = None
    always_blocks: bool = False
    block_size: int = BlockSettings.block_size
    say: Say = silent
    show_progress: ShowProgress = no_shown_progress

    @property
    def labels(self) -> LabelsConfig:
        """Labels of the cubes: those of the networks, with a value to ignore."""
        labels = self.members[0].config.labels
        if labels.ignore is not None:
            return labels
        values = [value for _, group in labels.values() for value in group]
        return labels.model_copy(update={"ignore": max(values) + 1})

    def check(self, volumes: Sequence[SourceVolume]) -> list[SourceVolume]:
        """Return the volumes that hold a cube; nothing is predicted or written.

        Raises:
            InputError: The folder exists, the cubes have no room, nothing can disagree, or the edge
                of blocks is wrong.
        """
        check_edge(self.block_size)
        self._check_output()
        if self.seed is None:
            self.predictor.ensemble.check_has_several_predictions()
        shapes = {one.id: open_lazy(one.images[0], level=one.level).shape for one in volumes}
        names = volumes_with_room(shapes, self.size, self.number)
        left_out = len(volumes) - len(names)
        if left_out:
            self.say(f"left out, smaller than a cube: {left_out} of {len(volumes)} volumes")
        return [one for one in volumes if one.id in names]

    def run(self, volumes: Sequence[SourceVolume]) -> list[SuggestedCube]:
        """Predict the volumes, choose cubes, and write them.

        Raises:
            InputErrors: As `check`, or volumes cannot be used; nothing is written.
        """
        volumes = self.check(volumes)
        scored: dict[str, ScoredVolume] = {}
        faults: list[str] = []
        for number, volume in enumerate(volumes, start=1):
            try:
                scored[volume.id] = self.score(volume, f"{number}/{len(volumes)} {volume.id}")
            except InputError as fault:
                faults += fault.faults if isinstance(fault, InputErrors) else [str(fault)]
        if faults:
            raise InputErrors(faults)
        for line in shift_lines({name: one.shifts for name, one in scored.items()}):
            self.say(line)
        cubes = choose_cubes({name: one.scores for name, one in scored.items()}, self.number)
        self._write(cubes, {one.volume: scored[one.volume] for one in cubes})
        return cubes

    def _check_output(self) -> None:
        if self.output.exists() or self.output.is_symlink():
            raise InputError(
                f"--output: {self.output} exists, and painted labels are never replaced; name a "
                "new folder"
            )

    def score(self, volume: SourceVolume, title: str) -> ScoredVolume:
        """Return the scores of the places in a volume, which is predicted.

        Raises:
            InputError: A file cannot be used.
        """
        image = BlockInput(self.predictor, volume.source)
        label = volume.open_label(image.volume)
        shape = image.volume.shape
        rng = None
        if self.seed is not None:
            rng = np.random.default_rng([self.seed % 2**64, *map(ord, volume.id)])
        grid = PlaceGrid.over(shape, self.size)
        scorer = PlaceScorer(grid, self.number, volume.closed_regions(shape), rng)
        search = VolumeSearch(image, scorer, label, self.labels, self.show_progress, title)
        if rng is not None:
            statistics, shifts = search.add_labels()
        elif self.always_blocks or volume.source.is_large():
            statistics, shifts = search.add_blocks(self.block_size)
        else:
            statistics, shifts = search.add_whole()
        scored = scorer.result()
        if scored.mean is not None:
            self.say(f"{title}: networks and views disagree by {scored.mean:.3g} bits a voxel")
        record = VolumeRecord(shape=shape, statistics=statistics)
        return ScoredVolume(volume, scored, record, shifts)

    def _write(self, cubes: Sequence[SuggestedCube], volumes: Mapping[str, ScoredVolume]) -> None:
        places = {
            one.id: CubePlace(volume=one.volume, start=one.start, stop=one.stop) for one in cubes
        }
        records = {name: one.record for name, one in volumes.items()}
        with catch_write_errors(self.output), atomic_replace(self.output.absolute()) as folder:
            for name, volume in volumes.items():
                self._cut(volume.source, [one for one in cubes if one.volume == name], folder)
            write_csv(folder / TABLE, [_row(one) for one in cubes])
            record = CubesRecord(version=RECORD.version, cubes=places, volumes=records)
            write_record(folder / SUGGESTIONS, record)
            if self.members[0].bundle_files is None:
                write_text(folder / TRAIN, self._training_file())
            self._check_output()  # another process may have been faster

    def _cut(self, volume: SourceVolume, cubes: Sequence[SuggestedCube], folder: Path) -> None:
        """Write image and label of each cube of a volume."""
        image = volume.source.open()
        label = volume.open_label(image)
        for cube in cubes:
            box = read_region(image.voxels, cube.region, str(volume.images[0]))
            box = box[0] if len(box) == 1 else box
            like = cropped(image.header, box, cube.start)
            write(folder / IMAGES / (cube.id + _suffix(volume, box)), box, like)
            target = self._empty_label(cube) if label is None else label.values(cube.region)
            write(folder / LABELS / (cube.id + _suffix(volume, target)), target, like)

    def _empty_label(self, cube: SuggestedCube) -> Array:
        shape = [part.stop - part.start for part in cube.region]
        return decode(np.full(shape, IGNORE, np.uint8), self.labels)

    def _training_file(self) -> str:
        """Return a configuration: that of the first run, with the cubes."""
        member = self.members[0]
        run = RunFolder(member.folder)
        trained = member.checkpoint.config
        name = self.output.absolute().name
        store = Path(trained.data.store or store_path(trained)).absolute().with_name(name)
        data = {"store": str(store), "cubes": [*_absolute_cubes(trained), "."]}
        content = {"base": str(run.config_file.absolute()), "name": name, "data": data}
        if trained.labels.ignore is None:
            content["labels"] = {"ignore": self.labels.ignore}
        return (
            "# Trains on the data of a run and on the cubes beside this file; paint labels first.\n"
            f"#   {self.training_command()}\n{dump_yaml(content)}"
        )

    def training_command(self) -> str:
        """Return the command that trains on the data of the first run and on the cubes."""
        member = self.members[0]
        pretrained = ("--pretrained", member.folder)
        if member.bundle_files is not None:
            cubes = ("--set", f"data.cubes=[{self.output}]")
            return command("train", "--config", "…", "--fold", "…", *pretrained, *cubes)
        fold = RunFolder(member.folder).facts.fold
        return command("train", "--config", self.output / TRAIN, "--fold", fold, *pretrained)


def _row(cube: SuggestedCube) -> dict[str, str | int | float | None]:
    ends = [
        (f"{name}_{axis}", value)
        for name, corner in (("start", cube.start), ("stop", cube.stop))
        for axis, value in zip("zyx", corner, strict=True)
    ]
    return {
        "id": cube.id,
        "volume": cube.volume,
        **dict(ends),
        "score_bits": cube.score,
        "volume_mean_bits": cube.volume_mean,
        "foreground": cube.foreground,
        "reason": cube.reason,
    }


def _suffix(volume: SourceVolume, box: Array) -> str:
    """Return the ending of the source; PNG for JPEG, and TIFF for what PNG does not hold."""
    ending = mask_suffix(volume.images[0])
    is_png = box.dtype in _PNG_TYPES and (box.ndim == 3 or len(box) in _PNG_CHANNELS)
    return ".tif" if ending == ".png" and not is_png else ending


def _absolute_cubes(config: Config) -> list[str]:
    return [str(Path(folder).absolute()) for folder in config.data.cubes]
