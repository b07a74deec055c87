import pytest
import torch
from torch import Tensor

from vesuv.config.loss import ALL_LOSSES, read_losses
from vesuv.losses import MASK_LOSSES, Compound, build_losses

LABEL = torch.tensor([1, 1, 0, 0, 0, 255, 0, 1]).view(2, 1, 1, 4)
VALID = LABEL != 255


def random_logits() -> Tensor:
    return torch.randn(2, 1, 1, 1, 4, generator=torch.Generator().manual_seed(0))


def test_the_total_is_the_weighted_sum_of_losses_called_alone() -> None:
    losses = build_losses(ALL_LOSSES(), list(MASK_LOSSES))
    weights = {name: 0.1 * (index + 1) for index, name in enumerate(MASK_LOSSES)}
    logits = random_logits()

    total, components = Compound(losses)(logits, LABEL, VALID, weights)

    alone = {name: losses[name](logits, LABEL, VALID).item() for name in MASK_LOSSES}
    assert {name: value.item() for name, value in components.items()} == pytest.approx(alone)
    assert total.item() == pytest.approx(sum(weights[name] * alone[name] for name in MASK_LOSSES))


def test_the_gradient_is_the_weighted_sum_of_theirs() -> None:
    losses = build_losses(ALL_LOSSES(), ["dice", "focal", "boundary"])
    weights = {"dice": 0.7, "focal": 0.2, "boundary": 0.1}
    logits = random_logits().requires_grad_()

    total, _ = Compound(losses)(logits, LABEL, VALID, weights)
    (together,) = torch.autograd.grad(total, logits)

    apart = [torch.autograd.grad(losses[n](logits, LABEL, VALID), logits)[0] for n in weights]
    expected = sum(w * g for w, g in zip(weights.values(), apart, strict=True))
    torch.testing.assert_close(together, expected)


def test_a_term_of_weight_zero_is_not_computed() -> None:
    losses = build_losses(ALL_LOSSES(), ["dice"]) | {"focal": object()}

    _, components = Compound(losses)(random_logits(), LABEL, VALID, {"dice": 1.0, "focal": 0.0})

    assert list(components) == ["dice"]


def test_components_are_all_computed_and_detached() -> None:
    compound = Compound(build_losses(ALL_LOSSES(), ["dice", "cldice"]))
    logits = random_logits().requires_grad_()

    _, stepped = compound(logits, LABEL, VALID, {"dice": 1.0})
    everything = compound.components(logits, LABEL, VALID)

    assert list(everything) == ["dice", "cldice"]
    assert not any(value.requires_grad for value in (*stepped.values(), *everything.values()))
    assert everything["dice"] == stepped["dice"]


def test_weights_for_a_loss_that_was_not_built_are_a_fault_of_ours() -> None:
    with pytest.raises(AssertionError, match=r"not built: \['focal'\]"):
        Compound(build_losses(ALL_LOSSES(), ["dice"]))(
            random_logits(), LABEL, VALID, {"focal": 1.0}
        )


def test_a_loss_with_an_interval_has_its_whole_weight_in_one_step_of_it() -> None:
    section = read_losses({"betti_matching": {"every": 3}})
    compound = Compound(build_losses(section, ["dice", "betti_matching", "focal"]))
    weights = {"dice": 0.5, "betti_matching": 0.1, "focal": 0.0}

    steps = [compound.step_weights(weights, step) for step in range(7)]

    assert [one["betti_matching"] for one in steps] == pytest.approx([0.3, 0, 0, 0.3, 0, 0, 0.3])
    assert all(one["dice"] == 0.5 and one["focal"] == 0.0 for one in steps)


def test_losses_with_an_interval_run_in_every_step_where_there_are_no_others() -> None:
    compound = Compound(build_losses(ALL_LOSSES(), ["dice", "betti_matching"]))
    weights = {"dice": 0.0, "betti_matching": 0.1}

    assert compound.step_weights(weights, 3) == weights


def test_a_loss_of_an_output_of_training_does_not_stand_for_one_of_the_mask() -> None:
    compound = Compound(build_losses(ALL_LOSSES(), ["signed_distance", "betti_matching"]))
    weights = {"signed_distance": 1.0, "betti_matching": 0.1}

    assert compound.step_weights(weights, 3) == weights


def test_no_weight_at_all_is_a_fault_of_ours() -> None:
    with pytest.raises(AssertionError, match="every loss has weight 0"):
        Compound(build_losses(ALL_LOSSES(), ["dice"]))(random_logits(), LABEL, VALID, {"dice": 0.0})


def test_a_step_keeps_less_than_thirty_bytes_a_voxel_for_backward() -> None:
    terms = ["dice", "focal", "variance", "boundary", "cldice"]
    label = torch.zeros(1, 16, 16, 16, dtype=torch.uint8)
    label[:, 4:6] = 1
    logits = torch.zeros(1, 1, 16, 16, 16, requires_grad=True)
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        Compound(build_losses(ALL_LOSSES(), terms))(
            logits, label, label != 255, dict.fromkeys(terms, 1.0)
        )

    kept_bytes = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    assert kept_bytes / label.numel() < 30
