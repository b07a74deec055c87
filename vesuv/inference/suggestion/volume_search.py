"""Search of one volume on disk, which is predicted as a whole or in blocks."""

from __future__ import annotations

from dataclasses import dataclass

from vesuv.config.labels import LabelsConfig
from vesuv.data.preparation import prefix_message
from vesuv.data.statistics import CaseStatistics
from vesuv.inference.blocks.blending import OnWindows, WindowCounts, count_windows
from vesuv.inference.blocks.compute import BlockPredictor, BlockProbs
from vesuv.inference.blocks.input import BlockInput
from vesuv.inference.blocks.plan import BlockPlan
from vesuv.inference.blocks.statistics import ImageStatistics
from vesuv.inference.blocks.work import read_block
from vesuv.inference.domain_shift import DomainShift
from vesuv.inference.engines.local import predict_blocks
from vesuv.inference.postprocess.blockwise import Block
from vesuv.inference.prediction import Prediction
from vesuv.inference.suggestion.cubes import add_prediction
from vesuv.inference.suggestion.scoring import PlaceScorer
from vesuv.inference.suggestion.volumes import LabelVoxels
from vesuv.io.lazy.volume import read_region
from vesuv.io.memory import give_back_freed_memory
from vesuv.types import Array, Mask, Region, ShowProgress

_Searched = tuple[CaseStatistics, list[DomainShift]]
"""Intensities of a volume, and how it differs from the training cases."""


@dataclass(frozen=True)
class VolumeSearch:
    """Adds what is predicted for a volume to the scores of its places.

    Args:
        image: The volume.
        scorer: Scores of the places.
        label: What is labelled already; None: nothing.
        labels: Values of the label.
        show_progress: Shows the progress.
        title: Title of the progress.
    """

    image: BlockInput
    scorer: PlaceScorer
    label: LabelVoxels | None
    labels: LabelsConfig
    show_progress: ShowProgress
    title: str

    def add_whole(self) -> _Searched:
        """Predict the volume as a whole, in memory.

        Raises:
            InputError: It cannot be read or predicted.
        """
        z, y, x = (slice(0, edge) for edge in self.image.volume.shape)
        name = self.image.source.files[0]
        array = read_region(self.image.volume.voxels, (z, y, x), name)
        with self.show_progress(self.title, "windows") as progress, prefix_message(name):
            predictor = self.image.predictor
            prediction = predictor.predict_on_grid(
                array, self.image.grid, progress, uncertainty=True
            )
        self.add((z, y, x), prediction)
        return prediction.statistics, prediction.shifts

    def add_blocks(self, edge: int) -> _Searched:
        """Predict the volume block by block.

        Args:
            edge: Edge of a block.

        Raises:
            InputError: It cannot be read or predicted.
        """
        statistics = self._measure()
        predictor = self.image.predictor
        compiled = predictor.inference.compile == "on"
        computer = BlockPredictor(
            predictor, self.image.grids, statistics, uncertainty=True, compiled=compiled
        )
        blocks = BlockPlan.of(self.image.volume.shape, edge).blocks
        total = sum(computer.num_windows(block.region) for block in blocks)
        with self.show_progress(self.title, "windows") as progress:
            stages = _Stages(self, computer)
            predict_blocks(stages, blocks, lambda _: None, count_windows(progress, total))
        return statistics.working, self.image.shifts(statistics)

    def add_labels(self) -> _Searched:
        """Add what is labelled already alone, for random places."""
        statistics = self._measure()
        if self.label is not None:
            for block in BlockPlan.of(self.image.volume.shape).blocks:
                self.scorer.add(block.region, labelled=self._labelled(block.region))
        return statistics.working, []

    def add(self, region: Region, prediction: Prediction | BlockProbs) -> None:
        """Add what was predicted for a region."""
        predictor, labelled = self.image.predictor, self._labelled(region)
        add_prediction(self.scorer, predictor, prediction, region, labelled)

    def _labelled(self, region: Region) -> Mask | None:
        return None if self.label is None else self.label.labelled(region, self.labels)

    def _measure(self) -> ImageStatistics:
        with self.show_progress(f"{self.title}, intensities", "parts") as progress:
            return self.image.measure(self.image.coverage(), progress)


@dataclass(frozen=True)
class _Stages:
    """What is done with each block: read, predict, add to the scores."""

    search: VolumeSearch
    computer: BlockPredictor

    def read(self, block: Block) -> Array:
        image = self.search.image
        name, remedy = image.source.files[0], "correct it and start again"
        return read_block(self.computer, image.volume.voxels, block, name, remedy)

    def compute(
        self, block: Block, image: Array, on_windows: OnWindows | None = None
    ) -> tuple[Block, BlockProbs]:
        counts = WindowCounts(on_windows=on_windows)
        return block, self.computer.predict(image, block.region, counts)

    def write(self, result: tuple[Block, BlockProbs]) -> None:
        block, prediction = result
        self.search.add(block.region, prediction)
        give_back_freed_memory()
