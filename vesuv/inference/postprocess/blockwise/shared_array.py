"""Arrays that several processes read or write without a copy."""

from __future__ import annotations

import mmap
from typing import Any, Protocol

import numpy as np

from vesuv.types import Array


class ReadableArray(Protocol):
    """Array that is read by slices: numpy, a memory map, zarr."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class WritableArray(ReadableArray, Protocol):
    """Array that is also written by slices."""

    def __setitem__(self, index: Any, value: Any, /) -> None: ...


class SharedArray:
    """A numpy array that is opened again in another process, where it is a memory map.

    Another array is refused there: what a process writes into its copy would be lost.
    """

    def __init__(self, array: Array) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    def __getitem__(self, index: Any, /) -> Array:
        part: Array = self._array[index]
        return part

    def __setitem__(self, index: Any, value: Any, /) -> None:
        self._array[index] = value

    def __reduce__(self) -> tuple[Any, ...]:
        array = self._array
        if not (isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)):
            raise TypeError(
                "an array in memory cannot be shared with other processes; give a zarr array or a "
                "memory map of a whole file, or use one process"
            )
        order = "C" if array.flags.c_contiguous else "F"
        mode = "r+" if array.mode == "w+" else array.mode
        return _reopened, (array.filename, array.dtype, mode, array.offset, array.shape, order)


def _reopened(*arguments: Any) -> SharedArray:
    filename, dtype, mode, offset, shape, order = arguments
    return SharedArray(np.memmap(filename, dtype, mode, offset, shape, order))


def shareable(array: Any) -> Any:
    """Wrap a numpy array as `SharedArray`; return any other array as it is."""
    return SharedArray(array) if isinstance(array, np.ndarray) else array
