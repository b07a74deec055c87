"""Versions of files: older ones become present ones, newer ones are refused in a sentence."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
import torch

import vesuv
from tests.runs.test_former_runs import FORMER, rows
from vesuv import migrations
from vesuv.data.store import Store
from vesuv.errors import InputError
from vesuv.inference.repeat import open_recorded
from vesuv.io import tables
from vesuv.migrations import CHECKPOINT, STORE, Format
from vesuv.runs.checkpoints import read_checkpoint
from vesuv.runs.folder import RunFolder

HALF_EPOCH = FORMER.with_name("former_half_epoch.zip")
OLD_STORE = Path(__file__).parent / "data/old_store"
COUNTED = Format("list", (lambda old: old | {"a": 1}, lambda old: old | {"b": old["a"] + 1}))


@pytest.fixture
def half_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of checkpoint version 1 that was killed after three of four steps."""
    for file in (FORMER, HALF_EPOCH):
        with zipfile.ZipFile(file) as archive:
            archive.extractall(tmp_path)
    for path, (_, time) in Store.open(tmp_path / "store").sources.items():
        os.utime(tmp_path / "data" / path, ns=(time, time))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mid"


def test_each_step_leads_from_its_version_to_the_next() -> None:
    path = Path("x.json")

    assert COUNTED.version == 3
    assert COUNTED.migrated({"version": 1}, path) == {"version": 3, "a": 1, "b": 2}
    assert COUNTED.migrated({"version": 2, "a": 5}, path) == {"version": 3, "a": 5, "b": 6}
    assert COUNTED.migrated({"version": 3, "a": 7}, path) == {"version": 3, "a": 7}


def test_a_newer_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(
        InputError,
        match=r"^x\.json: list version must be 1 to 3, found 4 of a newer vesuv; update vesuv "
        rf"\(this is {vesuv.__version__}\)$",
    ):
        COUNTED.migrated({"version": 4}, Path("x.json"))


@pytest.mark.parametrize(
    ("content", "value"),
    [({}, "None"), ({"version": "2"}, "str"), ({"version": True}, "True"), ({"version": 0}, "0"),
     ({"version": [1]}, "list"), ([], "list")],
)  # fmt: skip
def test_a_file_without_a_version_is_refused(content: object, value: str) -> None:
    with pytest.raises(InputError, match=f"must be 1 to 3, found {value}; vesuv did not write it"):
        COUNTED.migrated(content, Path("x.json"))


def test_records_are_written_in_the_version_that_is_read() -> None:
    assert migrations.RECORD.version == tables.VERSION


def test_sums_of_half_an_epoch_are_counted_for_each_loss(half_epoch: Path) -> None:
    file = half_epoch / "checkpoints/last.pt"
    content = torch.load(file, weights_only=True)
    assert content["version"] == 1
    assert "steps_dice" not in content["training"]["sums"]
    assert content["config"]["inference"]["mirror"] is False

    checkpoint = read_checkpoint(file)

    assert checkpoint.training is not None
    assert checkpoint.training["sums"]["steps_dice"] == 3
    assert checkpoint.config.inference.views == "none"
    assert CHECKPOINT.migrated(content, file)["config"]["inference"].keys().isdisjoint({"mirror"})


def test_a_run_of_version_1_goes_on_within_an_epoch_as_it_would_have(half_epoch: Path) -> None:
    config = vesuv.load_config("old.yaml", ["train.epochs=1"])

    vesuv.train(config, output=half_epoch, resume=True)

    (row,) = rows(half_epoch / "metrics.csv")
    whole = rows(half_epoch.parent / "run5/metrics.csv")[0]
    for name in ("train/loss", "train/loss_dice", "train/gradient_norm", "train/foreground_share"):
        assert row[name] == pytest.approx(whole[name], rel=5e-3, abs=1e-5), name


def test_a_store_of_version_1_has_one_part_a_volume() -> None:
    content = json.loads((OLD_STORE / "as_it_came/store.json").read_text())
    assert content["version"] == 1
    assert "data.parts" not in content["settings"]

    store = Store.open(OLD_STORE / "as_it_came")

    assert (store.settings["data.parts"], store.settings["data.level"]) == (1, 0)
    assert store.settings.items() > content["settings"].items()
    later = content | {"settings": content["settings"] | {"data.parts": 4}}
    assert STORE.migrated(later, Path("store.json"))["settings"]["data.parts"] == 4


@pytest.mark.parametrize("content", [{"settings": 3}, {"config": 3, "training": {"sums": []}}])
def test_damaged_content_is_left_to_the_checks_behind(content: dict[str, object]) -> None:
    for form in (CHECKPOINT, STORE):
        assert form.migrated({"version": 1, **content}, Path("x")) == {
            "version": form.version,
            **content,
        }


def test_files_of_newer_versions_are_named(tmp_path: Path) -> None:
    newer = r"version must be 1.*, found 9 of a newer vesuv; update vesuv"
    for name in ("run.json", "selected.json", "provenance.json", "store.json"):
        (tmp_path / name).write_text('{"version": 9}')
    torch.save({"version": 9}, tmp_path / "last.pt")
    run = RunFolder(tmp_path)

    with pytest.raises(InputError, match=rf"run\.json: record {newer}"):
        _ = run.facts
    with pytest.raises(InputError, match=rf"selected\.json: record {newer}"):
        run.selected_model()
    with pytest.raises(InputError, match=rf"provenance\.json: record {newer}"):
        open_recorded(tmp_path / "provenance.json")
    with pytest.raises(InputError, match=rf"store\.json: store {newer}.*, or prepare again"):
        Store.open(tmp_path)
    with pytest.raises(InputError, match=rf"last\.pt: checkpoint {newer}"):
        read_checkpoint(tmp_path / "last.pt")
