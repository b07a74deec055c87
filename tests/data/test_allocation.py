import torch

from vesuv.data.allocation import empty_float32


def test_memory_is_contiguous_float32_of_the_shape_asked_for() -> None:
    made = empty_float32((2, 3, 5), torch.device("cpu"))

    assert made.shape == (2, 3, 5)
    assert made.dtype == torch.float32
    assert made.is_contiguous()


def test_other_devices_get_their_own_memory() -> None:
    made = empty_float32(torch.Size((2, 3)), torch.device("meta"))

    assert made.device.type == "meta"
    assert made.shape == (2, 3)
