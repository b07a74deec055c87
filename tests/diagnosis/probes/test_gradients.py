import math

import pytest
import torch
from torch import Tensor, nn

from vesuv.diagnosis.probes.gradients import compare_gradients, layer_groups
from vesuv.losses.compound import Compound
from vesuv.losses.prediction import Prediction
from vesuv.runtime.machine import Machine

MACHINE = Machine(torch.device("cpu"), "float32", 0, 1, "worker")


class Pull:
    """Pulls the mean logit in a direction; what a loss needs of its kind."""

    def __init__(self, direction: float, power: int = 1) -> None:
        self.direction, self.power = direction, power

    auxiliary = False

    def of(self, prediction: Prediction) -> Tensor:
        return self.direction * prediction.logits.mean() ** self.power


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv3d(1, 2, 1)
        self.output = nn.Conv3d(2, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.output(self.encoder(image))
        return result


def tile() -> tuple[Tensor, Tensor]:
    return torch.ones((1, 1, 2, 2, 2)), torch.ones((1, 2, 2, 2), dtype=torch.uint8)


def compound(**losses: Pull) -> Compound:
    return Compound(losses)  # type: ignore[arg-type]


def test_opposite_pulls_have_a_cosine_of_minus_one_in_every_group() -> None:
    losses = compound(up=Pull(1.0), down=Pull(-1.0), same=Pull(2.0))

    found = compare_gradients(Net(), losses, dict.fromkeys(losses.losses, 1.0), [tile()], MACHINE)

    assert found is not None and set(found.cosines) == {"encoder", "output"}
    for group in found.cosines.values():
        assert group == pytest.approx({"up|down": -1.0, "up|same": 1.0, "down|same": -1.0})
    norms = found.norms["output"]
    assert norms["same"] == pytest.approx(2 * norms["up"])


def test_norms_are_of_the_weighted_terms_over_all_tiles() -> None:
    losses = compound(one=Pull(1.0), other=Pull(1.0))
    network = Net()

    single = compare_gradients(network, losses, {"one": 1.0, "other": 0.25}, [tile()], MACHINE)
    double = compare_gradients(network, losses, {"one": 1.0, "other": 0.25}, [tile()] * 2, MACHINE)

    assert single is not None and double is not None
    assert single.norms["output"]["other"] == pytest.approx(0.25 * single.norms["output"]["one"])
    assert double.norms["output"]["one"] == pytest.approx(2 * single.norms["output"]["one"])


def test_nothing_is_left_behind() -> None:
    network = Net().train()
    state = torch.get_rng_state()

    with torch.no_grad():
        compare_gradients(
            network,
            compound(one=Pull(1.0), other=Pull(-1.0)),
            {"one": 1.0, "other": 1.0},
            [tile()],
            MACHINE,
        )

    assert network.training and all(p.grad is None for p in network.parameters())
    assert torch.equal(state, torch.get_rng_state())


def test_one_weighted_term_has_nothing_to_compare_with() -> None:
    losses = compound(one=Pull(1.0), other=Pull(1.0))

    assert compare_gradients(Net(), losses, {"one": 1.0, "other": 0.0}, [tile()], MACHINE) is None


def test_gradients_that_are_not_finite_are_left_to_others() -> None:
    losses = compound(one=Pull(math.inf), other=Pull(1.0))

    assert compare_gradients(Net(), losses, {"one": 1.0, "other": 1.0}, [tile()], MACHINE) is None


def test_a_term_without_a_gradient_is_zero() -> None:
    class Nothing(Pull):
        def of(self, _prediction: Prediction) -> Tensor:
            return torch.zeros(())

    losses = compound(one=Pull(1.0), other=Nothing(1.0))

    found = compare_gradients(Net(), losses, {"one": 1.0, "other": 1.0}, [tile()], MACHINE)

    assert found is not None and found.norms["output"]["other"] == 0.0
    assert found.cosines["output"] == {}


def test_layers_are_grouped_by_the_first_part_that_tells_them_apart() -> None:
    assert layer_groups(["encoder.0.weight", "encoder.1.bias", "output.weight"]) == [
        "encoder", "encoder", "output",
    ]  # fmt: skip
    assert layer_groups(["net.up.weight", "net.down.weight"]) == ["net.up", "net.down"]
    assert layer_groups(["weight"]) == ["all"]


def test_losses_of_auxiliary_outputs_are_left_out() -> None:
    """Evaluation mode, in which gradients are compared, has no such output."""
    losses = compound(one=Pull(1.0), other=Pull(1.0), distances=Pull(1.0))
    losses.losses["distances"].auxiliary = True  # type: ignore[misc]

    found = compare_gradients(Net(), losses, dict.fromkeys(losses.losses, 1.0), [tile()], MACHINE)

    assert found is not None
    assert set(found.norms["output"]) == {"one", "other"}
