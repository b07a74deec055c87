"""Runs with held-out cases in NIfTI files, for any network, spacing, image type and kind of mask.

Labels are what the network itself finds, without specks and moved by a voxel: every candidate then
has a Dice well between 0 and 1, and steps that remove specks are worth choosing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from scipy import ndimage

import vesuv
from vesuv.data.builder import open_or_prepare_store
from vesuv.models import build_model
from vesuv.models.heads import output_layer
from vesuv.runs.checkpoints import read_checkpoint, write_checkpoint
from vesuv.runs.folder import RunFolder

NETWORKS = {
    "plain_unet": ({"name": "plain_unet", "filters": 4, "depth": 2}, [16, 16, 16]),
    "segresnet": (
        {"name": "segresnet", "filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
        [16, 16, 16],
    ),
    "residual_encoder_unet": (
        {"name": "residual_encoder_unet", "features_per_stage": [4, 8]},
        [32, 16, 16],
    ),
    "dynunet": ({"name": "dynunet", "filters": 4, "depth": 2}, [16, 16, 16]),
}
"""Name -> its section and a patch size."""
SHAPES = {(1.0, 1.0, 1.0): (19, 22, 18), (2.5, 1.0, 1.0): (9, 21, 24)}
"""Voxel edges along z, y, x -> a shape."""
IGNORE = 9
VALUES = (0, 3, 5)
"""Label value of each class in the files."""
SMALL = {"name": "remove_small", "voxels": 40}
HYSTERESIS = {"name": "hysteresis", "low": 0.4, "high": 0.75}
MASKS: dict[str, dict[str, Any]] = {
    "on a step": {"thresholds": [0.65]},
    "between steps": {"thresholds": [0.333]},
    "specks removed": {"thresholds": [0.7], "postprocess": [[SMALL]]},
    "hysteresis": {"thresholds": [0.995], "postprocess": [[HYSTERESIS, SMALL]]},
    "likeliest class": {"classes": 3},
    "three classes, hysteresis": {"classes": 3, "postprocess": [[HYSTERESIS, SMALL]]},
    "regions": {"classes": 3, "regions": True, "postprocess": [[SMALL]]},
}
"""Name -> settings of the selection, number of classes, and whether they form regions."""
REGIONS = {"both": ["sheet", "wall"], "wall": ["wall"]}


@dataclass(frozen=True)
class Scenario:
    network: str
    spacing: tuple[float, float, float] | None
    """`data.spacing`."""
    voxels: tuple[float, float, float]
    dtype: str
    mask: str

    def __str__(self) -> str:
        return f"{self.network}, {self.voxels} to {self.spacing}, {self.dtype}, {self.mask}"

    @property
    def num_classes(self) -> int:
        return MASKS[self.mask].get("classes", 2)

    @property
    def has_regions(self) -> bool:
        return "regions" in MASKS[self.mask]

    @property
    def changes(self) -> list[str]:
        """What `--set` gives the selection."""
        own = ("classes", "regions")
        settings = {k: v for k, v in MASKS[self.mask].items() if k not in own}
        return ["selection.tolerance=1.0", *(f"selection.{k}={v}" for k, v in settings.items())]


def _image(scenario: Scenario, seed: int) -> np.ndarray:
    """Bright oblique sheets in strong noise."""
    z, y, x = np.mgrid[tuple(map(slice, SHAPES[scenario.voxels]))]
    sheets = (scenario.voxels[0] * z + 0.4 * y + 0.2 * seed * x).astype(int) % 9 < 3
    noise = np.random.default_rng(seed).normal(0, 28, sheets.shape)
    return np.clip(90 + 60 * sheets + noise, 0, 255).astype(scenario.dtype)


def save(path: Path, array: np.ndarray, voxels: tuple[float, float, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array.T, np.diag([*reversed(voxels), 1.0])), path)


def read(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj).T


def _spread_output(run: RunFolder, image: np.ndarray) -> None:
    """Scale the output so that logits have a mean of zero and a deviation of two."""
    checkpoint = read_checkpoint(run.checkpoint("best"))
    network = build_model(checkpoint.config.model)
    network.load_state_dict(checkpoint.model)
    patch = np.resize(image, checkpoint.config.sampling.patch_size).astype(np.float32)
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy((patch - patch.mean()) / patch.std())[None, None])
        layer = output_layer(network)
        assert layer.bias is not None
        scale = 2.0 / logits.std()
        layer.weight.mul_(scale)
        layer.bias.sub_(logits.mean((0, 2, 3, 4))).mul_(scale)
    write_checkpoint(
        run.checkpoint("best"),
        model=network.state_dict(),
        config=checkpoint.config,
        normalizer=checkpoint.normalizer,
        epoch=0,
        measure=None,
    )


def _label(probs: np.ndarray, cut: float, *, regions: bool = False) -> np.ndarray:
    """Classes that the probabilities (k, z, y, x) suggest, cleaned and moved; a corner ignored."""
    if regions:
        probs = np.stack([1 - probs.max(axis=0), probs[0], probs[1]])
    foreground = probs[0] if len(probs) == 1 else 1 - probs[0]
    mask = foreground >= cut
    components, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    mask &= np.bincount(components.ravel())[components] >= 40
    classes = mask * (1 if len(probs) == 1 else 1 + probs[1:].argmax(axis=0))
    label = np.array(VALUES, np.uint8)[np.roll(classes, 1, axis=2)]
    label[:4, :6] = IGNORE
    return label


def folders_data(folder: Path, spacing: tuple[float, float, float] | None) -> dict[str, Any]:
    return {
        "root": str(folder / "data"),
        "store": str(folder / "store"),
        "layout": "folders",
        "images": "images",
        "labels": "labels",
        "spacing": spacing,
    }


def hold_out(run: RunFolder, *cases: str) -> None:
    """Prepare the run's data, and say that it was trained without these cases."""
    facts = json.loads((run.path / "run.json").read_text())
    fingerprint = open_or_prepare_store(run.config).fingerprint
    facts |= {"validation_cases": cases, "data_fingerprint": fingerprint}
    (run.path / "run.json").write_text(json.dumps(facts))


