"""The mask that selection judges is, to the bit, the mask that every other way gives.

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
from vesuv.cli import main
from vesuv.config.training import RuntimeConfig
from vesuv.data.builder import open_prepared
from vesuv.data.store import StoredCase
from vesuv.inference.masks import MaskSettings
from vesuv.inference.networks import TrainedNetwork
from vesuv.models import build_model
from vesuv.models.heads import output_layer
from vesuv.runs.checkpoints import read_checkpoint, write_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import resolve
from vesuv.selection.choice import Choice
from vesuv.selection.find_best import find_best
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.selection.validation import validate_distribution
from vesuv.training.fold_data import FoldData
from vesuv.training.full_volumes import score_volumes
from vesuv.transforms.normalize import Normalizer

NETWORKS = {
    "plain_unet": ({"name": "plain_unet", "filters": 4, "depth": 2}, [16, 16, 16]),
    "segresnet": (
        {"name": "segresnet", "filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
        [16, 16, 16],
    ),
    "mednext": ({"name": "mednext"}, [32, 16, 16]),
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
}
"""Name -> settings of the selection, and the number of classes."""
RUNTIME = RuntimeConfig(device="cpu", precision="float32", threads=1)


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


ISO, FLAT = (1.0, 1.0, 1.0), (2.5, 1.0, 1.0)
COARSE, FINE, EVEN = (2.0, 2.0, 2.0), (0.8, 0.9, 1.0), (1.5, 1.5, 1.5)
SCENARIOS = [
    Scenario("plain_unet", None, ISO, "uint8", "on a step"),
    Scenario("plain_unet", COARSE, ISO, "float32", "hysteresis"),
    Scenario("plain_unet", None, FLAT, "float32", "three classes, hysteresis"),
    Scenario("plain_unet", EVEN, FLAT, "uint16", "between steps"),
    Scenario("segresnet", None, ISO, "uint16", "hysteresis"),
    Scenario("segresnet", FINE, ISO, "uint8", "between steps"),
    Scenario("segresnet", None, FLAT, "float32", "specks removed"),
    Scenario("segresnet", EVEN, FLAT, "float32", "likeliest class"),
    Scenario("mednext", None, ISO, "float32", "between steps"),
    Scenario("mednext", COARSE, ISO, "uint8", "three classes, hysteresis"),
    Scenario("mednext", None, FLAT, "uint8", "hysteresis"),
    Scenario("mednext", EVEN, FLAT, "uint16", "specks removed"),
    Scenario("dynunet", None, ISO, "uint8", "likeliest class"),
    Scenario("dynunet", COARSE, ISO, "float32", "specks removed"),
    Scenario("dynunet", None, FLAT, "uint16", "between steps"),
    Scenario("dynunet", EVEN, FLAT, "float32", "on a step"),
]


def _image(scenario: Scenario, seed: int) -> np.ndarray:
    """Bright oblique sheets in strong noise."""
    z, y, x = np.mgrid[tuple(map(slice, SHAPES[scenario.voxels]))]
    sheets = (scenario.voxels[0] * z + 0.4 * y + 0.2 * seed * x).astype(int) % 9 < 3
    noise = np.random.default_rng(seed).normal(0, 28, sheets.shape)
    return np.clip(90 + 60 * sheets + noise, 0, 255).astype(scenario.dtype)


def _save(path: Path, array: np.ndarray, voxels: tuple[float, float, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array.T, np.diag([*reversed(voxels), 1.0])), path)


def _read(path: Path) -> np.ndarray:
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


def _label(probs: np.ndarray, cut: float) -> np.ndarray:
    """Classes that the probabilities (k, z, y, x) suggest, cleaned and moved; a corner ignored."""
    foreground = probs[0] if len(probs) == 1 else 1 - probs[0]
    mask = foreground >= cut
    components, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    mask &= np.bincount(components.ravel())[components] >= 40
    classes = mask * (1 if len(probs) == 1 else 1 + probs[1:].argmax(axis=0))
    label = np.array(VALUES, np.uint8)[np.roll(classes, 1, axis=2)]
    label[:4, :6] = IGNORE
    return label


def _data(folder: Path, spacing: tuple[float, float, float] | None) -> dict[str, Any]:
    return {
        "root": str(folder / "data"),
        "store": str(folder / "store"),
        "layout": "folders",
        "images": "images",
        "labels": "labels",
        "spacing": spacing,
    }


def _hold_out(run: RunFolder, *cases: str) -> None:
    """Prepare the run's data, and say that it was trained without these cases."""
    facts = json.loads((run.path / "run.json").read_text())
    fingerprint = open_prepared(run.config).fingerprint
    facts |= {"validation_cases": cases, "data_fingerprint": fingerprint}
    (run.path / "run.json").write_text(json.dumps(facts))


