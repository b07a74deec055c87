from __future__ import annotations

import pytest
import torch

from vesuv.inference.ensemble import Ensemble


def _constant(*logits: float):
    values = torch.tensor(logits).reshape(1, -1, 1, 1, 1)
    return lambda images: values.expand(images.shape[0], -1, *images.shape[2:])


def test_probabilities_are_averaged_not_logits() -> None:
    ensemble = Ensemble((_constant(0.0), _constant(100.0)))

    probs = ensemble(torch.zeros(2, 1, 3, 3, 3))

    assert probs.shape == (2, 1, 3, 3, 3)
    assert probs.unique().tolist() == [pytest.approx(0.75)]


def test_several_classes_stay_a_distribution() -> None:
    ensemble = Ensemble((_constant(0.0, 0.0, 0.0), _constant(0.0, 1.0, -1.0)))

    probs = ensemble(torch.zeros(1, 1, 2, 2, 2))

    assert torch.allclose(probs.sum(dim=1), torch.ones(1, 2, 2, 2))
    # softmax(0, 1, -1) = (0.2447, 0.6652, 0.0900)
    expected = [(1 / 3 + p) / 2 for p in (0.244728, 0.665241, 0.090031)]
    assert probs[0, :, 0, 0, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_one_network_is_an_ensemble() -> None:
    assert Ensemble((_constant(0.0),))(torch.zeros(1, 1, 2, 2, 2)).unique().item() == 0.5
