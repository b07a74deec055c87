"""last.pt of a stranger: nothing of it is loaded unless all of it fits the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.test_train_state import state_of
from tests.training.test_trainer import changed
from vesuv.config import Config
from vesuv.errors import InputError
from vesuv.runs.checkpoints import read_checkpoint
from vesuv.training.train_state import TrainState

Content = dict[str, Any]
FULL = {
    "averaging": {"ema": {"decay": 0.9}},
    "plateau": {"patience": 2},
    "scheduler": {"name": "plateau", "patience": 1, "warmup_epochs": 0},
}


ONE_OPTIMIZER = pytest.mark.parametrize("saved", ["adamw"], indirect=True)


def take_a_step(state: TrainState) -> None:
    """Fill the moments, and stand within an epoch."""
    sum(p.sum() for p in state.network.parameters()).backward()
    state.optimizer.step()
    state.averages.update_ema(state.network)
    state.progress.step = 1


@pytest.fixture(params=["adamw", "sgd", "muon"])
def saved(tiny_config: Config, tmp_path: Path, request: pytest.FixtureRequest) -> TrainState:
    """A run with a last.pt of one step."""
    lr = 1e-3 if request.param == "adamw" else 1e-2
    config = changed(tiny_config, optimizer={"name": request.param, "lr": lr}, **FULL)
    state = state_of(config, tmp_path)
    take_a_step(state)
    state.save_last()
    return state


def restore_changed(saved: TrainState, change: Callable[[Content], object]) -> TrainState:
    """Restore a new run from last.pt with a changed training state."""
    path = saved.run.checkpoint("last")
    content = torch.load(path, weights_only=True)
    change(content["training"])
    torch.save(content, path)
    new = state_of(saved.config, saved.run.path.parent / "new")
    before = {name: value.clone() for name, value in new.network.state_dict().items()}
    try:
        new.restore(read_checkpoint(path))
    except InputError:
        weights = new.network.state_dict()
        assert all(torch.equal(weights[name], value) for name, value in before.items())
        assert new.progress == type(new.progress)()
        raise
    return new


def set_at(*keys: object, value: object) -> Callable[[Content], object]:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


def moments(content: Content) -> Content:
    return content["optimizer"]["state"][0]  # type: ignore[no-any-return]


def moment_name(content: Content) -> str:
    return "exp_avg" if "exp_avg" in moments(content) else "momentum_buffer"


def test_an_unchanged_state_is_restored(saved: TrainState) -> None:
    new = restore_changed(saved, dict)

    assert new.progress == saved.progress
    for one, other in zip(
        saved.optimizer.state.values(), new.optimizer.state.values(), strict=True
    ):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_best_measure_below_zero_is_restored(saved: TrainState) -> None:
    new = restore_changed(saved, lambda state: state["schedule"]["schedule"].update(best=-0.25))

    assert new.lr_schedule.state()["schedule"]["best"] == -0.25


def test_a_state_without_the_rate_behind_the_warm_up_is_restored(saved: TrainState) -> None:
    new = restore_changed(saved, lambda state: state["schedule"].pop("peak_lr"))

    assert new.lr_schedule.peak_lr == new.lr_schedule.base_lr


def test_moments_are_laid_out_as_the_parameters_are(saved: TrainState) -> None:
    saved.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    saved.restore(read_checkpoint(saved.run.checkpoint("last")))

    for parameter, state in saved.optimizer.state.items():
        for value in state.values():
            assert value.ndim == 0 or value.stride() == parameter.stride()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (torch.zeros(1), r"found torch\.float32 \(1,\)"),
        (torch.zeros(4, 1, 3, 3, 3, dtype=torch.float64), r"found torch\.float64"),
        (torch.zeros(4, 1, 3, 3, 3, dtype=torch.int8), r"found torch\.int8"),
        (1.0, "found <class 'float'>"),
    ],
)
def test_moments_of_another_shape_or_type_are_refused(
    saved: TrainState, value: object, sentence: str
) -> None:
    def change(content: Content) -> None:
        moments(content)[moment_name(content)] = value

    with pytest.raises(
        InputError, match=rf"last\.pt: .*optimizer\.state\.0\.\w+ must be .*{sentence}"
    ):
        restore_changed(saved, change)


def test_expanded_moments_are_refused(saved: TrainState) -> None:
    def change(content: Content) -> None:
        name = moment_name(content)
        moments(content)[name] = torch.zeros(1).expand(moments(content)[name].shape)

    sentence = r"last\.pt: damaged .*training\.optimizer\.state\.0\.\w+ must be a dense tensor"
    with pytest.raises(InputError, match=sentence):
        restore_changed(saved, change)


def check_refused(
    saved: TrainState, keys: tuple[object, ...], value: object, sentence: str
) -> None:
    with pytest.raises(
        InputError, match=rf"last\.pt: its training state is not this run's \(.*{sentence}"
    ):
        restore_changed(saved, set_at(*keys, value=value))


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (("optimizer", "state", 999), {}, r"optimizer\.state\.999 is not known"),
        (("optimizer", "state", 0), {}, r"optimizer\.state\.0 must have"),
        (("optimizer", "param_groups"), [], r"optimizer\.param_groups must list"),
        (("optimizer",), [], r"optimizer must be a mapping, found list"),
    ],
)
def test_an_entry_that_no_such_optimizer_has_is_refused(
    saved: TrainState, keys: tuple[object, ...], value: object, sentence: str
) -> None:
    check_refused(saved, keys, value, sentence)


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (("progress", "step"), 10**9, r"progress\.step must be at most 5, found 1000000000"),
        (("progress", "step"), -1, r"progress\.step: Input should be greater than or equal to 0"),
        (("progress", "epoch"), 10**12, r"progress\.epoch must be at most 4, found 10000"),
        (("progress", "epoch"), 4, r"progress\.step must be at most 20, found 21"),
        (("progress", "epoch"), True, r"progress\.epoch: Input should be a valid integer"),
        (("progress", "epoch"), float("nan"), r"progress\.epoch: Input should be"),
        (("progress", "best_measure"), float("nan"), r"progress\.best_measure: .*finite"),
        (("progress", "best_measure"), "1", r"progress\.best_measure: .*valid number"),
        (("progress", "best_epoch"), 1, r"progress\.best_epoch must be at most 0"),
        (("progress", "skipped"), 10**30, r"progress\.skipped must be at most 1"),
        (("progress", "forgiven"), 1, r"progress\.forgiven must be at most 0"),
        (("progress", "rollbacks"), 2, r"progress\.rollbacks must be at most 1"),
        (("progress", "more"), 2, r"progress\.more: Extra inputs"),
        (("progress",), None, r"progress\.content: Input should be a valid dict"),
        (("plateau", "best"), float("inf"), r"plateau\.best: .*finite"),
        (("plateau", "worse"), 10**9, r"plateau\.worse must be at most 8"),
        (("plateau", "escapes"), 10**40, r"plateau\.escapes must be at most 4"),
        (("schedule", "lr"), float("nan"), r"schedule\.lr must be a number from 0, found nan"),
        (("schedule", "lr"), -1.0, r"schedule\.lr must be a number from 0"),
        (("schedule", "schedule", "last_epoch"), 10**12, r"schedule\.last_epoch must be 0 to 22"),
        (("schedule", "schedule", "best"), "x", r"schedule\.best must be a number from -inf"),
        (("schedule", "schedule", "best"), float("nan"), r"schedule\.best must be a number"),
        (("schedule", "peak_lr"), -1.0, r"schedule\.peak_lr must be a number from 0"),
        (("schedule", "schedule", "mode"), "min", r"schedule\.mode must be 'max', found 'min'"),
        (("schedule", "schedule", "min_lrs"), [], r"schedule\.min_lrs must be 1 numbers"),
        (("schedule", "schedule"), {}, r"schedule\.last_epoch is missing"),
        (("averages", "ema", "n_averaged"), torch.tensor(-1), r"n_averaged must be 0 to 20, found"),
        (
            ("averages", "ema", "n_averaged"),
            torch.tensor(1.0),
            r"ema\.n_averaged must be torch.int64",
        ),
        (("averages", "ema"), [], r"averages\.ema must be a mapping, found list"),
        (("averages",), {}, r"averages\.ema must be a mapping, found NoneType"),
        (("sums",), None, r"sums must be a mapping, found NoneType"),
        (("sums", "loss"), torch.ones(3), r"sums\.loss must be a number of torch\.float32"),
        (("sums", "x"), torch.ones(()), r"sums\.x must be a number"),
        (("sums", "_voxels"), torch.tensor(-1), r"sums\._voxels must be a count, found -1"),
    ],
)
@ONE_OPTIMIZER
def test_an_entry_that_no_run_of_this_length_has_is_refused(
    saved: TrainState, keys: tuple[object, ...], value: object, sentence: str
) -> None:
    check_refused(saved, keys, value, sentence)


@pytest.mark.parametrize(
    "key", ["progress", "optimizer", "schedule", "averages", "plateau", "sums"]
)
@ONE_OPTIMIZER
def test_a_missing_entry_is_named(saved: TrainState, key: str) -> None:
    with pytest.raises(InputError, match=rf"\({key} is missing\)"):
        restore_changed(saved, lambda content: content.pop(key))


def test_settings_of_the_optimizer_are_the_runs_own(saved: TrainState) -> None:
    def change(content: Content) -> None:
        content["optimizer"]["param_groups"][0].update(fused=False, maximize=True, weight_decay=9.0)

    new = restore_changed(saved, change)

    group, own = new.optimizer.param_groups[0], saved.optimizer.param_groups[0]
    assert all(group.get(key) == own.get(key) for key in ("fused", "maximize", "momentum"))
    assert group["weight_decay"] == saved.config.optimizer.weight_decay  # type: ignore[attr-defined]


def test_a_state_that_another_version_added_to_is_restored(saved: TrainState) -> None:
    def change(content: Content) -> None:
        content["schedule"]["schedule"] |= {"verbose": False, "step": "replaced"}

    assert callable(restore_changed(saved, change).lr_schedule.plateau_scheduler.step)  # type: ignore[union-attr]
