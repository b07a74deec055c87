"""Prediction of a region, blended from the windows of the whole volume's grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vesuv.config.training import Average
from vesuv.errors import InputError
from vesuv.inference.blocks.window_range import VolumeWindows
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.views import ViewMean
from vesuv.inference.volume import Network, padding, predict_windows
from vesuv.runtime.machine import Machine
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.padding import pad_to_box
from vesuv.types import Progress, Region

OnWindows = Callable[[int], None]
"""Called with the number of windows that are finished since the last call."""
_Number = tuple[int, int, int]


@dataclass
class WindowCounts:
    """Windows so far.

    Args:
        computed: Windows that networks predicted.
        empty: Windows that hold zeros alone; the network sees one of them.
        on_windows: Called with finished windows.
    """

    computed: int = 0
    empty: int = 0
    on_windows: OnWindows | None = field(default=None, compare=False, repr=False)

    def report(self, num_windows: int) -> None:
        """Report finished windows."""
        if self.on_windows is not None and num_windows:
            self.on_windows(num_windows)


def count_windows(progress: Progress, total: int) -> OnWindows:
    """Return the function that reports the sum of its calls as progress.

    Args:
        progress: Called with the numbers of finished and of all windows.
        total: All windows.
    """
    num_done = 0

    def on_windows(count: int) -> None:
        nonlocal num_done
        num_done += count
        progress(num_done, total)

    return on_windows


@dataclass
class RegionNetwork:
    """A network as a function from a part of a volume to the prediction of a smaller part.

    Sums are formed in the order of `vesuv.inference.volume.predict_volume`, so that they are equal
    to those of the whole volume as far as the network gives equal values in batches of other
    windows.

    Args:
        trained: The network and its settings.
        network: The function that computes it.
        windows: Grid of the whole volume.
        intensity: Normalisation of the whole volume.
        machine: Device and precision.
        views: Views of each window.
        batch_size: Windows in one forward pass.
        overlapping_regions: Whether the network's channels are regions.
        entropy: Return what the uncertainty needs too, see
            `vesuv.inference.volume.predict_windows`.
        average: Whether probabilities or logits are blended.
    """

    trained: TrainedNetwork
    network: Network
    windows: VolumeWindows
    intensity: IntensityMap
    machine: Machine
    views: ViewMean
    batch_size: int
    overlapping_regions: bool
    entropy: bool = False
    average: Average = "probabilities"
    _of_empty: Tensor | None = field(default=None, init=False)

    def predict(self, image: Tensor, extent: Region, core: Region, counts: WindowCounts) -> Tensor:
        """Return the prediction (k, z, y, x) of a region, on the machine's device.

        Its channels are those of `vesuv.inference.volume.predict_windows`.

        Args:
            image: Voxels (c, z, y, x) of `extent` on the device, not normalised.
            extent: Region of the volume that `image` holds; at least `windows.extent(core)`.
            core: The region.
            counts: Raised by the windows of this region.

        Raises:
            InputError: The network's output is not finite.
        """
        weights = [axis.windows.weights.to(image.device) for axis in self.windows.axes]
        sums: Tensor | None = None
        for number, probs in self._predict_windows(image, extent, core, counts):
            if sums is None:
                shape = [part.stop - part.start for part in core]
                sums = torch.zeros((len(probs), *shape), device=image.device)
            target, source = self._overlap(number, core)
            z, y, x = (
                weight[place][part]
                for weight, place, part in zip(weights, number, source[1:], strict=True)
            )
            sums[target].addcmul_(probs[source], z[:, None, None] * (y[:, None] * x))
        assert sums is not None
        if not bool(torch.isfinite(sums).all()):
            raise InputError(
                f"{self.trained.source}: gives NaN or infinite probabilities; use another "
                "checkpoint"
            )
        return sums

    def _predict_windows(
        self, image: Tensor, extent: Region, core: Region, counts: WindowCounts
    ) -> Iterator[tuple[_Number, Tensor]]:
        """Yield the probabilities of each window in the order of the whole volume."""
        waiting: list[tuple[_Number, Tensor | None]] = []
        num_images = 0
        for number in self.windows.touching(core):
            voxels = self._voxels(image, extent, number)
            is_whole = voxels.shape[1:] == self._patch_size
            if is_whole and not bool(voxels.any()):
                counts.empty += 1
                waiting.append((number, None))
            else:
                counts.computed += 1
                num_images += 1
                waiting.append((number, self._padded(voxels, number)))
            if num_images == self.batch_size or (num_images == 0 and waiting):
                yield from self._flush(waiting)
                counts.report(len(waiting))
                waiting, num_images = [], 0
        yield from self._flush(waiting)
        counts.report(len(waiting))

    def _flush(
        self, waiting: list[tuple[_Number, Tensor | None]]
    ) -> Iterator[tuple[_Number, Tensor]]:
        images = [image for _, image in waiting if image is not None]
        probs = iter(self._forward(torch.stack(images)) if images else ())
        for number, image in waiting:
            yield number, self._probs_of_empty() if image is None else next(probs)

    def _forward(self, batch: Tensor) -> Tensor:
        return predict_windows(
            self.network,
            batch,
            self.machine,
            self.views,
            self.overlapping_regions,
            entropy=self.entropy,
            average=self.average,
        )

    def _probs_of_empty(self) -> Tensor:
        """Probabilities of a window of zeros, which the network computes once."""
        if self._of_empty is None:
            zeros = torch.zeros(
                (len(self.intensity.shift), *self._patch_size), device=self.machine.device
            )
            (self._of_empty,) = self._forward(self.intensity.apply(zeros)[None])
        return self._of_empty

    @property
    def _patch_size(self) -> torch.Size:
        return torch.Size(axis.patch for axis in self.windows.axes)

    def _voxels(self, image: Tensor, extent: Region, number: _Number) -> Tensor:
        """The voxels of a window that lie in the volume."""
        z, y, x = (
            slice(
                max(axis.corner(place), 0) - part.start,
                min(axis.corner(place) + axis.patch, axis.length) - part.start,
            )
            for axis, place, part in zip(self.windows.axes, number, extent, strict=True)
        )
        return image[:, z, y, x]

    def _padded(self, voxels: Tensor, number: _Number) -> Tensor:
        """The normalised window, padded outside the volume."""
        before = [
            max(-axis.corner(place), 0)
            for axis, place in zip(self.windows.axes, number, strict=True)
        ]
        image = self.intensity.apply(voxels)
        return pad_to_box(image, before, self._patch_size, padding(self.average))

    def _overlap(
        self, number: _Number, core: Region
    ) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """The common voxels of region and window: as parts of the region and of the window."""
        target, source = [slice(None)], [slice(None)]
        for axis, place, part in zip(self.windows.axes, number, core, strict=True):
            corner = axis.corner(place)
            start, stop = max(corner, part.start), min(corner + axis.patch, part.stop)
            target.append(slice(start - part.start, stop - part.start))
            source.append(slice(start - corner, stop - corner))
        return tuple(target), tuple(source)
