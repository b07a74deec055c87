"""Networks and volumes for predictions in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from vesuv.config import check
from vesuv.inference.blocks.run import BlockPrediction
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.blocks.source import Source
from vesuv.inference.chosen_mask import ChosenMask
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.predictor import Predictor
from vesuv.models import build_model
from vesuv.models.heads import output_layer
from vesuv.runtime.machine import resolve
from vesuv.transforms.normalize import Normalizer
from vesuv.types import Array, Say, silent

CLASSES = {"background": 0, "sheet": 1}


def network(
    seed: int = 0,
    *,
    patch_size: Sequence[int] = (8, 8, 8),
    channels: int = 1,
    spacing: Sequence[float] | None = None,
    classes: dict[str, Any] = CLASSES,
    regions: dict[str, Any] | None = None,
    **inference: Any,
) -> TrainedNetwork:
    """Return a random network whose probabilities are far from constant."""
    labels: dict[str, Any] = {"classes": classes, "ignore": 255}
    labels |= {"regions": regions} if regions else {}
    config = check(
        {
            "name": "random",
            "data": {"root": "nowhere", **({"spacing": list(spacing)} if spacing else {})},
            "labels": labels,
            "sampling": {"patch_size": list(patch_size)},
            "model": {"name": "plain_unet", "filters": 2, "depth": 1, "in_channels": channels},
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
            "inference": inference,
            "runtime": {"device": "cpu", "precision": "float32", "threads": 1},
        },
        "test",
    )
    torch.manual_seed(seed)
    built = build_model(config.model).eval().requires_grad_(False)
    output_layer(built).weight.data.mul_(6.0)
    return TrainedNetwork(built, config, Normalizer(name="zscore"), f"network {seed}")


def predictor(*networks: TrainedNetwork, **options: Any) -> Predictor:
    return Predictor(networks, resolve(networks[0].config.runtime), **options)


def smooth_image(
    shape: tuple[int, ...], dtype: Any = np.uint8, seed: int = 0, empty: int = 0
) -> Array:
    """Return smoothed noise from 0 to 250, the first `empty` slices 0."""
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, (0,) * (len(shape) - 3) + (1.5,) * 3)
    image = (smooth - smooth.min()) / (smooth.max() - smooth.min()) * 250
    image[..., :empty, :, :] = 0
    return image.astype(dtype)


def block_prediction(
    networks: Predictor, source: Path | str, output: Path, say: Say = silent, **settings: Any
) -> BlockPrediction:
    """Return a prediction in blocks of 16³ unless the settings say otherwise."""
    return BlockPrediction(
        [],
        ChosenMask(networks.mask, "threshold", "chain"),
        networks,
        Source((str(source),)),
        output,
        BlockSettings(**{"block_size": 16, **settings}),
        say=say,
    )


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A file of 40 x 37 x 50 voxels, whose first slices are empty."""
    np.save(tmp_path / "a.npy", smooth_image((40, 37, 50), empty=19))
    return tmp_path / "a.npy"


def shard_bytes(output: Path) -> dict[str, bytes]:
    """Return the contents of all shards of an output."""
    files = (p for p in output.rglob("*") if p.is_file() and "c" in p.relative_to(output).parts)
    return {str(path.relative_to(output)): path.read_bytes() for path in files}
