"""Lists of cases, and a prepared store with its folds."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from vesuv.config.data import DataConfig
from vesuv.config.labels import LabelsConfig
from vesuv.data.builder import open_matching_store
from vesuv.data.layouts import scan_cases
from vesuv.data.nnunet import check_dataset_json
from vesuv.data.sampling import PatchSampler
from vesuv.data.store import case_path
from vesuv.diagnosis.evidence import read_labels
from vesuv.training.fold_data import TrainingData, fold_data

from .mutations import Tree, spoil_bytes, spoil_json, spoil_lines, spoil_yaml
from .samples import LABELS, ROOT, config_of, made
from .target import Target


def targets() -> list[Target]:
    """Return what says which cases there are."""
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
    ]


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
    check_dataset_json(folder, LabelsConfig.model_validate(LABELS))
    cases, _ = scan_cases(DataConfig(root=str(folder), layout="nnunet"))
    return _stays(folder, [case.id for case in cases])


def _stays(folder: Path, ids: list[str]) -> list[str]:
    """Cases are written below the store, whatever they are called."""
    below = folder / "store" / "cases"
    assert all(case_path(folder / "store", name).resolve().parent == below for name in ids), ids
    return ids


def _store() -> Tree:
    return made()[0]


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
    read_labels(folder / "store")
    config = config_of(ROOT, str(folder / "store"))
    store = open_matching_store(config)
    _stays(folder, list(store.cases))
    data = fold_data(TrainingData.of_store(store, config), config, 0)
    sampler = PatchSampler.build(data.train, config.sampling, 0)
    for plan in sampler.plan(0, 0):
        case = data.train[plan.case]
        data.normalizer.for_case(case.statistics).apply(torch.from_numpy(case.image.copy()))
        case.label.sum()
        case.native_label.sum()
    return store
