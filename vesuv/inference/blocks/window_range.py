"""Windows of a whole volume's grid that touch a region, and their blended probabilities there."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from vesuv.config.training import Average
from vesuv.inference.windows import AxisWindows, cover_axis
from vesuv.types import Region, Shape


@dataclass(frozen=True)
class AxisRange:
    """Windows of one axis of a whole volume.

    Args:
        length: Voxels of the volume's axis.
        patch: Voxels of a window.
        before: Voxels that pad the axis at its low side, where it is shorter than a window.
        windows: All windows of the padded axis.
    """

    length: int
    patch: int
    before: int
    windows: AxisWindows

    @classmethod
    def over(cls, length: int, patch: int, overlap: float, average: Average) -> AxisRange:
        """Return the windows that `vesuv.inference.volume.predict_volume` places."""
        windows = cover_axis(max(length, patch), patch, overlap, average)
        return cls(length, patch, max(patch - length, 0) // 2, windows)

    def touching(self, part: slice) -> range:
        """Return the numbers of the windows that hold a voxel of `part`."""
        corners = self.windows.corners
        first = bisect_right(corners, part.start + self.before - self.patch)
        return range(first, bisect_left(corners, part.stop + self.before))

    def corner(self, number: int) -> int:
        """Return the first voxel of a window; negative where it begins in padding."""
        return self.windows.corners[number] - self.before

    def extent(self, part: slice) -> slice:
        """Return the voxels of the volume in all windows that touch `part`."""
        numbers = self.touching(part)
        first, last = self.corner(numbers[0]), self.corner(numbers[-1])
        return slice(max(first, 0), min(last + self.patch, self.length))


@dataclass(frozen=True)
class VolumeWindows:
    """The windows of a whole volume: the product of those along its axes."""

    axes: tuple[AxisRange, AxisRange, AxisRange]

    @classmethod
    def over(
        cls, shape: Shape, patch_size: Shape, overlap: float, average: Average
    ) -> VolumeWindows:
        """Return the windows of a volume of any shape."""
        z, y, x = (
            AxisRange.over(length, patch, overlap, average)
            for length, patch in zip(shape, patch_size, strict=True)
        )
        return cls((z, y, x))

    def __len__(self) -> int:
        """Return the number of windows of the whole volume."""
        z, y, x = (len(axis.windows.corners) for axis in self.axes)
        return z * y * x

    def num_touching(self, region: Region) -> int:
        """Return the number of windows that hold a voxel of a region."""
        z, y, x = (len(axis.touching(part)) for axis, part in zip(self.axes, region, strict=True))
        return z * y * x

    def touching(self, region: Region) -> Iterator[tuple[int, int, int]]:
        """Yield the numbers along z, y, x of these windows, in the order of the whole volume."""
        z, y, x = (axis.touching(part) for axis, part in zip(self.axes, region, strict=True))
        return itertools.product(z, y, x)

    def extent(self, region: Region) -> Region:
        """Return the voxels of the volume in all windows that touch a region."""
        z, y, x = (axis.extent(part) for axis, part in zip(self.axes, region, strict=True))
        return z, y, x
