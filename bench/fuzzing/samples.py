"""What vesuv made of a small data set: its prepared store, and a run."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import tifffile

from vesuv.config import Config, check
from vesuv.data.builder import prepare
from vesuv.selection.validation import validate_distribution
from vesuv.training.train import train

from .mutations import Tree
from .volumes import files_below

ROOT = "/nowhere/raw"
LABELS = {"classes": {"background": 0, "sheet": 1}, "ignore": 2}
CHOICE = {
    "version": 1,
    "checkpoint": "last",
    "threshold": 0.4,
    "postprocess": [{"name": "remove_small", "voxels": 5}, {"name": "fill_cavities"}],
}


def config_of(root: str, store: str) -> Config:
    return check(
        {
            "name": "tiny",
            "data": {"root": root, "store": store, "folds": {"num": 2}},
            "labels": LABELS,
            "sampling": {"patch_size": [8, 8, 8], "batch_size": 2},
            "model": {"filters": 2, "depth": 1},
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
            "averaging": {"ema": {}},
            "train": {"epochs": 2, "steps_per_epoch": 2},
            "validation": {"tiles": 2},
            "plateau": {},
            "runtime": {"device": "cpu", "precision": "float32", "threads": 1},
        },
        "fuzz",
    )


@cache
def made() -> tuple[Tree, Tree]:
    """A prepared store of four cases whose raw data are gone, and a run of two epochs on it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "raw")
        z, y, _ = np.mgrid[:12, :12, :12]
        for kind in ("images", "labels"):
            (root / f"train_{kind}").mkdir(parents=True)
            for i in range(4):
                sheet = ((z + y + i) % 5 == 0).astype(np.uint8)
                tifffile.imwrite(root / f"train_{kind}/c{i}.tif", sheet)
        (root / "train.csv").write_text("id,scroll_id\nc0,1\nc1,1\nc2,2\nc3,2\n")
        config = config_of(str(root), f"{folder}/store")
        prepare(config, workers=1)
        run = train(config, output=Path(folder, "run")).folder
        for name in ("best.pt", "best.pt.previous", "last.pt.previous", "ema.pt"):
            run.checkpoint("last").with_name(name).unlink(missing_ok=True)
        validate_distribution([run.path])
        run.selected_file.write_text(json.dumps(CHOICE))
        index = json.loads(Path(folder, "store", "store.json").read_text())
        index["settings"]["data.root"] = ROOT
        Path(folder, "store", "store.json").write_text(json.dumps(index))
        return (
            {f"store/{name}": data for name, data in files_below(Path(folder, "store")).items()},
            {
                f"run/{name}": data
                for name, data in files_below(run.path).items()
                if "tfevents" not in name and not name.endswith(".png")
            },
        )
