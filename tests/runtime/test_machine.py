from dataclasses import replace

import pytest
import torch

from vesuv.config import Config, check
from vesuv.config.training import RuntimeConfig
from vesuv.errors import InputError
from vesuv.runtime import machine as module
from vesuv.runtime.distributed import Group
from vesuv.runtime.machine import for_training, resolve, usable_cores


def test_a_cpu_gets_every_core_for_the_network_and_no_loader_process() -> None:
    machine = resolve(RuntimeConfig(device="cpu"))

    assert (machine.threads, machine.workers) == (usable_cores(), 0)
    assert machine.augment_on == "worker"


def test_set_values_are_used() -> None:
    machine = resolve(
        RuntimeConfig(device="cpu", workers=3, threads=1, precision="float32", augment_on="device")
    )

    assert (machine.workers, machine.threads, machine.precision) == (3, 1, "float32")
    assert machine.augment_on == "device"
    assert str(machine) == (
        "device cpu, float32, 1 thread, 3 loader workers, augmentation on the device"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_a_missing_device_is_refused() -> None:
    with pytest.raises(InputError, match=r"runtime\.device: cuda is not available.*found cpu"):
        resolve(RuntimeConfig(device="cuda"))


def config_of(patch: list[int], precision: str) -> Config:
    return check(
        {
            "name": "tiny",
            "data": {"root": "nowhere"},
            "labels": {"classes": {"background": 0, "sheet": 1}},
            "sampling": {"patch_size": patch},
            "model": {"depth": 3},
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
            "runtime": {"device": "cpu", "precision": precision},
        },
        "test",
    )


@pytest.mark.parametrize(
    ("patch", "is_safe"),
    [([16, 64, 64], False), ([32, 32, 32], True), ([24, 16, 16], True), ([8, 16, 16], False)],
)
def test_levels_two_voxels_deep_are_not_trained_in_bfloat16_on_a_cpu(
    patch: list[int], is_safe: bool
) -> None:
    config = config_of(patch, "auto")
    machine = replace(resolve(config.runtime), precision="bfloat16")

    assert for_training(machine, config).precision == ("bfloat16" if is_safe else "float32")


def test_bfloat16_with_wrong_gradients_is_refused() -> None:
    config = config_of([16, 64, 64], "bfloat16")

    with pytest.raises(InputError, match=r"runtime\.precision: .* level 2 voxels deep"):
        for_training(resolve(config.runtime), config)


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_bfloat16_weight_gradients_are_right_at_the_depths_that_are_trained(depth: int) -> None:
    torch.manual_seed(0)
    image, weight = torch.randn(2, 32, depth, 4, 4), torch.randn(32, 32, 3, 3, 3)

    def gradient(dtype: torch.dtype) -> torch.Tensor:
        kernel = weight.bfloat16().to(dtype).requires_grad_()
        result = torch.nn.functional.conv3d(image.bfloat16().to(dtype), kernel, padding=1)
        return torch.autograd.grad(result, kernel, torch.full_like(result, 0.375))[0].float()

    exact = gradient(torch.float64)
    assert torch.allclose(gradient(torch.bfloat16), exact, atol=0.02 * exact.abs().max().item())


def test_processes_share_the_cores_and_have_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    selected_devices: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", selected_devices.append)
    monkeypatch.setattr(module, "usable_cores", lambda: 8)
    runtime = RuntimeConfig(device="cuda", precision="float32")

    machine = resolve(runtime, Group(rank=3, size=4, local_rank=1, local_size=2))

    assert machine.device == torch.device("cuda", 1)
    assert selected_devices == [machine.device]
    assert (machine.workers, machine.threads) == (3, 1)
    assert str(machine).startswith("4 processes, each: device cuda:1, float32, 1 thread, ")


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    with pytest.raises(InputError, match="found 4 processes for the 2 of this machine"):
        resolve(RuntimeConfig(device="cuda"), Group(rank=0, size=4, local_size=4))


def test_metal_serves_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)

    with pytest.raises(InputError, match=r"runtime\.device: mps serves one process, found 2"):
        resolve(RuntimeConfig(device="mps"), Group(rank=0, size=2, local_size=2))
