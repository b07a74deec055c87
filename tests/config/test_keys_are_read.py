"""Every key of the configuration is read by what it is meant for.

Short runs together use every section there is. Each read of a key is recorded with the module that
it is for; what only talks about a run (pages, findings, log lines) does not count. A key that
nothing acts on is found by the absence of such a read.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

import vesuv
from tests.conftest import tiny_tree
from vesuv.config import Config, check
from vesuv.config.keys import sections_of
from vesuv.config.section import Section
from vesuv.errors import InputError
from vesuv.models import build_model
from vesuv.models.mednext import MedNeXtConfig

Field = tuple[str, str]
"""Name of a section's class, and of one of its keys."""

_TALK = (
    "vesuv.cli",
    "vesuv.diagnosis.findings",
    "vesuv.diagnosis.remedies",
    "vesuv.inference.provenance",
    "vesuv.report",
    "vesuv.training.log_lines",
)
"""Modules that say what a key is, and do nothing by it."""
_COPIES = ("vesuv.config.differences", "vesuv.config.keys")
"""Modules that go through all keys, whatever they are."""


def fields_of(section: type[BaseModel]) -> set[Field]:
    """Return every key of a section and of all sections below it, base classes left out."""
    fields = {(section.__qualname__, key) for key in section.model_fields}
    if inspect.isabstract(section):
        fields = set()
    for field in section.model_fields.values():
        for part in sections_of(field):
            fields |= fields_of(part)
    return fields


