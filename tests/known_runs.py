"""Runs whose predictions are known by hand, and one that was really trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from vesuv.config import Config, check
from vesuv.models import build_model
from vesuv.models.heads import output_layer
from vesuv.runs.checkpoints import write_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.training.train import train
from vesuv.transforms.normalize import Normalizer

MakeRun = Callable[..., RunFolder]
ZSCORE = Normalizer(name="zscore")


def _tree(changes: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "name": "known",
        "data": {"root": "nowhere"},
        "labels": {"classes": {"background": 0, "sheet": 1}, "ignore": 2},
        "sampling": {"patch_size": [16, 16, 16]},
        "model": {"name": "plain_unet", "filters": 2, "depth": 1},
        "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
        "runtime": {"device": "cpu", "precision": "float32", "threads": 1},
    }
    for dotted, value in changes.items():
        *above, last = dotted.split(".")
        node = tree
        for key in above:
            node = node.setdefault(key, {})
        node[last] = value
    return tree


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that writes a run folder with untrained checkpoints."""

    def make(
        name: str,
        *,
        logits: Sequence[float] | None = None,
        checkpoints: Sequence[str] = ("best",),
        normalizer: Normalizer = ZSCORE,
        facts: dict[str, Any] | None = None,
        seed: int = 0,
        **changes: Any,
    ) -> RunFolder:
        """Constant networks when `logits` are given, random ones otherwise."""
        config = check(_tree({k.replace("__", "."): v for k, v in changes.items()}), "test")
        run = RunFolder(tmp_path / name)
        run.create(
            config, {"fold": 0, "data_fingerprint": "x", "validation_cases": [], **(facts or {})}
        )
        torch.manual_seed(seed)
        network = build_model(config.model)
        if logits is not None:
            layer = output_layer(network)
            torch.nn.init.zeros_(layer.weight)
            layer.bias.data.copy_(torch.tensor(logits))
        for checkpoint in checkpoints:
            write_checkpoint(
                run.checkpoint(checkpoint),
                model=network.state_dict(),
                config=config,
                normalizer=normalizer,
                epoch=3,
                measure=None,
            )
        return run

    return make


@pytest.fixture(scope="session")
def trained_run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of a few seconds on the tiny data, fold 0 of 2."""
    folder = tmp_path_factory.mktemp("trained")
    config: Config = check(
        _tree(
            {
                "name": "trained",
                "data.root": str(tiny_data),
                "data.store": str(folder / "store"),
                "data.folds": {"num": 2},
                "model.filters": 4,
                "sampling.batch_size": 2,
                "train": {"epochs": 4, "steps_per_epoch": 8},
                "optimizer": {"name": "adamw", "lr": 0.01},
                "scheduler": {"name": "poly", "warmup_epochs": 0},
                "averaging": {"ema": {"decay": 0.9}},
                "validation": {"tiles": 2},
                "selection": {"tolerance": 0.05},
            }
        ),
        "test",
    )
    return train(config, fold=0, output=folder / "run").folder
