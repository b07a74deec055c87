import copy

import pytest
import torch
from torch import nn

from vesuv.config.training import WeightNoiseConfig
from vesuv.errors import InputError
from vesuv.training.weight_noise import WeightNoise


def network() -> nn.Module:
    torch.manual_seed(0)
    parts = {"encoder": nn.Linear(50, 50), "decoder": nn.Linear(50, 50), "output": nn.Linear(50, 2)}
    return nn.ModuleDict(parts)


CONFIG = WeightNoiseConfig(start_epoch=4, every=3, std=0.1, decay=0.5)


def test_it_is_due_every_few_epochs_and_decays() -> None:
    noise = WeightNoise(CONFIG, network(), seed=0)

    assert [noise.std_at(epoch) for epoch in range(3, 11)] == [
        None, 0.1, None, None, 0.05, None, None, 0.025,
    ]  # fmt: skip


def test_only_the_named_layers_move_and_by_the_asked_deviation() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())

    WeightNoise(CONFIG, net, seed=0).inject(net, 4)

    moved = {name: (value - before[name]) for name, value in net.state_dict().items()}
    assert moved["encoder.weight"].abs().max() == 0
    relative = moved["decoder.weight"].std() / before["decoder.weight"].std()
    assert relative.item() == pytest.approx(0.1, rel=0.05)


def test_the_same_seed_and_epoch_give_the_same_noise() -> None:
    first, second = network(), network()
    for net in (first, second):
        WeightNoise(CONFIG, net, seed=3).inject(net, 7)

    assert torch.equal(first["decoder"].weight, second["decoder"].weight)


def test_an_unknown_layer_is_refused_with_the_names_there_are() -> None:
    config = CONFIG.model_copy(update={"layers": ("head",)})

    with pytest.raises(InputError, match=r"no parameter begins with 'head'.*decoder, encoder"):
        WeightNoise(config, network(), seed=0)
