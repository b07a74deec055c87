"""A tiny data set and a tiny configuration that really train."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import yaml
from hypothesis import settings

from tests.known_runs import make_run, trained_run
from vesuv.config import Config, check

__all__ = ["make_run", "trained_run"]  # fixtures of their own file

# The same examples in every run, however slow the machine; others: --hypothesis-profile=default
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

EDGE = 32
FULL_STATE: dict[str, Any] = {
    "averaging": {"swa": {"start_epoch": 1}, "ema": {"decay": 0.9}},
    "noise": {"start_epoch": 1, "every": 1, "std": 0.01, "decay": 0.9},
    "plateau": {"patience": 1, "tolerance": 0.01},
    "scheduler": {"name": "plateau", "patience": 0, "warmup_epochs": 1},
}
"""Sections by which a run has every part of a training state that is saved."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Small tensors only: threads would cost more than they give; a verb before may have more."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _called_as_vesuv() -> None:
    """Messages name commands as they are called; `python -m pytest` would be `python -m vesuv`."""
    sys.argv[0] = "vesuv"


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four 32³ cases in the Kaggle layout: bright oblique sheets in noise, a corner ignored."""
    root = tmp_path_factory.mktemp("tiny")
    for folder in ("train_images", "train_labels"):
        (root / folder).mkdir()
    z, y, x = np.mgrid[:EDGE, :EDGE, :EDGE]
    lines = ["id,scroll_id"]
    for number in range(4):
        rng = np.random.default_rng(number)
        sheet = (z + 0.3 * y + 0.1 * number * x).astype(int) % 10 < 2
        image = np.clip(80 + 90 * sheet + rng.normal(0, 25, sheet.shape), 0, 255).astype(np.uint8)
        label = sheet.astype(np.uint8)
        label[:10, :10, :] = 2
        tifffile.imwrite(root / f"train_images/c{number}.tif", image, compression="lzw")
        tifffile.imwrite(root / f"train_labels/c{number}.tif", label, compression="lzw")
        lines.append(f"c{number},{number % 2}")
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    return root


def tiny_tree(data: Path, store: Path) -> dict[str, Any]:
    """Return a configuration that trains on `tiny_data` within seconds."""
    return {
        "name": "tiny",
        "data": {"root": str(data), "store": str(store), "folds": {"num": 2}},
        "labels": {"classes": {"background": 0, "sheet": 1}, "ignore": 2},
        "sampling": {"patch_size": [16, 16, 16], "batch_size": 2},
        "model": {"name": "plain_unet", "filters": 4, "depth": 2},
        "phases": [
            {"epochs": [0, 1], "weights": {"dice": 1.0, "focal": 0.0}},
            {"epochs": [2, None], "weights": {"dice": 0.8, "focal": 0.2}},
        ],
        "train": {"epochs": 4, "steps_per_epoch": 6},
        "optimizer": {"name": "adamw", "lr": 5e-3},
        "scheduler": {"name": "poly", "warmup_epochs": 1},
        "validation": {"tiles": 4},
        "runtime": {"device": "cpu", "precision": "float32", "threads": 1},
    }


def write_tiny_config(tiny_data: Path, folder: Path) -> Path:
    """Write the configuration of `tiny_tree` with raw data of its own and no store yet."""
    shutil.copytree(tiny_data, folder / "raw")
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(tiny_tree(folder / "raw", folder / "store")))
    return file


@pytest.fixture
def tiny_config(tiny_data: Path, tmp_path: Path) -> Config:
    """The configuration of `tiny_tree` with a store of its own."""
    return check(tiny_tree(tiny_data, tmp_path / "store"), "tiny")
