"""Exceptions that mean too little memory, with the words of the libraries that raise them."""

import errno

import numpy as np
import pytest
import torch

from vesuv.runtime.memory import is_out_of_memory, is_out_of_shared_memory


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 5 bytes."),
        RuntimeError("could not create a primitive"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_these_exceptions_say_that_there_is_too_little_memory(fault: Exception) -> None:
    assert is_out_of_memory(fault)


def test_an_array_beyond_all_memory_is_one_of_them() -> None:
    with pytest.raises(MemoryError) as numpy_fault:
        np.zeros(1 << 60, np.uint8)
    with pytest.raises(RuntimeError) as torch_fault:
        torch.zeros(1 << 60, dtype=torch.uint8)

    assert is_out_of_memory(numpy_fault.value)
    assert is_out_of_memory(torch_fault.value)


@pytest.mark.parametrize(
    "fault", [ValueError("out of memory"), OSError(errno.ENOSPC, "No space"), RuntimeError("shape")]
)
def test_other_exceptions_do_not(fault: Exception) -> None:
    assert not is_out_of_memory(fault)
    assert not is_out_of_shared_memory(fault)


def test_full_shared_memory_is_told_apart() -> None:
    fault = RuntimeError("unable to allocate shared memory(shm) for file </torch_7_1_0>: No space")

    assert is_out_of_shared_memory(fault)
    assert not is_out_of_memory(fault)
