import csv
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from vesuv.config import Config, check
from vesuv.errors import InputError
from vesuv.runs.checkpoints import read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.training.train import train
from vesuv.transforms.collate import collate


def changed(config: Config, **sections: Any) -> Config:
    tree = config.model_dump(mode="json")
    for section, values in sections.items():
        old = tree[section] or {}
        same_kind = isinstance(values, dict) and values.get("name", None) in (None, old.get("name"))
        tree[section] = old | values if same_kind else values
    return check(tree, "test")


def rows(run: RunFolder) -> list[dict[str, str]]:
    with (run.path / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def untimed(run: RunFolder) -> list[dict[str, str]]:
    """Return the rows without what differs from one run to its equal."""
    timed = {"seconds", "patches_per_second", "loader_wait_share"}
    return [{name: cell for name, cell in row.items() if name not in timed} for row in rows(run)]


def weights(run: RunFolder, name: str) -> dict[str, torch.Tensor]:
    return read_checkpoint(run.checkpoint(name)).model


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_learns_and_leaves_everything_behind(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(
        tiny_config,
        train={"epochs": 8, "steps_per_epoch": 10},
        averaging={"swa": {"start_epoch": 4}, "ema": {"decay": 0.9}},
        noise={"start_epoch": 2, "every": 2, "std": 0.001, "decay": 0.9},
        checkpoint={"every_epochs": 4},
        validation={"full_every": 8},
    )

    run = train(config, output=tmp_path / "run").folder

    table = rows(run)
    assert len(table) == 8
    assert float(table[-1]["val/dice"]) > max(0.6, float(table[0]["val/dice"]))
    assert float(table[-1]["val/full_dice"]) > 0.6
    assert (float(table[1]["weight/focal"]), float(table[2]["weight/focal"])) == (0.0, 0.2)
    assert table[1]["val/loss_focal"] != ""
    assert run.checkpoints() == ["best", "last", "swa", "ema", "epoch_0003", "epoch_0007"]
    log = (run.path / "train.log").read_text()
    line = re.search(r"Epoch 6 Val - Loss: (\S+) \(dice: (\S+), focal: (\S+)\)", log)
    assert line is not None
    assert float(line[1]) == pytest.approx(0.8 * float(line[2]) + 0.2 * float(line[3]), abs=2e-4)
    assert "Epoch 2 Phase 2 begins: dice 0.8, focal 0.2" in log
    assert "Epoch 4 Weight noise injected, relative deviation 0.0009" in log
    assert list(run.path.glob("events.out.tfevents.*"))


@pytest.mark.slow
def test_equal_seeds_give_equal_weights_and_others_do_not(
    tiny_config: Config, tmp_path: Path
) -> None:
    first = train(tiny_config, output=tmp_path / "a").folder
    second = train(tiny_config, output=tmp_path / "b").folder
    third = train(changed(tiny_config, runtime={"seed": 1}), output=tmp_path / "c").folder

    assert same(weights(first, "last"), weights(second, "last"))
    assert not same(weights(first, "last"), weights(third, "last"))


@pytest.mark.slow
def test_loader_processes_change_nothing(tiny_config: Config, tmp_path: Path) -> None:
    alone = train(tiny_config, output=tmp_path / "a").folder
    helped = train(changed(tiny_config, runtime={"workers": 2}), output=tmp_path / "b").folder

    assert same(weights(alone, "last"), weights(helped, "last"))


def test_a_run_in_parts_sees_the_patches_of_one_in_whole_batches_and_learns_as_much(
    tiny_config: Config, tmp_path: Path
) -> None:
    config = changed(
        tiny_config, train={"epochs": 1, "steps_per_epoch": 4}, diagnosis={"enabled": False}
    )

    whole = train(config, output=tmp_path / "whole").folder
    parts = train(changed(config, runtime={"accumulate": 2}), output=tmp_path / "parts").folder

    [one], [other] = rows(whole), rows(parts)
    seen = ("train/foreground_share", "train/ignored_share", "train/patches_with_foreground")
    assert [one[name] for name in seen] == [other[name] for name in seen]
    for name in ("train/loss", "train/gradient_norm", "val/dice", "val/loss_dice"):
        assert float(one[name]) == pytest.approx(float(other[name]), rel=1e-3), name


def test_escapes_roll_back_to_the_best_and_are_logged(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(
        tiny_config,
        noise={"start_epoch": 2, "every": 1, "std": 5.0, "decay": 1.0},
        plateau={"patience": 1, "formula": "aggressive", "cap": 2.0},
        train={"epochs": 6},
        scheduler={"name": "plateau", "warmup_epochs": 0},
    )

    run = train(config, output=tmp_path / "run").folder

    log = (run.path / "train.log").read_text()
    assert re.search(r"Epoch \d Adaptive intervention 1: .* rolled back to epoch \d", log)
    assert max(float(row["lr"]) for row in rows(run)) == pytest.approx(2.0 * 5e-3)


def test_early_stopping_ends_a_run_that_no_longer_improves(
    tiny_config: Config, tmp_path: Path
) -> None:
    config = changed(
        tiny_config,
        optimizer={"lr": 1e-12},
        early_stopping={"patience": 2},
        train={"epochs": 30},
    )

    run = train(config, output=tmp_path / "run").folder

    assert "Early stopping: no dice above" in (run.path / "train.log").read_text()
    assert len(rows(run)) < 30


def test_non_finite_steps_stop_the_run_after_the_limit(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(
        tiny_config,
        optimizer={"lr": 1e30},
        scheduler={"name": "poly", "warmup_epochs": 0},
        train={"non_finite_limit": 3, "gradient_clip": None},
    )

    with pytest.raises(
        InputError, match=r"train\.non_finite_limit: \d+ steps had a non-finite"
    ) as fault:
        train(config, output=tmp_path / "run")

    assert str(fault.value).endswith("runtime.precision=float32"), "there are no best weights"


def test_softmax_over_three_classes_trains(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(
        tiny_config,
        data={"store": str(tmp_path / "store")},
        labels={"classes": {"background": 0, "sheet": 1, "corner": 2}, "ignore": None},
        model={"out_channels": 3},
        train={"epochs": 2},
    )

    run = train(config, output=tmp_path / "run").folder

    assert float(rows(run)[-1]["val/dice"]) > 0


@pytest.mark.parametrize("non_finite", ["stop", "rollback"])
def test_steps_that_are_not_finite_are_named_and_then_stopped_or_rolled_back(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, non_finite: str
) -> None:
    config = changed(
        tiny_config, train={"epochs": 3, "non_finite_limit": 2, "non_finite": non_finite}
    )
    finish, calls = collate, iter(range(1000))

    def spoil(patches: Any, cases: tuple[str, ...]) -> Any:
        batch = finish(patches, cases)
        if next(calls) in (7, 9):
            batch.image[0, 0, 0, 0, 0] = float("nan")
        return batch

    monkeypatch.setattr("vesuv.training.loader.collate", spoil)
    if non_finite == "stop":
        with pytest.raises(InputError, match=r"2 steps had a non-finite .*train\.log.* names step"):
            train(config, output=tmp_path / "run")
    else:
        train(config, output=tmp_path / "run")

    text = (tmp_path / "run" / "train.log").read_text()
    found = re.findall(r"Epoch 1 step (\d) skipped, weights unchanged: (.*) for case c\d\n", text)
    assert found == [("1", "the input is not finite"), ("3", "the input is not finite")]
    assert ("2 steps skipped; rolled back to epoch 0" in text) == (non_finite == "rollback")
