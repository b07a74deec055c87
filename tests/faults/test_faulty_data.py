"""Voxels that are not finite, cases that vanish, checkpoints that rot: named, and nothing lost."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from tests.training.test_trainer import changed, rows, same, weights
from vesuv.config import Config
from vesuv.data.builder import prepare
from vesuv.data.store import Store
from vesuv.errors import InputError
from vesuv.runs.folder import RunFolder
from vesuv.training.step import TrainingStep
from vesuv.training.train import train


def chunk_of(config: Config, case: str, part: str) -> Path:
    place = ("c", "0", "0", "0", "0") if part == "image" else ("c", "0", "0", "0")
    return Path(config.data.store or "", "cases", f"{case}.zarr", part, *place)


def skipped(run: Path) -> list[dict[str, Any]]:
    lines = (run / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == "non_finite"]


@pytest.fixture
def float_config(tiny_data: Path, tiny_config: Config, tmp_path: Path) -> Config:
    """The tiny data as 32-bit floats, prepared, without augmentation."""
    root = tmp_path / "floats"
    for kind, dtype in (("images", np.float32), ("labels", np.uint8)):
        (root / f"train_{kind}").mkdir(parents=True)
        for path in (tiny_data / f"train_{kind}").iterdir():
            voxels = tifffile.imread(path).astype(dtype)
            tifffile.imwrite(root / f"train_{kind}" / path.name, voxels)
    (root / "train.csv").write_text((tiny_data / "train.csv").read_text())
    config = changed(tiny_config, data={"root": str(root)}, train={"epochs": 3})
    prepare(config)
    return config


def train_ids(config: Config, run: Path) -> list[str]:
    ids: list[str] = json.loads((run / "run.json").read_text())["train_cases"]
    assert ids and all(name in Store.open(Path(config.data.store or "")).cases for name in ids)
    return ids


def test_nan_in_an_image_is_refused_when_it_is_prepared(
    float_config: Config, tmp_path: Path
) -> None:
    path = tmp_path / "floats" / "train_images" / "c1.tif"
    voxels = tifffile.imread(path)
    voxels[3, 4, 5] = np.nan
    tifffile.imwrite(path, voxels)

    with pytest.raises(
        InputError, match=r"c1\.tif: an image holds finite values, .* in 1 of 32768"
    ):
        prepare(float_config, overwrite=True)


def test_nan_that_gets_into_the_store_is_traced_to_its_case(
    float_config: Config, tmp_path: Path
) -> None:
    run = train(changed(float_config, train={"epochs": 1}), output=tmp_path / "run").folder
    before = weights(run, "last")
    for bad in train_ids(float_config, run.path):
        np.memmap(chunk_of(float_config, bad, "image"), np.float32, "r+")[:] = np.nan

    config = changed(float_config, train={"non_finite_limit": 4})
    with pytest.raises(InputError, match=r"6 steps had a non-finite .*train\.log names step and"):
        train(config, output=run.path, resume=True)

    events = skipped(run.path)
    assert [event["step"] for event in events] == [0, 1, 2, 3, 4, 5]
    pattern = r"step \d skipped, weights unchanged: the input is not finite for case c\d"
    assert all(re.match(pattern, event["line"]) for event in events)
    assert same(before, weights(run, "last"))


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_step_that_goes_wrong_is_skipped_counted_and_named(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    take, calls = TrainingStep.__call__, iter(range(1000))

    def spoil(step: TrainingStep, batch: Any, given: Any) -> Any:
        if next(calls) != 8:
            return take(step, batch, given)
        if where == "loss":
            return take(step, batch, {name: float("nan") for name in given})
        weight = step.parameters[0]
        handle = weight.register_hook(lambda gradient: gradient * float("nan"))
        try:
            return take(step, batch, given)
        finally:
            handle.remove()

    monkeypatch.setattr(TrainingStep, "__call__", spoil)
    run = train(changed(tiny_config, train={"epochs": 2}), output=tmp_path / "run").folder

    [event] = skipped(run.path)
    assert (event["epoch"], event["step"]) == (1, 2)
    assert re.search(rf"the {where} is not finite; patches of case c\d", event["line"])
    assert [row["skipped_steps"] for row in rows(run)] == ["0", "1"]
    assert all(bool(w.isfinite().all()) for w in weights(run, "last").values())


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_case_that_vanished_is_named_and_the_run_goes_on_once_it_is_back(
    tiny_config: Config, tmp_path: Path, workers: int
) -> None:
    config = changed(
        tiny_config,
        train={"epochs": 2},
        scheduler={"name": "plateau", "warmup_epochs": 0},
        runtime={"workers": workers},
        diagnosis={"enabled": False},  # which looks at training cases itself
    )
    whole = train(config, output=tmp_path / "whole").folder
    run = train(changed(config, train={"epochs": 1}), output=tmp_path / "run").folder
    hidden = [chunk_of(config, name, "image") for name in train_ids(config, run.path)]
    for chunk in hidden:
        chunk.rename(chunk.with_name("hidden"))

    with pytest.raises(InputError, match=r"case c\d: .*/0: a damaged store: 32768 bytes expected"):
        train(config, output=run.path, resume=True)

    for chunk in hidden:
        chunk.with_name("hidden").rename(chunk)
    train(config, output=run.path, resume=True)
    assert same(weights(whole, "last"), weights(run, "last"))
    assert "stopped: InputError: case c" in (run.path / "train.log").read_text()


def test_a_case_with_voxels_of_another_size_is_refused_before_it_is_mapped(
    tiny_config: Config, tmp_path: Path
) -> None:
    prepare(tiny_config)
    chunk = chunk_of(tiny_config, "c0", "label")
    chunk.write_bytes(chunk.read_bytes()[:-1])

    with pytest.raises(InputError, match=r"c0\.zarr/label/.*: 32768 bytes expected, found 32767"):
        train(tiny_config, fold="all", output=tmp_path / "run")


@pytest.mark.parametrize("damage", [pytest.param("cut", marks=pytest.mark.slow), "bit"])
def test_a_damaged_best_is_passed_over_for_the_one_before_it(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    config = changed(
        tiny_config,
        scheduler={"name": "plateau", "warmup_epochs": 0},
        train={"epochs": 4, "non_finite_limit": 2, "non_finite": "rollback"},
    )
    run = RunFolder(tmp_path / "run")
    take, calls, hit = TrainingStep.__call__, iter(range(1000)), []

    def spoil(step: TrainingStep, batch: Any, given: Any) -> Any:
        number = next(calls)
        kept = run.checkpoint("best").with_name("best.pt.previous")
        if not hit and kept.is_file():
            content = bytearray(run.checkpoint("best").read_bytes())
            content[len(content) // 2] ^= 16
            cut = content[: len(content) // 2] if damage == "cut" else content
            run.checkpoint("best").write_bytes(cut)
            hit.append(number)
        if hit and number < hit[0] + 3:
            return take(step, batch, {name: float("nan") for name in given})
        return take(step, batch, given)

    monkeypatch.setattr(TrainingStep, "__call__", spoil)
    train(config, output=run.path)

    log = (run.path / "train.log").read_text()
    assert hit and re.search(r"best\.pt: damaged or no checkpoint \(.*\)", log)
    assert re.search(r"\d steps skipped; rolled back to epoch \d, learning rate now 0\.0025", log)
    assert torch.isfinite(weights(run, "last")[next(iter(weights(run, "last")))]).all()