def reader(frame: FrameType | None) -> str:
    """Return the module that a read is for; the configuration's own functions read for another."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_COPIES) or not module.startswith(("vesuv.config", __name__)):
            return str(module)
        frame = frame.f_back
    return ""


class Recorder:
    """Remembers which keys were read, and for which modules."""

    def __init__(self) -> None:
        self.readers: dict[Field, set[str]] = {}

    def see(self, section: type, key: str, frame: FrameType) -> None:
        module = reader(frame)
        if module.startswith("vesuv.") and not module.startswith(_TALK + _COPIES):
            self.readers.setdefault((section.__qualname__, key), set()).add(module)


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    get = BaseModel.__getattribute__

    def recorded(section: Section, key: str) -> Any:
        if key[0] != "_" and key in type(section).__pydantic_fields__:
            recorder.see(type(section), key, sys._getframe(1))
        return get(section, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Section, "__getattribute__", recorded, raising=False)
        yield recorder


def config_of(tree: dict[str, Any], **changes: Any) -> Config:
    """Return a configuration with some keys changed, each given by its dotted name with __."""
    for dotted, value in changes.items():
        *above, last = dotted.split("__")
        node = tree
        for key in above:
            node = node.setdefault(key, {})
        node[last] = value
    return check(tree, "test")


def full_run(data: Path, folder: Path) -> None:
    """Prepare, train, select and predict with all that a run can have."""
    steps = [
        {"name": "hysteresis", "low": 0.3, "high": 0.6},
        {"name": "opening"},
        {"name": "closing"},
        {"name": "fill_cavities"},
        {"name": "plug_holes"},
        {"name": "diagonal_fill"},
        {"name": "remove_small", "voxels": 2},
        {"name": "keep_largest"},
    ]
    losses = [{"epochs": [0, 0], "weights": {"dice": 1.0}}]
    losses += [{"epochs": [1, None], "ramp": 2, "weights": dict.fromkeys(vesuv.losses.LOSSES, 1.0)}]
    config = config_of(
        tiny_tree(data, folder / "store"),
        data__normalize={"name": "percentile"},
        data__spacing=[1.0, 1.0, 1.0],
        augment={
            name: {"p": 1.0}
            for name in vars(vesuv.Config.model_fields["augment"].default)
            if name not in ("flips", "quarter_turns")
        },
        phases=losses,
        loss={"class_weights": [1.0, 2.0], "cross_entropy": {"positive_weight": 2.0}},
        train={"epochs": 4, "steps_per_epoch": 2},
        scheduler={"name": "plateau", "patience": 1},
        averaging={"swa": {"start_epoch": 1, "lr": 1e-4}, "ema": {"decay": 0.9}},
        noise={"start_epoch": 0, "every": 1, "std": 0.01, "decay": 0.9},
        plateau={"patience": 1, "tolerance": 1e-6},
        early_stopping={"patience": 4},
        checkpoint={"every_epochs": 1},
        validation__full_every=4,
        validation__tiles=2,
        diagnosis={"gradients_every": 1, "train_tiles": 1, "gradient_tiles": 1},
        selection={
            "hysteresis": [[0.2, 0.6]],
            "postprocess": [steps],
            "band": [0.01, 0.99],
            "thresholds": [0.5],
        },
        inference={"postprocess": [{"name": "threshold", "value": 0.5}], "views": "mirror"},
        runtime__max_minutes=30.0,
    )
    without_data = tiny_tree(folder / "missing", folder / "other_store")
    with pytest.raises(InputError, match="made of nothing"):
        vesuv.prepare(config_of(without_data, data__source="made of nothing"))
    run = vesuv.train(config, output=folder / "run")
    vesuv.validate_distribution([run.path], checkpoints=["best"])
    vesuv.load(run.path, checkpoint="last").segment(np.zeros((16, 16, 16), np.uint8))


def short_runs(cases: list[vesuv.Case]) -> None:
    """Train on arrays: the other networks, schedules and optimizers."""
    sgd = {"name": "sgd", "lr": 0.01}
    kinds: list[dict[str, Any]] = [
        {
            "model": {"name": "dynunet", "filters": 4, "depth": 2},
            "optimizer": sgd,
            "scheduler": {"name": "cosine", "warmup_epochs": 0},
            "data__normalize": {"name": "range", "low": 0.0, "high": 255.0},
        },
        {
            "model": {"name": "segresnet", "filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
            "optimizer": {"name": "muon"},
        },
        {
            "model": {"name": "plain_conv_unet", "features_per_stage": [2, 4]},
            "data__normalize": {"name": "by_channel", "channels": [{"name": "fixed"}]},
        },
        {
            "model": {"name": "residual_encoder_unet", "features_per_stage": [2, 4]},
            "data__normalize": {"name": "fixed", "scale": 255.0},
        },
        {
            "labels": {
                "classes": {"background": 0, "sheet": 1},
                "regions": {"sheet": ["sheet"]},
                "regions_class_order": ["sheet"],
            }
        },
    ]
    for kind in kinds:
        tree = tiny_tree(Path("nowhere"), Path("nowhere"))
        short = {"train": {"epochs": 1, "steps_per_epoch": 1}, "validation__tiles": 1}
        vesuv.train(config_of(tree, **short, **kind), cases=cases)
    build_model(MedNeXtConfig())  # no need to train the largest


def pretrained_runs(cases: list[vesuv.Case], folder: Path) -> None:
    """Train the reconstruction of masked blocks, and start from its encoder."""
    tree = tiny_tree(Path("nowhere"), Path("nowhere"))
    short = {"epochs": 1, "steps_per_epoch": 1}
    task = {"train": {**short, "task": "reconstruction"}, "pretrain": {"block_size": 8}}
    source = vesuv.train(config_of(tree, **task), cases=cases, output=folder).path
    section = {**short, "pretrained": str(source), "pretrained_layers": ["encoder"], "cases": 1}
    vesuv.train(config_of(tree, train=section), cases=cases)


def failing_run(cases: list[vesuv.Case]) -> None:
    """Train with a step that is not finite."""
    config = config_of(
        tiny_tree(Path("nowhere"), Path("nowhere")),
        optimizer={"name": "sgd", "lr": 1e38},
        scheduler={"name": "poly", "warmup_epochs": 0},
        train={"epochs": 1, "steps_per_epoch": 3, "non_finite_limit": 1},
    )
    with pytest.raises(vesuv.InputError, match=r"train\.non_finite_limit"):
        vesuv.train(config, cases=cases)


def prepared_folders(data: Path) -> None:
    """Prepare the layout that names its folders, into the store's usual place."""
    changes = {"data__layout": "folders", "data__folds__by": "grouped", "data__store": None}
    vesuv.prepare(config_of(tiny_tree(data, Path("store")), **changes))


@pytest.mark.slow
def test_every_key_is_read_by_what_it_is_for(
    recorder: Recorder, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    cases = []
    for name in ("a", "b", "c"):
        label = np.zeros((32, 32, 32), np.uint8)
        label[8:12] = 1
        image = (100 * label + rng.integers(0, 60, label.shape)).astype(np.uint8)
        cases.append(vesuv.Case(name, image, label))

    full_run(tiny_data, tmp_path)
    short_runs(cases)
    pretrained_runs(cases, tmp_path / "pretrained")
    failing_run(cases)
    prepared_folders(tiny_data)

    chosen_by = {(name, key) for name, key in fields_of(Config) if key == "name"}
    expected = fields_of(Config) - chosen_by | {("Config", "name")}
    assert len(expected) > 150
    unread = expected - set(recorder.readers)
    assert not unread, "no module acts on these keys: " + ", ".join(
        f"{section}.{key}" for section, key in sorted(unread)
    )
