"""Out of memory: which exceptions mean it."""

from __future__ import annotations

import errno
import re

_PHRASES = re.compile(
    r"can't allocate memory|cannot allocate memory|not enough memory|out of memory|bad_alloc"
    r"|could not create a primitive",
    re.IGNORECASE,
)
"""Of PyTorch, its CUDA, oneDNN and MPS libraries, and the system."""
_SHARED_MEMORY = re.compile(r"allocate shared memory|write to file </torch_|mmap .*</torch_")


def is_out_of_memory(fault: BaseException) -> bool:
    """Return whether an exception says that there is too little memory.

    PyTorch raises RuntimeError for it, with several messages.
    """
    if isinstance(fault, OSError):
        return fault.errno == errno.ENOMEM
    if isinstance(fault, RuntimeError):
        return _PHRASES.search(str(fault)) is not None
    return isinstance(fault, MemoryError)


def is_out_of_shared_memory(fault: BaseException) -> bool:
    """Return whether an exception says that tensors found no place in shared memory."""
    return isinstance(fault, RuntimeError) and _SHARED_MEMORY.search(str(fault)) is not None
