"""What lies in a run's folder, and what names it."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import zipfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vesuv.cli.diagnose import diagnose
from vesuv.inference.best_file import open_best
from vesuv.inference.load import load
from vesuv.inference.networks import TrainedNetwork
from vesuv.models import build_model
from vesuv.report.page import write_page
from vesuv.runs.checkpoints import Checkpoint, read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runs.history import RunHistory
from vesuv.runs.records import RunEvent
from vesuv.runs.writer import RunWriter
from vesuv.runtime.machine import resolve
from vesuv.selection.held_out import open_held_out
from vesuv.training.train_state import TrainState
from vesuv.transforms.normalize import Normalizer

from .mutations import Tree, spoil_bytes, spoil_json, spoil_lines, spoil_tree, spoil_yaml
from .samples import ROOT, config_of, made
from .target import Target

_SETTINGS = {"run/selected.json": spoil_json, "run/config.yaml": spoil_yaml}
_LINES = {"*.jsonl": spoil_lines, "run/metrics.csv": spoil_lines, "*.npz": spoil_bytes}
_HISTORY = {
    **_LINES,
    "run/run.json": spoil_json,
    "run/diagnosis.json": spoil_json,
    "run/distribution/summary.json": spoil_json,
    "run/config.yaml": spoil_yaml,
}


def targets() -> list[Target]:
    """Return the readers of a run's files."""
    return [*_strict_readers(), *_history_readers()]


def _strict_readers() -> list[Target]:
    """Readers of what a command relies on."""
    return [
        Target(
            "run folder",
            _runs,
            {"run/run.json": spoil_json, **_SETTINGS},
            _open_run,
            names=("run",),
        ),
        Target("best.json", _runs, {"best.json": spoil_json}, _open_best, names=("best", "run")),
        Target("run loaded", _runs, _SETTINGS, _load, names=("run", "last.pt")),
        Target(
            "checkpoint",
            _runs,
            {"*last.pt": _spoil_checkpoint},
            _open_checkpoint,
            _checkpoint_hostile,
            names=("last.pt",),
        ),
        Target(
            "cached probabilities",
            lambda: [{**_run(), **made()[0]}],
            {"*/key.json": spoil_json, "run/distribution/*.zarr/*": spoil_bytes},
            _read_cache,
            writes=("key.json",),
            names=("run", "store"),
        ),
    ]


def _history_readers() -> list[Target]:
    """Readers of what a run has said so far."""
    return [
        Target("run history", _runs, _HISTORY, _read_history),
        Target(
            "run page",
            _runs,
            _HISTORY,
            lambda folder: write_page(folder / "run"),
            writes=("report.html",),
        ),
        Target(
            "run diagnosed",
            _runs,
            {**_LINES, "run/run.json": spoil_json},
            _diagnose,
            writes=("report.html", "diagnosis.json"),
            names=("run",),
        ),
        Target(
            "run resumed",
            _runs,
            _LINES,
            _go_on,
            writes=("*tfevents*", "events.jsonl"),
            names=("run",),
        ),
    ]


@cache
def _run() -> Tree:
    """A run with its choice, and a file that names it the best."""
    member = {"run": "run", "checkpoint": "last", "checkpoint_sha256": "0" * 64}
    best = {"version": 1, "threshold": 0.5, "postprocess": [], "members": [member]}
    return {**made()[1], "best.json": json.dumps(best).encode()}


def _runs() -> list[Tree]:
    return [_run()]


def _open_run(folder: Path) -> object:
    run = RunFolder.open(folder / "run")
    assert Path(run.config.name).name == run.config.name
    facts = run.facts
    assert isinstance(facts.fold, int) or facts.fold == "all"
    assert all(isinstance(name, str) for name in facts.validation_cases)
    selected = run.selected_model()
    assert selected is None or selected.checkpoint == "last"
    return facts


def _open_best(folder: Path) -> object:
    return open_best(folder / "best.json")


def _read_history(folder: Path) -> object:
    """Read it, and go through its numbers as the page and the findings do."""
    history = RunHistory.read(folder / "run")
    for column in history.metrics.columns:
        points = history.metrics.points(column)
        assert points == sorted(set(points))
        assert all(history.metrics.value_at(column, epoch) == value for epoch, value in points)
    epochs = [observation.epoch for observation in history.observations]
    assert epochs == sorted(set(epochs))
    return history


def _diagnose(folder: Path) -> object:
    return diagnose(run=(folder / "run",))


