import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from vesuv.errors import InputError
from vesuv.losses import betti_matching
from vesuv.losses.betti_matching import BettiMatching
from vesuv.runtime.betti_library import betti_library


def all_valid(label: Tensor) -> Tensor:
    return torch.ones_like(label, dtype=torch.bool)


def logit(probs: Tensor) -> Tensor:
    return probs.double().logit().view(1, 1, *probs.shape)


def two_blobs() -> Tensor:
    label = torch.zeros(1, 3, 3, 9, dtype=torch.long)
    label[:, 1, 1, 1:3] = label[:, 1, 1, 6:8] = 1
    return label


def test_two_components_that_are_predicted_as_one_by_hand() -> None:
    label = two_blobs()
    probs = torch.full((3, 3, 9), 0.1)
    probs[1, 1, 1:8] = torch.tensor([0.9, 0.9, 0.6, 0.6, 0.6, 0.8, 0.8])

    loss = BettiMatching()(logit(probs), label, all_valid(label))

    # One component has no death and does not count. The other is born at 0.8 and dies at 0.6,
    # where it joins the first; that of the label is born at 1 and dies at 0.
    assert loss.item() == pytest.approx(2 * ((0.8 - 1.0) ** 2 + (0.6 - 0.0) ** 2))


def test_a_component_that_is_not_labelled_costs_its_squared_length() -> None:
    label = two_blobs()
    label[..., 5:] = 0
    probs = torch.full((3, 3, 9), 0.1)
    probs[1, 1, 1:3], probs[1, 1, 6:8] = 0.9, 0.7

    loss = BettiMatching()(logit(probs), label, all_valid(label))

    assert loss.item() == pytest.approx((0.7 - 0.1) ** 2)


def test_a_hole_in_a_sheet_by_hand() -> None:
    label = torch.zeros(1, 3, 7, 7, dtype=torch.long)
    label[:, 1, 1:6, 1:6] = 1
    probs = label[0] * 0.8 + 0.1
    probs[1, 3, 3] = 0.3

    loss = BettiMatching()(logit(probs), label, all_valid(label))

    assert loss.item() == pytest.approx((0.9 - 0.3) ** 2)


def test_a_constant_prediction_scores_the_number_of_labelled_features() -> None:
    label = two_blobs()
    ring = torch.zeros(1, 3, 5, 9, dtype=torch.long)
    ring[:, 1, 1:4, 1:4] = 1
    ring[:, 1, 2, 2] = 0
    for labelled, expected in ((label, 1), (ring, 1)):
        logits = torch.full((1, 1, *labelled.shape[1:]), -1.0, requires_grad=True)

        loss = BettiMatching()(logits, labelled, all_valid(labelled))
        loss.backward()

        assert loss.item() == expected
        assert logits.grad is not None
        assert not logits.grad.any()


def package_loss(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package's own loss; its other losses want libraries that nothing here needs."""
    [folder] = importlib.util.find_spec("topolosses").submodule_search_locations  # type: ignore[union-attr,misc]
    losses = ModuleType("topolosses.losses")
    losses.__path__ = [f"{folder}/losses"]
    monkeypatch.setitem(sys.modules, "topolosses.losses", losses)
    source = "topolosses.losses.betti_matching.src"
    # the compiled module cannot be loaded twice
    monkeypatch.setitem(sys.modules, f"{source}.betti_matching", betti_library())
    return importlib.import_module(f"{source}.betti_matching_loss").BettiMatchingLoss


@pytest.mark.filterwarnings("ignore")
def test_value_and_gradient_equal_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = package_loss(monkeypatch)(use_base_loss=False, sigmoid=True, alpha=1.0)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 9, 10, 11, generator=generator).requires_grad_()
    label = (torch.rand(2, 9, 10, 11, generator=generator) < 0.3).long()

    ours = BettiMatching(edge=16)(logits, label, all_valid(label))
    theirs = reference(logits, label.unsqueeze(1).float())

    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    torch.testing.assert_close(
        torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits)
    )


def test_sub_patches_are_alone_and_those_of_the_largest_error_count() -> None:
    label = torch.cat([two_blobs(), torch.zeros_like(two_blobs()), two_blobs()], dim=3)
    probs = torch.full((3, 3, 27), 0.1)
    probs[1, 1, [1, 2, 6, 7]] = 0.9
    probs[1, 1, [19, 20, 24, 25]] = torch.tensor([0.8, 0.8, 0.4, 0.4])

    first, second, third = 2 * (0.1**2 + 0.1**2), 0.0, 2 * (0.6**2 + 0.1**2)
    for count, expected in ((1, third), (2, (first + third) / 2), (9, (first + third) / 3)):
        loss = BettiMatching(edge=9, sub_patches=count)(logit(probs), label, all_valid(label))
        assert loss.item() == pytest.approx(expected + second)


def test_sub_patches_without_a_valid_voxel_do_not_dilute_the_mean() -> None:
    label = torch.cat([two_blobs(), two_blobs()], dim=3)
    probs = torch.full((3, 3, 18), 0.1)
    probs[1, 1, [1, 2, 6, 7]] = torch.tensor([0.9, 0.9, 0.5, 0.5])
    valid = all_valid(label)
    valid[..., 9:] = False

    loss = BettiMatching(edge=9)(logit(probs), label, valid)

    assert loss.item() == pytest.approx(2 * (0.5**2 + 0.1**2))


def test_a_volume_that_no_edge_divides_is_cut_into_equal_parts() -> None:
    label = torch.zeros(1, 3, 3, 20, dtype=torch.long)
    label[:, 1, 1, 2] = label[:, 1, 1, 5] = label[:, 1, 1, 9] = label[:, 1, 1, 18] = 1
    logits = torch.full((1, 1, 3, 3, 20), -2.0)

    loss = BettiMatching(edge=9, sub_patches=9)(logits, label, all_valid(label))

    # 20 voxels are three parts of 7 (2 and 5; 9; 18): one of two components has no death
    assert loss.item() == pytest.approx(1 / 3)


def test_a_prediction_that_is_not_finite_gives_a_loss_that_is_not() -> None:
    label = two_blobs()
    logits = torch.zeros(1, 1, 3, 3, 9)
    logits[..., 4] = float("nan")

    assert not torch.isfinite(BettiMatching()(logits, label, all_valid(label)))


def test_tensors_without_storage_have_the_shapes_of_the_step() -> None:
    with FakeTensorMode():
        logits = torch.zeros(2, 3, 40, 40, 40, requires_grad=True)
        label = torch.zeros(2, 40, 40, 40, dtype=torch.uint8)

        loss = BettiMatching()(logits, label, label == 0)
        loss.backward()

        assert loss.shape == ()
        assert logits.grad is not None
        assert logits.grad.shape == logits.shape


def test_it_names_the_extra_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(betti_matching, "betti_library", betti_library.__wrapped__)
    label = two_blobs()

    with pytest.raises(InputError, match=r"pip install 'vesuv\[topology\]'"):
        BettiMatching()(torch.zeros(1, 1, 3, 3, 9), label, all_valid(label))
