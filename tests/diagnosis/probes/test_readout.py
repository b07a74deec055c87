import pytest
import torch

from vesuv.diagnosis.probes.readout import Voxels, dice, held_out_dice


def drawn(seed: int, size: int = 2000) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 3, generator=generator), torch.rand(size, generator=generator)


def test_a_label_that_a_plane_separates_is_read_out() -> None:
    parts = []
    for seed in (0, 1):
        features, _ = drawn(seed)
        parts.append(Voxels(features * 10 + 5, features[:, 0] - features[:, 1] > 1.0))

    assert held_out_dice(*parts) > 0.97


def test_features_that_tell_nothing_score_as_a_constant() -> None:
    parts = []
    for seed in (2, 3):
        features, noise = drawn(seed)
        parts.append(Voxels(features, noise < 0.25))

    # everything foreground: 2 * 0.25 / 1.25
    assert held_out_dice(*parts) == pytest.approx(0.4, abs=0.05)


def test_a_constant_feature_does_no_harm() -> None:
    features, _ = drawn(4)
    features[:, 2] = 7.0
    voxels = Voxels(features, features[:, 0] > 0)

    assert held_out_dice(voxels, voxels) > 0.98


def test_dice_by_hand() -> None:
    predicted, truth = torch.tensor([True, True, False]), torch.tensor([True, False, True])

    assert dice(predicted, truth) == 0.5
    assert dice(predicted[:0], truth[:0]) == 0.0