@pytest.fixture
def make_study(make_run, tmp_path: Path) -> Callable[..., RunFolder]:
    """Return a function that writes a run with two held-out cases, images and labels in files."""

    def make(scenario: Scenario, name: str = "run", seed: int = 0) -> RunFolder:
        model, patch_size = NETWORKS[scenario.network]
        several = {}
        if scenario.num_classes == 3:
            several = {"out_channels": 2 if scenario.has_regions else 3}
        classes = dict(zip(("air", "sheet", "wall"), VALUES[: scenario.num_classes], strict=False))
        sections = {
            "data": folders_data(tmp_path, scenario.spacing),
            "model": {**model, **several},
            "labels": {
                "classes": classes,
                "ignore": IGNORE,
                "regions": REGIONS if scenario.has_regions else None,
            },
            "sampling": {"patch_size": patch_size},
        }
        run = make_run(name, seed=seed, **sections)
        images = [_image(scenario, number) for number in (1, 2)]
        _spread_output(run, images[0])
        if not (tmp_path / "data").exists():
            predictor = vesuv.load(run.path)
            for number, image in enumerate(images, start=1):
                probs = predictor.predict(image, spacing=scenario.voxels)
                cut = 0.7 if scenario.mask == "specks removed" else 0.45
                label = _label(probs, cut, regions=scenario.has_regions)
                save(tmp_path / f"data/images/c{number}.nii.gz", image, scenario.voxels)
                save(tmp_path / f"data/labels/c{number}.nii.gz", label, scenario.voxels)
        hold_out(run, "c1", "c2")
        return run

    return make
