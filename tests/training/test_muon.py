import pytest
import torch
from torch import nn
from torch.optim import AdamW

from vesuv.training.muon import Muon, is_matrix, orthogonalise
from vesuv.training.optimizers import MuonConfig, build_optimizer


def muon(parameters: list[nn.Parameter], weight_decay: float = 0.0) -> Muon:
    return Muon(
        parameters,
        lr=0.02,
        other_rate=0.1,
        momentum=0.95,
        betas=(0.9, 0.999),
        weight_decay=weight_decay,
    )


@pytest.mark.parametrize("shape", [(16, 216), (216, 16), (48, 64), (1, 27)])
def test_singular_values_become_equal_and_the_singular_vectors_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape) @ torch.diag(torch.logspace(0, -1, shape[1]))

    result = orthogonalise(matrix)

    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    nearest = left @ right
    values = torch.linalg.svdvals(result)
    assert float(values.min()) > 0.2
    assert float(values.max()) < 1.25
    cosine = float((result * nearest).sum() / result.norm() / nearest.norm())
    assert cosine > 0.95


@pytest.mark.parametrize("has_bfloat16", [False, True])
@pytest.mark.parametrize("rank", [1, 3, 20])
def test_a_gradient_of_low_rank_stays_of_low_rank(
    rank: int, has_bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vesuv.training.muon.cpu_has_bfloat16", lambda: has_bfloat16)
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(64, rank) @ torch.randn(rank, 1728)))

    assert 0.6 < float(values[rank - 1]) <= float(values[0]) < 1.25
    assert float(values[rank]) < 0.02  # without the bound of the rounding error: above 10


def test_a_gradient_of_zeros_moves_nothing() -> None:
    assert not orthogonalise(torch.zeros(4, 8)).any()


def test_convolutions_move_as_with_pytorchs_muon_on_their_matrices() -> None:
    torch.manual_seed(0)
    convolution = nn.Parameter(torch.randn(8, 4, 3, 3, 3))
    matrix = nn.Parameter(convolution.detach().flatten(1).clone())
    ours = muon([convolution], weight_decay=0.1)
    peer = torch.optim.Muon([matrix], lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True)
    start = matrix.detach().clone()

    for _ in range(3):
        gradient = torch.randn(8, 108)
        convolution.grad, matrix.grad = gradient.view(8, 4, 3, 3, 3), gradient
        ours.step()
        peer.step()

    moved = matrix.detach() - start
    difference = convolution.detach().flatten(1) - matrix.detach()
    assert float(difference.norm() / moved.norm()) < 0.02  # the peer works in bfloat16


def test_other_parameters_move_as_with_adamw() -> None:
    torch.manual_seed(0)
    bias, last = nn.Parameter(torch.randn(8)), nn.Parameter(torch.randn(1, 8, 1, 1, 1))
    twins = [nn.Parameter(p.detach().clone()) for p in (bias, last)]
    ours = muon([bias, last], weight_decay=0.1)
    peer = AdamW(twins, lr=0.1 * 0.02, weight_decay=0.1)

    for _ in range(4):
        for parameter, twin in zip((bias, last), twins, strict=True):
            parameter.grad = torch.randn(parameter.shape)
            twin.grad = parameter.grad.clone()
        ours.step()
        peer.step()

    assert torch.allclose(bias, twins[0], atol=1e-6)
    assert torch.allclose(last, twins[1], atol=1e-6)


def test_only_convolutions_larger_than_a_voxel_are_matrices() -> None:
    assert is_matrix(torch.zeros(8, 4, 3, 3, 3))
    assert is_matrix(torch.zeros(8, 4, 1, 1, 3))
    assert not is_matrix(torch.zeros(8, 4, 1, 1, 1))
    assert not is_matrix(torch.zeros(8))


def test_a_network_without_affine_norm_is_trained_by_the_configuration() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 4, 3), nn.LeakyReLU(), nn.Conv3d(4, 1, 1))
    optimizer = build_optimizer(network, MuonConfig())
    image, losses = torch.randn(2, 1, 8, 8, 8), []

    for _ in range(60):
        optimizer.zero_grad()
        loss = (network(image) - image[:, :, 1:-1, 1:-1, 1:-1]).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < 0.2 * losses[0]
