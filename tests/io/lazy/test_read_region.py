"""Faults of reading are one sentence that names the file, whatever raises them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from vesuv.errors import InputError
from vesuv.io.formats.volume import FormatError
from vesuv.io.lazy.volume import ArrayVoxels, read_region
from vesuv.types import Array, Region

REGION = (slice(1, 3), slice(0, 2), slice(2, 4))


@dataclass(frozen=True)
class FaultyVoxels:
    """Voxels whose disk, server or library fails."""

    fault: Exception
    shape: tuple[int, int, int, int] = (1, 4, 4, 4)
    dtype: type = np.uint8

    def read(self, _region: Region) -> Array:
        raise self.fault


def test_a_region_is_read() -> None:
    array = np.arange(64).reshape(1, 4, 4, 4)

    assert read_region(ArrayVoxels(array), REGION, "a").tolist() == [
        [[[18, 19], [22, 23]], [[34, 35], [38, 39]]]
    ]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (OSError(5, "Input/output error"),
         r"^a\.tif: its voxels from \[1, 0, 2\] on cannot be read "
         r"\(\[Errno 5\] Input/output error\); copy it again$"),
        (ValueError(), r"^a\.tif: its voxels .* \(ValueError\); copy it again$"),
        (FormatError("truncated: it ends; copy it again"),
         r"^a\.tif: its voxels .* cannot be read \(truncated: it ends; copy it again\)$"),
        (InputError("http://x/a.tif/c/0: cannot be read; start again"), r"^http://x/a\.tif/c/0: "),
    ],
)  # fmt: skip
def test_a_fault_is_a_sentence_with_the_name_once(fault: Exception, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_region(FaultyVoxels(fault), REGION, "a.tif")


def test_too_little_memory_is_no_damage() -> None:
    with pytest.raises(MemoryError):
        read_region(FaultyVoxels(MemoryError()), REGION, "a.tif")
