from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.test_trainer import changed
from vesuv.config import Config
from vesuv.config.training import RuntimeConfig
from vesuv.errors import InputError
from vesuv.models import build_model
from vesuv.runs.checkpoints import previous_path, read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import resolve
from vesuv.training.train_state import TrainState
from vesuv.transforms.normalize import Normalizer

MACHINE = resolve(RuntimeConfig(device="cpu", precision="float32"))


def state_of(config: Config, folder: Path) -> TrainState:
    run = RunFolder(folder)
    run.create(config, {})
    return TrainState(config, Normalizer(name="zscore"), run, build_model(config.model), 5, MACHINE)


def set_to(state: TrainState, value: float) -> None:
    with torch.no_grad():
        state.network.output.weight.fill_(value)


def save_best(state: TrainState, epoch: int, measure: float) -> None:
    """Save a best whose output weights are its epoch."""
    set_to(state, epoch)
    state.progress.epoch = epoch
    state.progress.best_measure = measure
    state.save("best", state.network, measure=measure)


def state_with_two_bests(config: Config, folder: Path) -> TrainState:
    """A run whose best weights were saved in epoch 1 and again in epoch 2."""
    state = state_of(config, folder)
    save_best(state, 1, 0.5)
    save_best(state, 2, 0.7)
    return state


def test_going_back_loads_the_best_and_forgets_the_moments(
    tiny_config: Config, tmp_path: Path
) -> None:
    state = state_with_two_bests(tiny_config, tmp_path)
    set_to(state, 9)
    state.optimizer.state[state.network.output.weight] = {"step": torch.tensor(1.0)}

    assert state.roll_back() == (2, [])
    assert state.network.output.weight.unique().tolist() == [2.0]
    assert not state.optimizer.state


def test_going_back_starts_the_averages_anew_from_the_best(
    tiny_config: Config, tmp_path: Path
) -> None:
    averaging = {"ema": {"decay": 0.9}, "swa": {"start_epoch": 0}}
    state = state_with_two_bests(changed(tiny_config, averaging=averaging), tmp_path)
    set_to(state, 9)
    state.averages.update_ema(state.network)
    state.averages.update_swa(state.network, 3)

    state.roll_back()

    assert state.averages.started_models() == {}
    state.averages.update_ema(state.network)
    state.averages.update_swa(state.network, 4)
    for average in state.averages.started_models().values():
        assert average.output.weight.unique().tolist() == [2.0]


def test_a_best_that_is_yet_to_be_reached_again_is_passed_over(
    tiny_config: Config, tmp_path: Path
) -> None:
    state = state_with_two_bests(tiny_config, tmp_path)
    state.progress.best_measure = 0.5  # as last.pt of a killed run has it

    assert state.roll_back() == (1, [])


def test_a_best_that_is_saved_again_after_a_kill_is_not_its_own_predecessor(
    tiny_config: Config, tmp_path: Path
) -> None:
    state = state_with_two_bests(tiny_config, tmp_path)
    save_best(state, 2, 0.7)
    best = state.run.checkpoint("best")

    assert (read_checkpoint(best).epoch, read_checkpoint(previous_path(best)).epoch) == (2, 1)


def test_a_damaged_best_is_replaced_by_the_one_before_and_named(
    tiny_config: Config, tmp_path: Path
) -> None:
    state = state_with_two_bests(tiny_config, tmp_path)
    best = state.run.checkpoint("best")
    best.write_bytes(best.read_bytes()[:-100])

    epoch, [fault] = state.roll_back()

    assert epoch == 1
    assert fault.startswith(f"{best}: damaged")


def test_without_any_best_there_is_nothing_to_go_back_to(
    tiny_config: Config, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"best\.pt: no such checkpoint; .* \(rolling back needs"):
        state_of(tiny_config, tmp_path).roll_back()


def test_weights_alone_are_not_resumed(tiny_config: Config, tmp_path: Path) -> None:
    state = state_of(tiny_config, tmp_path)
    save_best(state, 1, 0.5)

    with pytest.raises(InputError, match=r"best\.pt: holds no training state; resume from last"):
        state.restore(read_checkpoint(state.run.checkpoint("best")))


def test_another_optimisers_state_is_not_resumed(tiny_config: Config, tmp_path: Path) -> None:
    state = state_of(tiny_config, tmp_path)
    state.save_last()
    other = changed(tiny_config, averaging={"ema": {"decay": 0.9}})

    with pytest.raises(InputError, match=r"last\.pt: its training state is not this run's"):
        state_of(other, tmp_path / "other").restore(read_checkpoint(state.run.checkpoint("last")))


def test_the_last_checkpoint_names_the_last_epoch_that_was_trained(
    tiny_config: Config, tmp_path: Path
) -> None:
    state = state_of(tiny_config, tmp_path)
    epochs = []
    for step, end_of_epoch in ((0, False), (1, False), (2, True), (1, False)):
        state.progress.step = step
        if end_of_epoch:
            state.next_epoch()
        state.save_last()
        epochs.append(read_checkpoint(state.run.checkpoint("last")).epoch)

    assert (epochs, state.progress.epoch) == ([0, 0, 0, 1], 1)


def test_last_and_best_keep_the_file_before_them_and_others_do_not(
    tiny_config: Config, tmp_path: Path
) -> None:
    state = state_of(changed(tiny_config, checkpoint={"every_epochs": 2}), tmp_path)
    for epoch in range(4):
        state.save_last()
        state.next_epoch()
        assert state.progress.epoch == epoch + 1

    assert state.run.checkpoints() == ["last", "epoch_0001", "epoch_0003"]
    last = state.run.checkpoint("last")
    assert (read_checkpoint(last).epoch, read_checkpoint(previous_path(last)).epoch) == (2, 1)
    assert not previous_path(state.run.checkpoint("epoch_0003")).exists()
