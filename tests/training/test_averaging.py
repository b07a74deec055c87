import pytest
import torch
from torch import nn

from vesuv.config.training import AveragingConfig, EMAConfig, SWAConfig
from vesuv.training.averaging import Averages


def constant(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    set_to(layer, value)
    return layer


def set_to(layer: nn.Linear, value: float) -> None:
    with torch.no_grad():
        layer.weight.fill_(value)


def test_swa_is_the_mean_of_the_epochs_since_its_start() -> None:
    net = constant(100.0)
    averages = Averages(net, AveragingConfig(swa=SWAConfig(start_epoch=1, lr=0.5)))

    for epoch, value in enumerate([100.0, 1.0, 2.0, 6.0]):
        set_to(net, value)
        averages.update_swa(net, epoch)

    assert averages.started_models()["swa"].weight.item() == pytest.approx(3.0)
    assert (averages.swa_lr(0), averages.swa_lr(1)) == (None, 0.5)


def test_an_average_without_weights_is_not_offered() -> None:
    averages = Averages(constant(1.0), AveragingConfig(swa=SWAConfig(start_epoch=5)))
    averages.update_swa(constant(1.0), 0)

    assert averages.started_models() == {}


def test_ema_trusts_new_weights_more_in_its_first_steps() -> None:
    net = constant(0.0)
    averages = Averages(net, AveragingConfig(ema=EMAConfig(decay=0.9)))
    averages.update_ema(net)  # the first update copies
    set_to(net, 1.0)
    averages.update_ema(net)  # decay (1 + 1)/(10 + 1)

    assert averages.started_models()["ema"].weight.item() == pytest.approx(1 - 2 / 11)


def test_a_restored_average_goes_on_the_same() -> None:
    net = constant(0.0)
    config = AveragingConfig(ema=EMAConfig(decay=0.9), swa=SWAConfig(start_epoch=0))
    first, second = Averages(net, config), Averages(net, config)
    for value in (1.0, 2.0):
        set_to(net, value)
        first.update_ema(net)
        first.update_swa(net, 0)
    second.restore(first.state())

    set_to(net, 9.0)
    for averages in (first, second):
        averages.update_ema(net)
        averages.update_swa(net, 1)

    for name, model in first.started_models().items():
        assert torch.equal(model.weight, second.started_models()[name].weight)