def _load(folder: Path) -> object:
    """Load the run as a notebook does, and make a mask of probabilities."""
    predictor = load(folder / "run", changes=["runtime.device=cpu"])
    probs = np.random.default_rng(0).random((1, 6, 7, 8), np.float32)
    mask = predictor.labels(torch.from_numpy(probs))
    assert set(np.unique(mask)) <= {0, 1}
    return mask


def _read_cache(folder: Path) -> object:
    """Take each held-out case's probabilities, unless it must be predicted again."""
    changes = [f"data.store={folder / 'store'}", f"data.root={ROOT}"]
    [run] = open_held_out([folder / "run"], changes)
    cache = run.cache("last")
    for case in run.cases:
        if cache.holds(case):
            levels = cache.read(case)
            assert levels.shape[1:] == case.native_shape
            assert levels.dtype == torch.uint8
    return cache


def _go_on(folder: Path) -> object:
    """Open the files of a run as a resumed one does, and write a row of each."""
    with closing(RunWriter(RunFolder(folder / "run"), (1, 0))) as writer:
        writer.metrics(1, {"train/loss": 0.5, "val/dice": None})
        writer.event(RunEvent(epoch=1, kind="resume", line="Resumed"))
    return writer


def _resume(checkpoint: Checkpoint, run: RunFolder) -> None:
    config = config_of(ROOT, "store")
    network, machine = build_model(config.model), resolve(config.runtime)
    TrainState(config, Normalizer(name="zscore"), run, network, 5, machine).restore(checkpoint)


def _open_checkpoint(folder: Path) -> object:
    """Use it as predict does, and resume from it."""
    checkpoint = read_checkpoint(folder / "run" / "checkpoints" / "last.pt")
    network = TrainedNetwork.from_checkpoint(checkpoint, torch.device("cpu"))
    network.normalizer.for_case(case_statistics_of_one())
    if checkpoint.training is not None:
        _resume(checkpoint, RunFolder(folder / "run"))
    return checkpoint


def case_statistics_of_one() -> Any:
    """Statistics of an image of one channel."""
    from vesuv.data.statistics import case_statistics

    return case_statistics(np.arange(8, dtype=np.uint8).reshape(1, 2, 2, 2), None)


def _spoil_checkpoint(content: bytes, draw: random.Random) -> bytes:
    """Spoil the bytes; or change what is in it and write it with good checksums."""
    if draw.random() < 0.4:
        return spoil_bytes(content, draw)
    tree = torch.load(io.BytesIO(content), weights_only=True)
    try:
        return _saved(spoil_tree(tree, draw))
    except (RecursionError, UnicodeEncodeError):  # what cannot be written cannot be met
        return spoil_bytes(content, draw)


class _Runs:
    """Pickled, it runs a command when it is read."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> tuple[Any, ...]:
        if self.how == "system":
            return os.system, ("touch owned",)
        return (open, ("owned", "w")) if self.how == "open" else (eval, ("open('owned', 'w')",))


def _checkpoint_hostile() -> list[Tree]:
    whole = _run()["run/checkpoints/last.pt"]
    content = torch.load(io.BytesIO(whole), weights_only=True)
    inputs = [b"", b"PK\x03\x04", pickle.dumps(_Runs("system"))]
    for how in ("system", "open", "eval"):
        inputs += [_saved(content | {key: _Runs(how)}) for key in ("model", "extra", "config")]
    laughs: Any = ["x"] * 10
    for _ in range(9):
        laughs = [laughs] * 10
    loop: list[Any] = []
    loop.append(loop)
    huge = torch.zeros(1).expand(100_000, 100_000, 100)
    deep: Any = 0
    for _ in range(150):
        deep = [deep]
    parts = ("config", "normalizer", "model", "training", "version", "epoch")
    for value in (laughs, loop, huge, deep):
        inputs += [_saved(content | {key: value}) for key in parts]
    network = {"name": "plain_unet", "filters": 100_000, "depth": 1}
    for model in (network, network | {"filters": 2, "depth": 60}, network | {"filters": 10**15}):
        inputs += [_saved(content | {"config": content["config"] | {"model": model}})]
    inputs += [_with_entry(whole, "../../../owned"), _with_entry(whole, "/owned"), _bomb(whole)]
    return [{**_run(), "run/checkpoints/last.pt": data} for data in inputs]


def _saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _with_entry(whole: bytes, name: str) -> bytes:
    file = io.BytesIO(whole)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, b"x")
    return file.getvalue()


def _bomb(whole: bytes) -> bytes:
    """Many megabytes of zeros as one more record, packed a thousandfold."""
    file = io.BytesIO(whole)
    with (
        zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("last/data/999", "w", force_zip64=True) as record,
    ):
        for _ in range(12):
            record.write(bytes(16 * 2**20))
    return file.getvalue()
