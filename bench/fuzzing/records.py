"""What vesuv itself writes and reads again: stores, folds, runs, choices, checkpoints, pages."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from vesuv.commands.best import open_best
from vesuv.commands.prepare import open_fitting, prepare
from vesuv.config import Config, check
from vesuv.config.data import DataConfig, FoldsConfig, LabelsConfig
from vesuv.data.cases import check_dataset_json, scan_cases
from vesuv.data.folds import load_folds
from vesuv.data.normalize import Normalizer
from vesuv.data.sampling import PatchSampler
from vesuv.data.store import case_path
from vesuv.models import build_model
from vesuv.report.page import write_page
from vesuv.training.checkpoints import read_checkpoint, restore_network
from vesuv.training.fold_data import fold_data
from vesuv.training.machine import resolve
from vesuv.training.run import RunFolder
from vesuv.training.state import RunState

from .mutations import Tree, spoil_bytes, spoil_json, spoil_lines, spoil_tree, spoil_yaml
from .target import Target
from .volumes import files_below

_ROOT = "/nowhere/raw"
_LABELS = {"classes": {"background": 0, "sheet": 1}, "ignore": 2}


def targets() -> list[Target]:
    """Return the store, the lists of cases, and what lies in a run's folder."""
    lines = {"*.jsonl": spoil_lines, "*.csv": spoil_lines, "*.npz": spoil_bytes}
    return [
        Target(
            "train.csv",
            _kaggle,
            {"*.csv": spoil_lines},
            _list_kaggle,
            names=("train.csv", "layout kaggle"),
        ),
        Target(
            "dataset.json",
            _nnunet,
            {"*.json": spoil_json},
            _list_nnunet,
            names=("layout nnunet", "labelsTr", "imagesTr", "dataset.json"),
        ),
        Target(
            "store",
            _stores,
            {"*.json": spoil_json, "*c/0/*": spoil_bytes},
            _open_store,
            _store_hostile,
            ("folds.yaml",),
            ("store", "data.folds", "data.root"),
        ),
        Target("folds.yaml", _stores, {"*folds.yaml": spoil_yaml}, _open_store, names=("folds",)),
        Target(
            "run folder",
            _runs,
            {
                "run/run.json": spoil_json,
                "run/selected.json": spoil_json,
                "run/config.yaml": spoil_yaml,
            },
            _open_run,
            names=("run",),
        ),
        Target("best.json", _runs, {"best.json": spoil_json}, _open_best, names=("best", "run")),
        Target(
            "checkpoint",
            _runs,
            {"*last.pt": _spoil_checkpoint},
            _open_checkpoint,
            _checkpoint_hostile,
            names=("last.pt",),
        ),
        Target(
            "run page",
            _runs,
            {**lines, "run/*.json": spoil_json, "run/config.yaml": spoil_yaml},
            lambda folder: write_page(folder / "run"),
            writes=("report.html",),
        ),
    ]


def _config(root: str, store: str) -> Config:
    return check(
        {
            "name": "tiny",
            "data": {"root": root, "store": store, "folds": {"num": 2}},
            "labels": _LABELS,
            "sampling": {"patch_size": [8, 8, 8], "batch_size": 2},
            "model": {"filters": 2, "depth": 1},
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
            "averaging": {"ema": {}},
            "plateau": {},
            "runtime": {"device": "cpu", "precision": "float32", "threads": 1},
        },
        "fuzz",
    )


def _kaggle() -> list[Tree]:
    tree: Tree = {f"train_{kind}/c{i}.tif": b"x" for kind in ("images", "labels") for i in (1, 2)}
    return [{**tree, "train.csv": b"id,scroll_id\nc1,7\nc2,8\n"}]


