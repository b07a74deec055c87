"""Reading and checking of parts of a case that is not in memory."""

from __future__ import annotations

import numpy as np

from vesuv.config.labels import LabelsConfig
from vesuv.data.case_files import LazyCase
from vesuv.data.labels import encode_and_count
from vesuv.data.moments import ChannelMoments
from vesuv.data.preparation import prefix_message, to_storable_part
from vesuv.io.lazy.volume import read_region
from vesuv.types import Array, ClassArray, Region


def read_image(volumes: LazyCase, region: Region) -> Array:
    """Return the voxels of a region in a storable type.

    Raises:
        InputError: They cannot be read, or are NaN or infinite.
    """
    name = volumes.names[0]
    image = read_region(volumes.image, region, name)
    with prefix_message(name):
        image = to_storable_part(image)
        if image.dtype.kind == "f" and not all(_is_finite(channel) for channel in image):
            invalid = ChannelMoments()
            invalid.add(image)
            with prefix_message(_place(region)):
                invalid.check_finite()
        return image


def read_label(
    volumes: LazyCase, region: Region, labels: LabelsConfig
) -> tuple[ClassArray, dict[int, int]]:
    """Return the classes of a region, and the voxels of each label value in it.

    Raises:
        InputError: They cannot be read, or a value is not declared.
    """
    label = read_region(volumes.label, region, volumes.names[1])[0]
    with prefix_message(volumes.names[1]), prefix_message(_place(region)):
        return encode_and_count(label, labels)


def _is_finite(channel: Array) -> bool:
    return bool(np.isfinite(channel.min()) and np.isfinite(channel.max()))


def _place(region: Region) -> str:
    return f"in the part of voxels {', '.join(f'{part.start}:{part.stop}' for part in region)}"
