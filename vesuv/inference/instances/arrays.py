"""Instances of an array in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vesuv.errors import InputError
from vesuv.inference.image import check_spacing
from vesuv.inference.instances.methods import method_of
from vesuv.inference.instances.parameters import InstanceParameters, read_selection
from vesuv.inference.instances.segmentation import INSTANCE_BLOCK, InstanceRun, find_instances
from vesuv.inference.levels import quantise
from vesuv.runs.folder import RunFolder
from vesuv.types import Array, Region, Shape, Spacing


@dataclass(frozen=True)
class ArrayLevels:
    """Boundary levels of an array in memory, (z, y, x)."""

    array: npt.NDArray[np.uint8]

    @property
    def shape(self) -> Shape:
        z, y, x = self.array.shape
        return z, y, x

    def read(self, box: Region) -> Array:
        return self.array[box]


def segment_instances(
    probs: npt.ArrayLike,
    parameters: InstanceParameters | str | Path | None = None,
    *,
    spacing: Spacing = (1.0, 1.0, 1.0),
    block_size: int = INSTANCE_BLOCK,
) -> npt.NDArray[np.uint32]:
    """Segment a volume into instances: cells between membranes, or objects such as nuclei.

    Needs the extra `instances`.

    Args:
        probs: Probability of the boundary, or of the objects where the parameters have a
            `foreground_threshold`; (z, y, x) or (1, z, y, x), 0 to 1.
        parameters: Thresholds; or a run folder or file with the chosen ones, instances.json; None:
            the defaults, which were chosen for no data.
        spacing: Voxel edges along z, y, x.
        block_size: Edge of the blocks that the volume is divided into; the result depends on it.

    Returns:
        Instance 1, 2, … of each voxel (z, y, x); 0 outside objects.

    Raises:
        InputError: No such probabilities or parameters, or the extra is not installed.
    """
    if isinstance(parameters, (str, Path)):
        path = Path(parameters)
        parameters = read_selection(
            RunFolder(path).instances_file if path.is_dir() else path
        ).parameters
    check_spacing(spacing)
    method = method_of(parameters or InstanceParameters(), spacing)
    levels = ArrayLevels(to_levels(_volume(np.asarray(probs))))
    run = InstanceRun(levels, method, block_size=block_size)
    return find_instances(run).read(whole(levels.shape))


def to_levels(probs: Array) -> npt.NDArray[np.uint8]:
    """Return the levels of probabilities of any number type, see `vesuv.inference.levels`.

    Raises:
        InputError: Some are not within 0 and 1.
    """
    values = probs.astype(np.float32)
    inside = (values >= 0.0) & (values <= 1.0)
    if not inside.all():
        raise InputError(
            f"probabilities lie within 0 and 1, found {values[~inside].flat[0]:g}; give what "
            "predict --probabilities writes"
        )
    return quantise(torch.from_numpy(values[None]))[0].numpy()


def whole(shape: Shape) -> Region:
    """Return the box of a whole volume."""
    z, y, x = (slice(0, edge) for edge in shape)
    return z, y, x


def _volume(probs: Array) -> Array:
    if probs.ndim == 4 and len(probs) == 1:
        probs = probs[0]
    if probs.ndim != 3 or probs.size == 0:
        raise InputError(
            f"probs: must be one channel (z, y, x) with voxels, found shape {probs.shape}; give "
            "the channel of the boundary"
        )
    return probs
