from __future__ import annotations

import itertools

import pytest
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from vesuv.config.training import Average, InferenceConfig, RuntimeConfig
from vesuv.inference import volume
from vesuv.inference.volume import predict_volume
from vesuv.runtime.machine import resolve
from vesuv.types import no_progress


def _predict(
    network,
    image: Tensor,
    patch_size=(8, 8, 8),
    precision="float32",
    progress=no_progress,
    spacing=(1.0, 1.0, 1.0),
    entropy=False,
    **changes,
) -> Tensor:
    return predict_volume(
        network,
        image,
        resolve(RuntimeConfig(device="cpu", precision=precision, threads=1)),
        patch_size=patch_size,
        inference=InferenceConfig(**{"overlap": 0.5, "batch_size": 3, **changes}),
        spacing=spacing,
        entropy=entropy,
        progress=progress,
    )


def _convolution(seed: int = 0, channels: int = 1, outputs: int = 2) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Conv3d(channels, outputs, 3, padding=1).requires_grad_(False)


def test_blending_agrees_with_monai() -> None:
    image = torch.randn(1, 16, 12, 20, generator=torch.Generator().manual_seed(1))
    offset = torch.arange(8) - 3.5
    bell = torch.exp(-0.5 * offset**2)
    # MONAI raises weights below 1e-3; the factor lifts all of them above it
    weights = 1e12 * bell[:, None, None] * bell[:, None] * bell
    network = _convolution()

    expected = sliding_window_inference(
        image[None],
        (8, 8, 8),
        4,
        lambda batch: network(batch).softmax(dim=1),
        overlap=0.5,
        roi_weight_map=weights,
    )

    assert torch.allclose(_predict(network, image), expected[0], atol=1e-6)


def test_averages_of_logits_agree_with_monai_and_nnunets_weights() -> None:
    """nnU-Net's weights are largest at voxel patch // 2."""
    image = torch.randn(1, 16, 12, 20, generator=torch.Generator().manual_seed(1))
    bell = torch.exp(-0.5 * (torch.arange(8) - 4.0) ** 2)
    weights = 1e14 * bell[:, None, None] * bell[:, None] * bell
    network = _convolution()

    expected = sliding_window_inference(
        image[None], (8, 8, 8), 4, network, overlap=0.5, roi_weight_map=weights
    )

    logits = _predict(network, image, average="logits")
    assert torch.allclose(logits, expected[0], atol=1e-5)
    assert not torch.allclose(logits.softmax(dim=0), _predict(network, image), atol=1e-3)


def test_averages_of_logits_hold_probabilities_and_entropy_for_the_uncertainty() -> None:
    network, image = _convolution(), torch.randn(1, 8, 8, 8)

    channels = _predict(network, image, average="logits", entropy=True)

    probs = network(image[None])[0].softmax(dim=0)
    assert torch.allclose(channels[:2], network(image[None])[0], atol=1e-6)
    assert torch.allclose(channels[2:4], probs, atol=1e-6)
    assert torch.allclose(channels[4], -(probs * probs.log2()).sum(dim=0), atol=1e-5)


@pytest.mark.parametrize("shape", [(11, 9, 17), (8, 23, 8), (5, 13, 3), (2, 3, 4)])
@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.75])
def test_a_pointwise_network_is_reproduced_exactly(shape, overlap: float) -> None:
    image = torch.randn(2, *shape, generator=torch.Generator().manual_seed(2))

    probs = _predict(lambda batch: 3 * batch, image, overlap=overlap)

    assert probs.dtype == torch.float32
    assert torch.allclose(probs, torch.softmax(3 * image, dim=0), atol=1e-6)


def test_windows_of_unequal_edges_and_rows_that_do_not_touch() -> None:
    image = torch.randn(1, 13, 6, 9, generator=torch.Generator().manual_seed(3))

    probs = _predict(torch.tanh, image, patch_size=(4, 6, 2), overlap=0.0)

    assert torch.allclose(probs, torch.sigmoid(torch.tanh(image)), atol=1e-6)


