"""Memory that the prediction of a whole prepared case takes, checked before it is taken."""

from __future__ import annotations

import math

from vesuv.data.case import PreparedCase
from vesuv.errors import InputError
from vesuv.io.memory import MEMORY_SHARE, memory_limit

_FLOAT_BYTES = 4


def whole_case_bytes(case: PreparedCase, out_channels: int, num_networks: int) -> int:
    """Return about how many bytes the prediction of a case takes, beside its stored voxels.

    Args:
        case: A prepared case.
        out_channels: Channels of a network's output.
        num_networks: Networks whose probabilities are in memory at the same time.
    """
    working = math.prod(case.shape)
    normalised = case.num_channels * working
    probs = out_channels * (num_networks + 1) * working
    file_grid = case.attributes.native_shape or case.shape
    native = math.prod(file_grid)
    resampled = out_channels * native if file_grid != case.shape else 0
    label_and_mask = 3 * native
    return _FLOAT_BYTES * (normalised + probs + resampled) + label_and_mask


def check_whole_case(case: PreparedCase, out_channels: int, num_networks: int) -> None:
    """Refuse a case that cannot be predicted as a whole, before the memory runs out.

    Args:
        case: A prepared case.
        out_channels: Channels of a network's output.
        num_networks: Networks whose probabilities are in memory at the same time.

    Raises:
        InputError: It takes more than `vesuv.io.memory.memory_limit`.
    """
    num_bytes, limit = whole_case_bytes(case, out_channels, num_networks), memory_limit()
    if num_bytes > limit:
        raise InputError(
            f"{case.location}: judging the whole case takes {num_bytes / 2**30:.1f} GiB, one case "
            f"may take {limit / 2**30:.1f} GiB ({MEMORY_SHARE:.0%} of the available memory); cut "
            "its volume into smaller cases with data.parts, or let training judge tiles alone "
            "(validation.full_every: null)"
        )
