"""What an epoch's end costs: forward passes and files."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from tests.conftest import tiny_tree
from tests.training.test_trainer import changed, rows
from vesuv.config import Config, check
from vesuv.models.plain_unet import PlainUNet
from vesuv.training import train_state
from vesuv.training.train import train

NAMES = {"background": 0, "sheet": 1, "fibre": 3, "ink\n": 4}


def with_fibres(data: Path, folder: Path) -> Path:
    """Copy the tiny data, with the lower half of each sheet as a second class."""
    shutil.copytree(data, folder)
    for path in (folder / "train_labels").iterdir():
        label = tifffile.imread(path)
        label[16:][label[16:] == 1] = 3
        tifffile.imwrite(path, label, compression="lzw")
    return folder


def test_each_of_several_classes_has_columns_and_an_absent_one_empty_cells(
    tiny_data: Path, tmp_path: Path
) -> None:
    tree = tiny_tree(with_fibres(tiny_data, tmp_path / "data"), tmp_path / "store")
    tree["labels"]["classes"] = NAMES
    tree["model"]["out_channels"] = 4
    tree["train"] = {"epochs": 1, "steps_per_epoch": 2}
    tree["validation"] |= {"full_every": 1}

    run = train(check(tree, "several"), output=tmp_path / "run").folder

    [row] = rows(run)
    board = EventAccumulator(str(run.path))
    board.Reload()
    present = [name for name in ("sheet", "fibre", "ink\\n") if row[f"val/dice[{name}]"]]
    assert present == ["sheet", "fibre"]
    for prefix in ("val/", "val/full_"):
        for score in ("dice", "precision", "recall", "predicted_fraction", "labelled_fraction"):
            for name in ("sheet", "fibre", "ink\\n"):
                column = f"{prefix}{score}[{name}]"
                assert (column in board.Tags()["scalars"]) == bool(row[column]), column
        means = [float(row[f"{prefix}dice[{name}]"]) for name in present]
        assert float(row[f"{prefix}dice"]) == pytest.approx(sum(means) / len(means), abs=1e-5)
        assert float(row[f"{prefix}labelled_fraction[fibre]"]) > 0.0
    log = (run.path / "train.log").read_text()
    assert len(re.findall(r"Epoch 0 (?:Val|Full volumes), class \S+ - ", log)) == 2 * 3
    with np.load(run.path / "slices.npz") as arrays:
        assert list(arrays["class_names"]) == list(NAMES)
        assert arrays["predicted_classes"].shape == arrays["image"].shape


def test_a_validation_runs_each_network_once_over_each_tile_and_saves_once(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(
        tiny_config,
        train={"epochs": 3, "steps_per_epoch": 2},
        averaging={"ema": {"decay": 0.9}},
        validation={"tiles": 4},
        diagnosis={"enabled": True, "train_tiles": 3, "gradients_every": 0},
        runtime={"accumulate": 2},
    )
    passes: Counter[tuple[str, int, bool]] = Counter()
    written: list[tuple[str, float | None]] = []
    forward, write = PlainUNet.forward, train_state.write_checkpoint

    def count_forward(network: PlainUNet, image: Tensor) -> Tensor:
        mode = "training" if network.training else "validation"
        passes[mode, id(network), torch.is_grad_enabled()] += 1
        return forward(network, image)

    def count_write(path: Path, **content: Any) -> None:
        written.append((path.stem, content["measure"]))
        write(path, **content)

    monkeypatch.setattr(PlainUNet, "forward", count_forward)
    monkeypatch.setattr(train_state, "write_checkpoint", count_write)

    run = train(config, output=tmp_path / "run").folder

    by_mode = {
        mode: sorted(n for (m, _, _), n in passes.items() if m == mode)
        for mode in ("training", "validation")
    }
    # Each of the 6 batches goes forward in 2 parts, first without and then with its graph.
    assert by_mode["training"] == [12, 12]
    # Each epoch: the EMA over 4 validation tiles; the weights over these and 3 training tiles.
    assert by_mode["validation"] == [3 * 4, 3 * (4 + 3)]
    names = Counter(name for name, _ in written)
    measures = [float(row["val/dice"]) for row in rows(run)]
    bests = [i for i, measure in enumerate(measures) if measure > max(measures[:i], default=-1.0)]
    assert names == {"last": 3, "ema": 3, "best": len(bests)}
    assert len(bests) > 1
