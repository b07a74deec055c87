"""What an epoch's end costs: forward passes and files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.test_trainer import changed, rows
from vesuv.config import Config
from vesuv.models.plain_unet import PlainUNet
from vesuv.training import train_state
from vesuv.training.train import train


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
