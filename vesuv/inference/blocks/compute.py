"""Probabilities of blocks of a volume that is not in memory, on the volume's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vesuv.data.preparation import to_storable_part
from vesuv.data.resample import resampled_shape
from vesuv.data.resample_region import RegionResampling
from vesuv.inference.blocks.blending import RegionNetwork, WindowCounts
from vesuv.inference.blocks.statistics import ImageStatistics
from vesuv.inference.blocks.window_range import VolumeWindows
from vesuv.inference.compilation import compiled as compiled_network
from vesuv.inference.ensemble import mean_prediction
from vesuv.inference.image import to_native_byte_order
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.predictor import Predictor
from vesuv.inference.views import ViewMean, enumerate_views
from vesuv.io.lazy.volume import Voxels, read_voxels
from vesuv.types import Array, Region, Shape, Spacing


@dataclass(frozen=True)
class Grids:
    """The grids of a prediction: the file's own, and that at the networks' spacing.

    Args:
        native: Shape of the file.
        working: Shape at `data.spacing`; that of the file without it.
        spacing: Voxel edges of `working`.
    """

    native: Shape
    working: Shape
    spacing: Spacing

    @classmethod
    def of(cls, shape: Shape, spacing: Spacing, target: Spacing | None) -> Grids:
        """Return the grids of a volume of this spacing, in the unit of training."""
        if target is None:
            return cls(shape, shape, spacing)
        return cls(shape, resampled_shape(shape, spacing, target), target)

    @property
    def to_working(self) -> RegionResampling:
        return RegionResampling(self.native, self.working, "cubic")

    @property
    def to_native(self) -> RegionResampling:
        return RegionResampling(self.working, self.native, "linear")


@dataclass(frozen=True)
class BlockProbs:
    """Prediction of a block on the file's grid, on the host.

    Args:
        probs: Probabilities (k, z, y, x).
        uncertainty: Mutual information in bits (z, y, x); None where it was not asked for.
    """

    probs: Tensor
    uncertainty: Tensor | None = None


class BlockPredictor:
    """Networks as a function from a block of a volume to its probabilities.

    Args:
        predictor: Networks and settings.
        grids: Grids of the volume.
        statistics: Intensities of the volume.
        uncertainty: Return the uncertainty too.
        compiled: Compile the networks.
    """

    def __init__(
        self,
        predictor: Predictor,
        grids: Grids,
        statistics: ImageStatistics,
        *,
        uncertainty: bool = False,
        compiled: bool = False,
    ) -> None:
        self.grids = grids
        self.statistics = statistics
        self.weights = predictor.weights
        self.device = predictor.machine.device
        self.overlapping_regions = predictor.targets.overlap
        self.average = predictor.inference.average
        self.uncertainty = uncertainty
        self.networks = [
            _region_network(
                predictor, one, grids, statistics, entropy=uncertainty, compiled=compiled
            )
            for one in predictor.networks
        ]

    def num_windows(self, block: Region) -> int:
        """Return the number of windows, of all networks, that a block needs."""
        core = self.grids.to_native.source_region(block)
        return sum(one.windows.num_touching(core) for one in self.networks)

    def read(self, voxels: Voxels, block: Region) -> Array:
        """Read the image of all windows of a block, (c, z, y, x) at the networks' spacing."""
        return read_working(voxels, self.grids, self.statistics.limits, self.extent(block))

    def predict(self, image: Array, block: Region, counts: WindowCounts) -> BlockProbs:
        """Return the probabilities of a block on the file's grid.

        Args:
            image: Result of `read`.
            block: Region of the file's grid.
            counts: Raised by the windows of this block.

        Raises:
            InputError: A network's output is not finite.
        """
        core, extent = self.grids.to_native.source_region(block), self.extent(block)
        source = torch.from_numpy(to_native_byte_order(image)).to(self.device)
        members = (one.predict(source, extent, core, counts) for one in self.networks)
        probs, bits = mean_prediction(
            members,
            self.weights,
            average=self.average,
            overlap=self.overlapping_regions,
            entropy=self.uncertainty,
        )
        return BlockProbs(
            self._on_file_grid(probs, block),
            None if bits is None else self._on_file_grid(bits[None], block)[0],
        )

    def _on_file_grid(self, channels: Tensor, block: Region) -> Tensor:
        return self.grids.to_native.apply_to_probs(channels, block).cpu()

    def extent(self, block: Region) -> Region:
        """Return the region of the working grid that all windows of a block cover."""
        core = self.grids.to_native.source_region(block)
        return _union([one.windows.extent(core) for one in self.networks])


def _region_network(
    predictor: Predictor,
    trained: TrainedNetwork,
    grids: Grids,
    statistics: ImageStatistics,
    *,
    entropy: bool,
    compiled: bool,
) -> RegionNetwork:
    inference = predictor.inference
    patch_size = trained.config.window_size(inference)
    views = enumerate_views(inference.views, patch_size, grids.spacing)
    return RegionNetwork(
        trained,
        compiled_network(trained.network) if compiled else trained.network,
        VolumeWindows.over(grids.working, patch_size, inference.overlap, inference.average),
        trained.normalizer.for_case(statistics.working),
        predictor.machine,
        ViewMean(views, predictor.machine.device),
        inference.batch_size,
        predictor.targets.overlap,
        entropy,
        inference.average,
    )


def read_working(
    voxels: Voxels, grids: Grids, limits: Sequence[tuple[float, float]], region: Region
) -> Array:
    """Read a region of the grid at the networks' spacing.

    Args:
        voxels: The file.
        grids: Its grids.
        limits: Smallest and largest value of each channel of the whole file.
        region: Region of `grids.working`.

    Raises:
        FormatError: The file is damaged, or its disk or server fails.
        InputError: The file holds integers beyond the range of 4 bytes.
    """
    image = to_storable_part(read_voxels(voxels, grids.to_working.source_region(region)))
    return grids.to_working.apply_to_image(image, region, list(limits))


def _union(regions: Sequence[Region]) -> Region:
    z, y, x = (
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*regions, strict=True)
    )
    return z, y, x