@pytest.mark.parametrize(
    ("average", "expected"),
    [("probabilities", [1, 1, 1, 2, 3, 3, 3, 3]), ("logits", [0, 0, 1, 2, 3, 0, 0, 0])],
)
def test_around_a_small_volume_its_faces_are_repeated_or_as_in_nnunet_zeros(
    average: Average, expected: list[float]
) -> None:
    image = torch.tensor([1.0, 2.0, 3.0])[:, None, None].expand(1, 3, 8, 8)
    seen = []

    def network(batch: Tensor) -> Tensor:
        seen.append(batch.clone())
        return batch

    _predict(network, image, average=average)

    assert seen[0][0, 0, :, 4, 4].tolist() == expected


def test_mirroring_averages_the_eight_flips() -> None:
    image = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(4))
    network = _convolution()
    flips = [axes for n in range(4) for axes in itertools.combinations((2, 3, 4), n)]

    probs = [network(image[None].flip(axes)).softmax(dim=1).flip(axes) for axes in flips]
    expected = sum(probs) / 8

    assert torch.equal(_predict(network, image, views="mirror"), expected[0])


def test_mirroring_leaves_the_batch_alone_when_the_network_returns_its_input() -> None:
    image = torch.randn(1, 9, 9, 9, generator=torch.Generator().manual_seed(5))

    probs = _predict(lambda batch: batch, image, views="mirror")

    assert torch.allclose(probs, torch.sigmoid(image), atol=1e-6)


def test_all_views_average_flips_and_axis_exchanges() -> None:
    image = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(9))
    network = _convolution()
    flips = [axes for n in range(4) for axes in itertools.combinations((2, 3, 4), n)]

    total = torch.zeros(2, 8, 8, 8)
    for order in itertools.permutations((2, 3, 4)):
        turned = image[None].permute(0, 1, *order)
        back = [0, 1, *(2 + order.index(axis) for axis in (2, 3, 4))]
        for axes in flips:
            probs = network(turned.flip(axes)).softmax(dim=1)
            total += probs.flip(axes).permute(back)[0]

    assert torch.allclose(_predict(network, image, views="all"), total / 48, atol=1e-6)


def test_spacing_decides_which_axes_views_exchange() -> None:
    image = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(10))
    batches = []

    def network(batch: Tensor) -> Tensor:
        batches.append(batch)
        return batch

    _predict(network, image, views="all", spacing=(2.5, 1.0, 1.0))

    assert sum(len(batch) for batch in batches) == 16


def test_the_batch_size_does_not_change_the_result() -> None:
    image = torch.randn(1, 12, 14, 10, generator=torch.Generator().manual_seed(6))
    network = _convolution()

    one, many = (_predict(network, image, batch_size=size) for size in (1, 7))

    assert torch.allclose(one, many, atol=1e-6)


def test_bfloat16_runs_the_network_under_autocast_and_sums_in_float32() -> None:
    image = torch.randn(1, 12, 12, 12, generator=torch.Generator().manual_seed(7))
    network = _convolution()
    kinds = []

    def watched(batch: Tensor) -> Tensor:
        logits = network(batch)
        kinds.append(logits.dtype)
        return logits

    probs = _predict(watched, image, precision="bfloat16")

    assert set(kinds) == {torch.bfloat16}
    assert probs.dtype == torch.float32
    assert torch.allclose(probs, _predict(network, image), atol=2e-2)


def test_progress_counts_windows_up_to_the_last() -> None:
    counts = []

    _predict(torch.tanh, torch.zeros(1, 12, 12, 12), progress=lambda *pair: counts.append(pair))

    assert [total for _, total in counts] == [8] * len(counts)
    assert [done for done, _ in counts] == [3, 4, 7, 8]


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.8])
def test_sums_kept_row_by_row_on_an_accelerator_give_the_same(
    monkeypatch: pytest.MonkeyPatch, overlap: float
) -> None:
    image = torch.randn(1, 27, 11, 9, generator=torch.Generator().manual_seed(8))
    network = _convolution()

    on_host = _predict(network, image, overlap=overlap)
    monkeypatch.setattr(volume, "_on_host", lambda _: False)
    by_row = _predict(network, image, overlap=overlap)

    assert torch.allclose(on_host, by_row, atol=1e-7)
