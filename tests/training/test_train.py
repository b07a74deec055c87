"""`vesuv.train`: from files and from memory, what it refuses, what it gives back."""

from __future__ import annotations

import csv
import gc
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import vesuv
from tests.conftest import tiny_tree
from tests.training.test_trainer import changed, rows, same, untimed, weights
from vesuv.config import Config
from vesuv.errors import InputError, Interrupted
from vesuv.runs.folder import RunFolder
from vesuv.training.reporting import Listener, StepProgress
from vesuv.training.train import TrainedRun, train


def test_the_library_trains_what_the_configuration_names(
    tiny_config: Config, tmp_path: Path
) -> None:
    run = train(changed(tiny_config, train={"epochs": 1}), output=tmp_path / "run")

    assert run.path == tmp_path / "run"
    table = rows(run.folder)
    assert (run.best_epoch, len(table)) == (0, 1)
    assert run.best_measure == pytest.approx(float(table[0]["val/dice"]), abs=1e-6)
    assert run.findings == vesuv.diagnose(run.path)
    facts = run.folder.facts
    assert (facts.fold, facts.train_cases, facts.store) == (
        0, facts.train_cases, tiny_config.data.store,
    )  # fmt: skip
    log = (run.path / "train.log").read_text()
    assert log.rstrip().endswith(f"validate_distribution --run {run.path}")
    assert sorted((*facts.train_cases, *facts.validation_cases)) == ["c0", "c1", "c2", "c3"]


def test_all_cases_can_be_in_training(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, train={"epochs": 1})

    run = train(config, fold="all", output=tmp_path / "run").folder

    assert run.facts.fold == "all"
    assert run.facts.validation_cases == ()
    log = (run.path / "train.log").read_text()
    assert "4 training, 4 validation cases" in log
    assert log.rstrip().endswith(f"predict --run {run.path}")  # no case is left to select on