@pytest.fixture
def make_study(make_run, tmp_path: Path) -> Callable[..., RunFolder]:
    """Return a function that writes a run with two held-out cases, images and labels in files."""

    def make(scenario: Scenario, name: str = "run", seed: int = 0) -> RunFolder:
        model, patch_size = NETWORKS[scenario.network]
        several = {"out_channels": 3} if scenario.num_classes == 3 else {}
        classes = dict(zip(("air", "sheet", "wall"), VALUES[: scenario.num_classes], strict=False))
        sections = {
            "data": _data(tmp_path, scenario.spacing),
            "model": {**model, **several},
            "labels": {"classes": classes, "ignore": IGNORE},
            "sampling": {"patch_size": patch_size},
        }
        run = make_run(name, seed=seed, **sections)
        images = [_image(scenario, number) for number in (1, 2)]
        _spread_output(run, images[0])
        if not (tmp_path / "data").exists():
            predictor = vesuv.load(run.path)
            for number, image in enumerate(images, start=1):
                probs = predictor.predict(image, spacing=scenario.voxels)
                label = _label(probs, 0.7 if scenario.mask == "specks removed" else 0.45)
                _save(tmp_path / f"data/images/c{number}.nii.gz", image, scenario.voxels)
                _save(tmp_path / f"data/labels/c{number}.nii.gz", label, scenario.voxels)
        _hold_out(run, "c1", "c2")
        return run

    return make


def _changes(scenario: Scenario) -> list[str]:
    settings = {k: v for k, v in MASKS[scenario.mask].items() if k != "classes"}
    return ["selection.tolerance=1.0", *(f"selection.{k}={v}" for k, v in settings.items())]


def _predict(source: Path, output: Path, *words: object) -> dict[str, np.ndarray]:
    """Call `vesuv predict`; return the masks of its files by id."""
    with pytest.raises(SystemExit) as stop:
        main(["predict", "--input", str(source), "--output", str(output), *map(str, words)])
    assert stop.value.code == 0
    return {path.name.removesuffix(".nii.gz"): _read(path) for path in output.glob("*.nii.gz")}


def _judged(predictions: OofPredictions, choice: Choice, case: StoredCase) -> np.ndarray:
    settings = MaskSettings(choice.threshold, choice.postprocess)
    return np.array(VALUES, np.uint8)[settings.classes(predictions.probs(case))]


def _dice(counts: np.ndarray) -> float:
    """Mean over the foreground classes that the label or the mask holds."""
    return float(np.mean([2 * both / total for both, total in counts if total]))


