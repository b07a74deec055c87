"""Undocumented parts of PyTorch against public operations that compute the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from packaging.requirements import Requirement
from packaging.version import Version
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from vesuv.runtime.torch_internals import (
    batch_norm,
    batch_norm_backward,
    cpu_has_bfloat16,
    leaky_relu_backward,
    lerp_all_,
    packed_weights,
    prepare_for_skips,
    skip_step,
)

REPOSITORY = Path(__file__).parents[2]
EPSILON = 1e-3


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_lerp_all_moves_each_tensor_in_place_as_torch_lerp_does() -> None:
    averages = [normal(3), normal(2, 4, seed=1)]
    currents = [normal(3, seed=2), normal(2, 4, seed=3)]
    expected = [torch.lerp(a, c, 0.3) for a, c in zip(averages, currents, strict=True)]
    addresses = [average.data_ptr() for average in averages]

    lerp_all_(tuple(averages), tuple(currents), 0.3)

    torch.testing.assert_close(averages, expected)
    assert [average.data_ptr() for average in averages] == addresses


def optimizer_of(layer: nn.Linear, name: str, *, fused: bool) -> Optimizer:
    if name == "adamw":
        return AdamW(layer.parameters(), lr=0.1, fused=fused)
    return SGD(layer.parameters(), lr=0.1, momentum=0.9, fused=fused)


def weights_after(name: str, skips: tuple[float, ...] | None, steps: int) -> dict[str, Tensor]:
    """Take steps with fixed gradients; `skips`: use the fused kernel and skip the steps with 1."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    optimizer = optimizer_of(layer, name, fused=skips is not None)
    if skips is not None:
        prepare_for_skips(optimizer)
    for number in range(steps):
        for parameter in layer.parameters():
            parameter.grad = torch.full_like(parameter, 0.5)
        if skips is not None:
            if skips[number]:
                layer.weight.grad[0, 0] = float("nan")
            skip_step(optimizer, torch.tensor(skips[number]))
        optimizer.step()
    return layer.state_dict()


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_skipped_fused_step_changes_nothing(name: str) -> None:
    result = weights_after(name, (0.0, 1.0, 0.0), steps=3)

    torch.testing.assert_close(result, weights_after(name, None, steps=2))


def test_batch_norm_is_the_public_one_and_gives_the_inverse_deviation() -> None:
    features = 4 + 3 * normal(2, 3, 4, 5)

    normalised, scale = batch_norm(features, EPSILON)

    public = F.batch_norm(features, None, None, training=True, eps=EPSILON)
    torch.testing.assert_close(normalised, public)
    variance = features.var(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(scale, (variance + EPSILON).rsqrt())


def test_batch_norm_backward_is_autograds_gradient_of_the_public_one() -> None:
    features = (4 + 3 * normal(2, 3, 4, 5)).requires_grad_()
    upstream, weight = normal(2, 3, 4, 5, seed=1), normal(3, seed=2)
    public = F.batch_norm(features, None, None, weight, training=True, eps=EPSILON)
    (expected,) = torch.autograd.grad(public, features, upstream)

    plain = features.detach()
    mean, variance = plain.mean(dim=(0, 2, 3)), plain.var(dim=(0, 2, 3), correction=0)
    scale = (variance + EPSILON).rsqrt()
    result = batch_norm_backward(upstream, plain, weight, mean, scale, EPSILON)

    torch.testing.assert_close(result, expected)


def test_leaky_relu_backward_from_the_result_is_autograds_gradient() -> None:
    features = normal(50).requires_grad_()
    upstream = normal(50, seed=1)
    activated = F.leaky_relu(features, 0.01)
    (expected,) = torch.autograd.grad(activated, features, upstream)

    result = leaky_relu_backward(upstream, activated.detach(), 0.01)

    torch.testing.assert_close(result, expected)


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="no list of the CPU's features")
def test_bfloat16_agrees_with_the_list_of_the_kernel() -> None:
    text = Path("/proc/cpuinfo").read_text()
    features = set(" ".join(re.findall(r"(?:flags|Features)\s*: (.*)", text)).split())

    # avx512_bf16 on x86, bf16 on ARM
    assert cpu_has_bfloat16() == bool({"avx512_bf16", "bf16"} & features)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, True), ({"bf16": True}, True), ({}, False)],
)
def test_bfloat16_of_another_cpu(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    assert cpu_has_bfloat16() is expected


def test_pyproject_allows_the_tested_pytorch_and_no_newer_minor_version() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    requirements = [Requirement(line) for line in project["dependencies"]]
    [allowed_versions] = [one.specifier for one in requirements if one.name == "torch"]
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    [pinned_version] = [Version(line[7:]) for line in lines if line.startswith("torch==")]

    assert pinned_version in allowed_versions
    assert Version(f"{pinned_version.major}.{pinned_version.minor + 1}.0") not in allowed_versions
    assert Version(f"{pinned_version.major + 1}.0.0") not in allowed_versions
    installed = Version(torch.__version__)
    assert (installed.major, installed.minor) <= (pinned_version.major, pinned_version.minor)


def test_weights_are_packed_only_within() -> None:
    import torch._dynamo.config as dynamo_config
    import torch._inductor.config as inductor_config

    limit = dynamo_config.recompile_limit
    with packed_weights():
        assert inductor_config.freezing and dynamo_config.recompile_limit == 64
    assert not inductor_config.freezing and dynamo_config.recompile_limit == limit