def test_folds_have_folders_and_cases_of_their_own(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = changed(tiny_config, train={"epochs": 1, "steps_per_epoch": 1})

    runs = [train(config, fold=fold) for fold in (0, 1)]

    assert [str(run.path) for run in runs] == ["log/tiny/fold_0", "log/tiny/fold_1"]
    held_out = [set(run.folder.facts.validation_cases) for run in runs]
    assert held_out[0] | held_out[1] == {"c0", "c1", "c2", "c3"}
    assert not held_out[0] & held_out[1]


def test_a_run_in_the_way_is_not_overwritten_unasked(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, train={"epochs": 1})
    train(config, output=tmp_path / "run")
    (tmp_path / "run/notes.txt").write_text("mine")

    with pytest.raises(InputError, match=r"holds a run already; --resume goes on with it"):
        train(config, output=tmp_path / "run")
    train(config, output=tmp_path / "run", overwrite=True)

    assert (tmp_path / "run/notes.txt").read_text() == "mine"


def test_resuming_refuses_another_configuration_fold_or_nothing(
    tiny_config: Config, tmp_path: Path
) -> None:
    config = changed(tiny_config, train={"epochs": 1})
    with pytest.raises(InputError, match="no run to resume"):
        train(config, output=tmp_path / "run", resume=True)
    with pytest.raises(InputError, match="--resume: goes on with a run, found --overwrite; leave"):
        train(config, output=tmp_path / "run", resume=True, overwrite=True)
    train(config, output=tmp_path / "run")

    other = changed(config, optimizer={"lr": 1e-3})
    with pytest.raises(InputError, match=r"found other values for optimizer\.lr"):
        train(other, output=tmp_path / "run", resume=True)
    with pytest.raises(InputError, match="is a run of fold 0, asked to resume fold 1"):
        train(config, fold=1, output=tmp_path / "run", resume=True)

    facts = json.loads((tmp_path / "run/run.json").read_text())
    sides = {"train_cases": facts["validation_cases"], "validation_cases": facts["train_cases"]}
    (tmp_path / "run/run.json").write_text(json.dumps(facts | sides))  # as if folds.yaml was edited
    with pytest.raises(InputError, match="found case c0 in training now, held out before; put"):
        train(config, output=tmp_path / "run", resume=True)


def test_other_channels_than_the_networks_are_refused(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, model={"in_channels": 2})

    with pytest.raises(InputError, match=r"model\.in_channels: must equal the images' channels"):
        train(config, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_has_one_run_at_a_time(tiny_config: Config, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.lock(), pytest.raises(InputError, match="run: another process trains in this folder"):
        train(tiny_config, output=run.path)


def in_memory(root: Path) -> list[vesuv.Case]:
    """The volumes of `tiny_data` as arrays."""
    with (root / "train.csv").open(newline="") as file:
        groups = {row["id"]: row["scroll_id"] for row in csv.DictReader(file)}
    return [
        vesuv.Case(
            name,
            tifffile.imread(root / f"train_images/{name}.tif"),
            tifffile.imread(root / f"train_labels/{name}.tif"),
            group=group,
        )
        for name, group in groups.items()
    ]


def small_tree(**data: Any) -> dict[str, Any]:
    """A configuration that names no file; one epoch of training with everything watched."""
    tree = tiny_tree(Path(), Path())
    return tree | {
        "data": {"folds": {"num": 2}, **data},
        "train": {"epochs": 2, "steps_per_epoch": 3},
        "averaging": {"ema": {"decay": 0.9}},
        "validation": {"tiles": 4, "full_every": 2},
    }


class Heard:
    """What a listener was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[StepProgress] = []
        self.listener = Listener(self.lines.append, self.steps.append)


@pytest.fixture(scope="session")
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="session")
def memory_run(
    tiny_data: Path, tmp_path_factory: pytest.TempPathFactory, heard: Heard
) -> TrainedRun:
    """A run on arrays, in an empty working folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        run = vesuv.train(small_tree(), cases=in_memory(tiny_data), listener=heard.listener)
        assert list(Path().iterdir()) == []
    return run


def test_arrays_train_as_their_files_do(
    memory_run: TrainedRun, tiny_data: Path, tmp_path: Path
) -> None:
    tree = small_tree(root=str(tiny_data), store=str(tmp_path / "store"))

    filed = vesuv.train(tree, output=tmp_path / "run").folder

    memory = memory_run.folder
    for name in ("last", "best", "ema"):
        assert same(weights(memory, name), weights(filed, name)), name
    assert untimed(memory) == untimed(filed)
    assert "val/full_dice" in rows(memory)[1]
    assert memory.facts.validation_cases == filed.facts.validation_cases
    assert (memory.facts.store, memory.config.data.root) == (None, "cases in memory")


def test_a_run_in_memory_is_used_as_any_other(memory_run: TrainedRun, tiny_data: Path) -> None:
    image = in_memory(tiny_data)[0].image

    probs = vesuv.load(memory_run.path).predict(image)

    assert probs.shape == (1, *image.shape)
    assert "report.html" in {path.name for path in memory_run.path.iterdir()}
    best = max(float(row["val/dice"]) for row in rows(memory_run.folder))
    assert memory_run.best_measure == pytest.approx(best, rel=1e-5)


def test_the_listener_hears_each_line_of_the_log_and_each_step(
    memory_run: TrainedRun, heard: Heard
) -> None:
    log = (memory_run.path / "train.log").read_text().splitlines()

    assert heard.lines == [line[20:] for line in log]  # without date and time
    assert [(step.epoch, step.step) for step in heard.steps] == [
        (epoch, step) for epoch in range(2) for step in (1, 2, 3)
    ]
    assert {(step.epochs, step.steps) for step in heard.steps} == {(2, 3)}
    assert all(step.patches_per_second > 0 for step in heard.steps)


def test_the_library_prints_nothing_and_its_folder_goes_with_the_object(
    tiny_data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tree = small_tree() | {"train": {"epochs": 1, "steps_per_epoch": 1}}

    run = vesuv.train(tree, cases=in_memory(tiny_data), fold="all")
    path = run.path

    assert capfd.readouterr() == ("", "")
    assert (path / "checkpoints/best.pt").is_file()
    del run
    gc.collect()
    assert not path.exists()


def test_no_folder_stays_behind_a_training_that_saved_nothing(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tree = small_tree() | {"noise": {"start_epoch": 0, "every": 1, "std": 0.1, "decay": 0.5}}
    tree["noise"]["layers"] = ["head"]

    with pytest.raises(InputError, match="no parameter begins with 'head'"):
        vesuv.train(tree, cases=in_memory(tiny_data))

    gc.collect()
    assert not list(tmp_path.glob("vesuv-*"))


def test_an_interrupted_training_keeps_its_folder_and_goes_on_from_it(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tree = small_tree() | {"train": {"epochs": 1, "steps_per_epoch": 2}}
    cases = in_memory(tiny_data)

    def stop(_step: StepProgress) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="saved at step 1; --resume goes on"):
        vesuv.train(tree, cases=cases, listener=Listener(step=stop))
    [folder] = tmp_path.glob("vesuv-*")
    run = vesuv.train(tree, cases=cases, output=folder, resume=True)

    assert len(rows(run.folder)) == 1
    del run
    gc.collect()
    assert folder.exists()


def test_cases_that_cannot_be_used_are_all_named() -> None:
    image = np.zeros((4, 4, 4), np.uint8)
    cases = [
        vesuv.Case("a", image, image[:2]),
        vesuv.Case("b", image, image, spacing=(1.0, 0.0, 1.0)),
        vesuv.Case("c", image, np.full_like(image, 7)),
    ]

    with pytest.raises(InputError, match=r"(?s)case a: .*case b: .*case c: "):
        vesuv.train(small_tree(), cases=cases)


def test_too_few_cases_for_the_folds_can_all_be_in_training(tiny_data: Path) -> None:
    tree = small_tree() | {"train": {"epochs": 1, "steps_per_epoch": 1}}
    one = in_memory(tiny_data)[:1]

    with pytest.raises(InputError, match=r"1 case cannot be split into 2 folds"):
        vesuv.train(tree, cases=one, fold=0)
    run = vesuv.train(tree, cases=one, fold="all")

    assert run.folder.facts.train_cases == ("c0",)


def test_a_section_that_is_no_mapping_is_the_users_mistake() -> None:
    with pytest.raises(InputError, match=r"data: .*found 5"):
        vesuv.train(small_tree() | {"data": 5}, cases=[])


def test_arrays_that_changed_are_not_resumed(tiny_data: Path, tmp_path: Path) -> None:
    tree = small_tree() | {"train": {"epochs": 1, "steps_per_epoch": 1}}
    cases = in_memory(tiny_data)
    vesuv.train(tree, cases=cases, output=tmp_path)
    vesuv.train(tree, cases=cases, output=tmp_path, resume=True)

    cases[0].image[0, 0, 0] += 1
    with pytest.raises(InputError, match="was trained on other data than the cases in memory"):
        vesuv.train(tree, cases=cases, output=tmp_path, resume=True)


def test_a_run_never_holds_the_raw_data_or_lies_in_the_store(
    tiny_config: Config, tiny_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tiny_data.parent)

    for folder in (tiny_data, tiny_data.parent, tmp_path / "link"):
        with pytest.raises(InputError, match="must not hold the raw data, found data"):
            train(tiny_config, output=folder, overwrite=True)
    with pytest.raises(InputError, match=r"/run must not lie in data\.store \S+, which"):
        train(tiny_config, output=Path(tiny_config.data.store or "") / "run")


def test_a_folder_of_the_user_is_not_cleared_for_a_run(tiny_config: Config, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine")

    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"config\.yaml: was not written by vesuv train"):
            train(tiny_config, output=tmp_path, overwrite=overwrite)

    assert (tmp_path / "config.yaml").read_text() == "mine"


def test_a_run_does_not_write_its_log_through_a_link(tiny_config: Config, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/train.log").symlink_to(tmp_path / "thesis")

    with pytest.raises(InputError, match=r"train\.log: is a symbolic link"):
        train(tiny_config, output=tmp_path / "run")

    assert not (tmp_path / "thesis").exists()


def test_a_run_is_not_replaced_while_another_process_selects_for_it(
    tiny_config: Config, tmp_path: Path
) -> None:
    config = changed(tiny_config, train={"epochs": 1})
    run = train(config, output=tmp_path / "run").folder

    with run.selection_lock(), pytest.raises(InputError, match="another process selects a model"):
        train(config, output=run.path, overwrite=True)

    assert run.checkpoints() == ["best", "last"]