def _nnunet() -> list[Tree]:
    listed = {
        "labels": {"background": 0, "sheet": 1, "ignore": 2},
        "channel_names": {"0": "CT"},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    files = ("imagesTr/c1_0000.nii.gz", "imagesTr/c2_0000.nii.gz", "labelsTr/c1.nii.gz")
    tree: Tree = dict.fromkeys((*files, "labelsTr/c2.nii.gz"), b"x")
    return [{**tree, "dataset.json": json.dumps(listed).encode()}]


def _list_kaggle(folder: Path) -> object:
    cases, faults = scan_cases(DataConfig(root=str(folder)))
    assert all("train.csv" in fault for fault in faults)
    return _stays(folder, [case.id for case in cases])


def _list_nnunet(folder: Path) -> object:
    check_dataset_json(folder, LabelsConfig.model_validate(_LABELS))
    cases, _ = scan_cases(DataConfig(root=str(folder), layout="nnunet"))
    return _stays(folder, [case.id for case in cases])


def _stays(folder: Path, ids: list[str]) -> list[str]:
    """Cases are written below the store, whatever they are called."""
    below = folder / "store" / "cases"
    assert all(case_path(folder / "store", name).resolve().parent == below for name in ids), ids
    return ids


@cache
def _store() -> Tree:
    """A prepared store of four cases whose raw data are gone."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "raw")
        z, y, _ = np.mgrid[:12, :12, :12]
        for kind in ("images", "labels"):
            (root / f"train_{kind}").mkdir(parents=True)
            for i in range(4):
                sheet = ((z + y + i) % 5 == 0).astype(np.uint8)
                tifffile.imwrite(root / f"train_{kind}/c{i}.tif", sheet)
        (root / "train.csv").write_text("id,scroll_id\nc0,1\nc1,1\nc2,2\nc3,2\n")
        prepare(_config(str(root), f"{folder}/store"), workers=1)
        tree = files_below(Path(folder, "store"))
        index = json.loads(tree["store.json"])
        index["settings"]["data.root"] = _ROOT
        return {f"store/{name}": data for name, data in tree.items()} | {
            "store/store.json": json.dumps(index).encode()
        }


def _stores() -> list[Tree]:
    return [_store()]


def _store_hostile() -> list[Tree]:
    index = json.loads(_store()["store/store.json"])
    lists = (["../../../outside/secret"], ["/etc/passwd"], ["c0", "c0"], [".."], [5], "c0", [])
    return [
        {**_store(), "store/store.json": json.dumps(index | {"cases": ids}).encode()}
        for ids in lists
    ]


def _open_store(folder: Path) -> object:
    config = _config(_ROOT, str(folder / "store"))
    store = open_fitting(config)
    load_folds(store, FoldsConfig(num=2))
    _stays(folder, list(store.cases))
    data = fold_data(store, config, 0)
    sampler = PatchSampler.build(data.train, config.sampling, 0)
    for plan in sampler.plan(0, 0):
        case = data.train[plan.case]
        data.normalizer.for_case(case.statistics).apply(torch.from_numpy(case.image.copy()))
        case.label.sum()
    return store


@cache
def _run() -> Tree:
    """A run with its choice and the files of its page."""
    config = _config(_ROOT, "store")
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder, "run"))
        cases = {"train_cases": ["c0", "c1"], "validation_cases": ["c2", "c3"]}
        run.create(config, {"fold": 0, "seed": 0, "data_fingerprint": "abc", **cases})
        _state(config, run).save_last()
        (run.path / "selected.json").write_text(json.dumps(_CHOICE))
        (run.path / "metrics.csv").write_text("epoch,train/loss,val/dice\n0,0.5,0.1\n1,0.4,0.2\n")
        event = {"epoch": 0, "step": 0, "kind": "phase", "line": "Phase 1 begins: dice 1"}
        (run.path / "events.jsonl").write_text(json.dumps(event) + "\n")
        counts = {"foreground": [1] * 100, "background": [2] * 100}
        tiles = [{"case": "c2", "group": "2", "predicted": 3, "labelled": 4, "dice": 0.5}]
        seen = {"version": 1, "epoch": 0, "histogram": counts, "tiles": tiles, "groups": {"2": 0.5}}
        (run.path / "evidence.jsonl").write_text(json.dumps(seen) + "\n")
        (run.path / "diagnosis.json").write_text(json.dumps(_DIAGNOSIS))
        pictures = {n: np.zeros((1, 8, 8), np.uint8) for n in ("image", "label", "probability")}
        np.savez(run.path / "slices.npz", **pictures, cases=np.array(["c2"]), threshold=0.5)
        tree = files_below(Path(folder))
    member = {"run": "run", "checkpoint": "last", "checkpoint_sha256": "0" * 64}
    best = {"version": 1, "threshold": 0.5, "postprocess": [], "members": [member]}
    return {**tree, "best.json": json.dumps(best).encode()}


_CHOICE = {
    "version": 1,
    "checkpoint": "last",
    "threshold": 0.4,
    "postprocess": [{"name": "remove_small", "voxels": 5}, {"name": "fill_cavities"}],
}
_DIAGNOSIS = {
    "version": 1,
    "epoch": 1,
    "findings": [
        {
            "name": "lopsided",
            "title": "Recall is above precision",
            "evidence": "0.9 against 0.5 in epoch 1",
            "remedy": "Raise the threshold",
            "severity": "trouble",
            "epochs": [0, 1],
            "numbers": {"recall": 0.9},
        }
    ],
}


def _runs() -> list[Tree]:
    return [_run()]


def _open_run(folder: Path) -> object:
    run = RunFolder.open(folder / "run")
    config = run.config
    assert Path(config.name).name == config.name
    facts = (run.fold, run.fingerprint, run.validation_cases, run.started)
    assert isinstance(run.fold, int) or run.fold == "all"
    assert all(isinstance(name, str) for name in run.validation_cases)
    chosen = run.selected()
    assert chosen is None or chosen.checkpoint == "last"
    return facts


def _open_best(folder: Path) -> object:
    return open_best(folder / "best.json")


def _state(config: Config, run: RunFolder) -> RunState:
    network = build_model(config.model)
    return RunState(config, Normalizer("zscore"), run, network, 5, resolve(config.runtime))


def _open_checkpoint(folder: Path) -> object:
    """Use it as predict does, and resume from it."""
    checkpoint = read_checkpoint(folder / "run" / "checkpoints" / "last.pt")
    restore_network(checkpoint, torch.device("cpu"))
    checkpoint.normalizer.for_case(case_statistics_of_one())
    if checkpoint.training is not None:
        config = _config(_ROOT, "store")
        _state(config, RunFolder(folder / "run")).restore(checkpoint)
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
    """Two gigabytes of zeros as one more record, packed to two megabytes."""
    file = io.BytesIO(whole)
    with (
        zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("last/data/999", "w", force_zip64=True) as record,
    ):
        for _ in range(128):
            record.write(bytes(16 * 2**20))
    return file.getvalue()
