import pytest
import torch

from vesuv.config.training import RuntimeConfig
from vesuv.errors import InputError
from vesuv.training.machine import resolve, usable_cores


def test_a_cpu_gets_every_core_for_the_network_and_no_loader_process() -> None:
    machine = resolve(RuntimeConfig(device="cpu"))

    assert (machine.threads, machine.workers) == (usable_cores(), 0)
    assert machine.augment_on == "worker"


def test_what_is_set_is_kept() -> None:
    machine = resolve(
        RuntimeConfig(device="cpu", workers=3, threads=1, precision="float32", augment_on="device")
    )

    assert (machine.workers, machine.threads, machine.precision) == (3, 1, "float32")
    assert machine.augment_on == "device"


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_a_missing_device_is_refused() -> None:
    with pytest.raises(InputError, match=r"runtime\.device: cuda is not available.*found cpu"):
        resolve(RuntimeConfig(device="cuda"))
