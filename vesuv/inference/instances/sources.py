"""Where boundary probabilities come from: networks, or files."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vesuv.errors import InputError
from vesuv.inference.blocks.arrays import LEVELS_LEVEL
from vesuv.inference.blocks.file_output import block_folder
from vesuv.inference.blocks.run import BlockPrediction
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.chosen_mask import choose_mask
from vesuv.inference.domain_shift import InputGrid
from vesuv.inference.instances.arrays import ArrayLevels
from vesuv.inference.instances.inputs import InstanceInput
from vesuv.inference.instances.parameters import InstanceSelection
from vesuv.inference.instances.probability_files import FileLevels
from vesuv.inference.instances.segmentation import INSTANCE_BLOCK, BoundaryLevels
from vesuv.inference.levels import quantise
from vesuv.inference.members import Member
from vesuv.inference.predictor import Predictor
from vesuv.inference.training_cases import level_note
from vesuv.io.formats import suffix
from vesuv.io.formats.volume import Volume
from vesuv.io.grid import read_channels
from vesuv.io.lazy import LAZY_SUFFIXES
from vesuv.io.sharded import ShardedArray
from vesuv.types import Array, Region, Say, Shape, ShowProgress, no_shown_progress, silent

_VOXELS_IN_MEMORY = 4 * INSTANCE_BLOCK**3
"""Files of more voxels are segmented from disk, by several processes."""


@dataclass(frozen=True)
class BoundaryVolume:
    """Boundary levels of one volume, and the header that its instances get."""

    levels: BoundaryLevels
    like: Volume
    on_disk: bool = False
    """Whether its blocks are read from disk, where several processes can read them."""


class BoundarySource(Protocol):
    """Where boundary probabilities come from."""

    @property
    def selection(self) -> InstanceSelection:
        """Parameters of the instances, and channel of the boundary."""
        ...

    @property
    def num_channels(self) -> int:
        """Channels of a volume that may lie in files of their own; 1: none do."""
        ...

    def warnings(self, volumes: Sequence[InstanceInput]) -> list[str]:
        """Return what the volumes have other than the networks or parameters; none is read."""
        ...

    def check(self, volume: InstanceInput) -> None:
        """Refuse a volume that cannot be read; nothing is computed."""
        ...

    def open(self, volume: InstanceInput, output: Path) -> BoundaryVolume:
        """Return the boundary levels of a volume whose instances are written to `output`."""
        ...

    def close(self, output: Path) -> None:
        """Remove what `open` has written beside the output."""
        ...

    def record(self) -> list[dict[str, Any]]:
        """Return the networks, for provenance.json."""
        ...


@dataclass(frozen=True)
class ProbabilitySource:
    """Files of probabilities."""

    selection: InstanceSelection
    num_channels: int = 1

    def check(self, volume: InstanceInput) -> None:
        FileLevels(volume.source, self.selection).check()

    def open(self, volume: InstanceInput, output: Path) -> BoundaryVolume:  # noqa: ARG002
        levels = FileLevels(volume.source, self.selection)
        is_lazy = volume.is_remote or suffix(volume.name) in LAZY_SUFFIXES
        on_disk = is_lazy and math.prod(levels.shape) > _VOXELS_IN_MEMORY
        return BoundaryVolume(levels, levels.volume.header, on_disk)

    def close(self, output: Path) -> None:
        pass

    def record(self) -> list[dict[str, Any]]:
        return []

    def warnings(self, volumes: Sequence[InstanceInput]) -> list[str]:
        """Return a sentence for each choice of networks that the parameters are not for."""
        sentences: dict[str, str] = {}
        for volume in volumes:
            others = FileLevels(volume.source, self.selection).other_networks()
            if others is not None and others not in sentences:
                name = self.selection.checkpoint
                chosen, option = (name, f"checkpoint {name}") if name else ("best.json", "best")
                sentences[others] = (
                    f"warning: {volume.name}: predicted by {others}, and the parameters were "
                    f"chosen with {chosen}; predict with --{option}"
                )
        return list(sentences.values())


@dataclass(frozen=True)
class StoredLevels:
    """Boundary levels that were predicted block by block; can be sent to other processes."""

    folder: Path
    channel: int

    @property
    def shape(self) -> Shape:
        z, y, x = ShardedArray(self.folder / LEVELS_LEVEL).shape[1:]
        return z, y, x

    def read(self, box: Region) -> Array:
        return ShardedArray(self.folder / LEVELS_LEVEL)[(self.channel, *box)]


@dataclass(frozen=True)
class NetworkSource:
    """Volumes whose probabilities networks predict.

    Args:
        members: Checkpoints.
        predictor: Their networks.
        selection: Channel of the boundary.
        always_blocks: Predict in blocks also volumes that fit into memory.
        block_size: Edge of the blocks of prediction.
        say: Called with each message.
        show_progress: Shows the progress of each volume.
    """

    members: Sequence[Member]
    predictor: Predictor
    selection: InstanceSelection
    always_blocks: bool = False
    block_size: int = BlockSettings.block_size
    say: Say = silent
    show_progress: ShowProgress = no_shown_progress

    @property
    def num_channels(self) -> int:
        return self.predictor.num_channels

    def check(self, volume: InstanceInput) -> None:
        """Check that an address can be opened; `open` reads files before it writes anything."""
        if volume.is_remote:
            volume.source.open()

    def open(self, volume: InstanceInput, output: Path) -> BoundaryVolume:
        source = volume.source
        if self.always_blocks or volume.is_remote or source.level != 0 or source.is_large():
            return self._open_blocks(volume, output)
        like, image = read_channels(volume.paths)
        grid = InputGrid(like.spacing, like.unit, like.direction)
        with self.show_progress(volume.id, "windows") as progress:
            try:
                prediction = self.predictor.predict_on_grid(image, grid, progress)
            except InputError as fault:
                raise InputError(f"{volume.name}: {fault}") from None
        for shift in prediction.shifts:
            self.say(f"warning: {volume.id}: {shift.message}")
        levels = quantise(prediction.probs, overlap=self.predictor.targets.overlap)
        return BoundaryVolume(ArrayLevels(levels[self.selection.channel].numpy()), like)

    def _open_blocks(self, volume: InstanceInput, output: Path) -> BoundaryVolume:
        prediction = BlockPrediction(
            self.members,
            choose_mask(self.members, postprocess="none"),
            self.predictor,
            volume.source,
            block_folder(output),
            BlockSettings(
                block_size=self.block_size, keep_probabilities=True, records_choices=False
            ),
            self.say,
            self.show_progress,
        )
        for shift in prediction.run():
            self.say(f"warning: {volume.id}: {shift.message}")
        levels = StoredLevels(prediction.output, self.selection.channel)
        return BoundaryVolume(levels, prediction.input.volume.header, on_disk=True)

    def warnings(self, volumes: Sequence[InstanceInput]) -> list[str]:
        """Return the note on another level of OME-Zarr than that of the training cases."""
        files = [file for volume in volumes for file in volume.source.files]
        note = level_note(self.members, volumes[0].source.level, files)
        return [] if note is None else [note]

    def close(self, output: Path) -> None:
        shutil.rmtree(block_folder(output), ignore_errors=True)

    def record(self) -> list[dict[str, Any]]:
        return [
            {
                "run": one.folder.resolve(),
                "checkpoint": one.name,
                "checkpoint_sha256": one.sha256,
                "epoch": one.checkpoint.epoch,
            }
            for one in self.members
        ]