def _counts(mask: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Of each foreground class the voxels that are right, and twice its mean size."""
    mask, label = mask[label != IGNORE], label[label != IGNORE]
    rows = [[((mask == v) & (label == v)).sum(), (mask == v).sum() + (label == v).sum()]
            for v in VALUES[1:]]  # fmt: skip
    return np.array(rows)


def _in_training(run: RunFolder, choice: Choice, cases: list[StoredCase]) -> float:
    """Pooled Dice by the validation on whole volumes that training does."""
    checkpoint = read_checkpoint(run.checkpoint("best"))
    network = TrainedNetwork.from_checkpoint(checkpoint, torch.device("cpu")).network
    config = run.config
    inference = config.inference.model_copy(update={"postprocess": choice.postprocess})
    validation = config.validation.model_copy(
        update={} if choice.threshold is None else {"threshold": choice.threshold}
    )
    config = config.model_copy(update={"inference": inference, "validation": validation})
    data = FoldData([], cases, Normalizer.of(checkpoint.normalizer), (), None)
    return score_volumes(network.train(), data, config, resolve(RUNTIME)).dice


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_selection_judges_what_predict_writes_segment_returns_and_training_scores(
    make_study: Callable[..., RunFolder], tmp_path: Path, scenario: Scenario
) -> None:
    run = make_study(scenario)

    validation = validate_distribution([run.path], changes=_changes(scenario))

    problem, result = validation.verdict.problem, validation.verdict.result
    chosen = result.chosen
    (chain,) = MASKS[scenario.mask].get("postprocess", [[]])
    assert [step.name for step in chosen.postprocess] == [step["name"] for step in chain]
    written = _predict(tmp_path / "data/images", tmp_path / "out", "--run", run.path)
    model, counts = vesuv.load(run.path), []
    for case, score in zip(problem.cases, result.scores_of(chosen).cases, strict=True):
        mask = written[case.id]
        image = nibabel.load(tmp_path / f"data/images/{case.id}.nii.gz")
        spacing = tuple(map(float, reversed(image.header.get_zooms())))
        label = _read(tmp_path / f"data/labels/{case.id}.nii.gz")
        assert mask.shape == label.shape == image.shape[::-1]
        assert np.array_equal(_judged(problem.predictions[0], chosen, case), mask)
        assert np.array_equal(model.segment(np.asarray(image.dataobj).T, spacing), mask)
        counts.append(_counts(mask, label))
        assert score.judged == np.count_nonzero(label != IGNORE)
        assert score.overlap.dice == pytest.approx(_dice(counts[-1]), abs=1e-12)
    assert chosen.dice == pytest.approx(np.mean([_dice(one) for one in counts]), abs=1e-12)
    assert 0.3 < chosen.dice < 0.95
    pooled = _in_training(run, chosen, list(problem.cases))
    assert pooled == pytest.approx(_dice(sum(counts)), abs=1e-12)


def test_an_ensemble_is_judged_by_the_masks_that_predict_writes_of_best_json(
    make_study: Callable[..., RunFolder], tmp_path: Path
) -> None:
    scenario = Scenario("segresnet", EVEN, FLAT, "float32", "specks removed")
    runs = [make_study(scenario, f"{name}/fold_0", seed) for seed, name in enumerate("abc")]
    best = tmp_path / "best.json"

    comparison = find_best([run.path for run in runs], best, changes=_changes(scenario))

    (system,) = (one for one in comparison.ranking if one.name == "a + b + c")
    content = json.loads(best.read_text())
    content["members"] = [
        {"run": str(run.path), "checkpoint": "best", "checkpoint_sha256": "x"} for run in runs
    ]
    content |= {key: system.chosen.plain()[key] for key in ("threshold", "postprocess")}
    best.write_text(json.dumps(content))
    written = _predict(tmp_path / "data/images", tmp_path / "out", "--best", best)
    problem = system.verdict.problem
    for case in problem.cases:
        judged = _judged(problem.predictions[0], system.chosen, case)
        assert 0 < judged.mean() < 3
        assert np.array_equal(judged, written[case.id])


def test_at_a_coarser_spacing_the_dice_is_that_of_the_files_own_grid_and_label(
    make_run, tmp_path: Path
) -> None:
    label = np.zeros((32, 16, 16), np.uint8)
    label[3::8] = VALUES[1]  # sheets of one voxel; prepared at half the resolution, one in four
    label[:, :4] = IGNORE
    _save(tmp_path / "data/images/a.nii.gz", label, ISO)
    _save(tmp_path / "data/labels/a.nii.gz", label, ISO)
    sections = {
        "data": _data(tmp_path, COARSE),
        "labels": {"classes": {"air": VALUES[0], "sheet": VALUES[1]}, "ignore": IGNORE},
    }
    run = make_run("everything", logits=[9.0], **sections)
    _hold_out(run, "a")

    validation = validate_distribution([run.path], changes=["selection.tolerance=1.0"])

    (case,) = validation.verdict.problem.cases
    assert np.mean(case.label[case.label < 255]) == pytest.approx(1 / 4)
    # everything is foreground: of n voxels n / 8 are right, 2 * n / 8 over n + n / 8
    assert validation.verdict.result.chosen.dice == pytest.approx(2 / 9)
    assert validation.verdict.result.chosen.labelled_fraction == pytest.approx(1 / 8)
    mask = _predict(tmp_path / "data/images", tmp_path / "out", "--run", run.path)["a"]
    assert _dice(_counts(mask, label)) == pytest.approx(2 / 9)
