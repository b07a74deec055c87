"""The mask that selection judges is, to the bit, the mask that every other way gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

import vesuv
from tests.selection.studies import (
    IGNORE,
    MASKS,
    VALUES,
    Scenario,
    folders_data,
    hold_out,
    read,
    save,
)
from vesuv.cli import main
from vesuv.config.training import RuntimeConfig
from vesuv.data.store import StoredCase
from vesuv.inference.masks import ClassCut, MaskSettings
from vesuv.inference.networks import TrainedNetwork
from vesuv.runs.checkpoints import read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import resolve
from vesuv.selection.find_best import find_best
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.selection.validation import validate_distribution
from vesuv.training.fold_data import FoldData
from vesuv.training.full_volumes import score_volumes
from vesuv.transforms.normalize import Normalizer

RUNTIME = RuntimeConfig(device="cpu", precision="float32", threads=1)
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
    Scenario("residual_encoder_unet", None, ISO, "float32", "between steps"),
    Scenario("residual_encoder_unet", COARSE, ISO, "uint8", "three classes, hysteresis"),
    Scenario("residual_encoder_unet", None, FLAT, "uint8", "hysteresis"),
    Scenario("residual_encoder_unet", EVEN, FLAT, "uint16", "specks removed"),
    Scenario("dynunet", None, ISO, "uint8", "likeliest class"),
    Scenario("dynunet", COARSE, ISO, "float32", "specks removed"),
    Scenario("dynunet", None, FLAT, "uint16", "between steps"),
    Scenario("dynunet", EVEN, FLAT, "float32", "on a step"),
    Scenario("plain_unet", EVEN, FLAT, "uint8", "regions"),
    Scenario("dynunet", None, ISO, "float32", "regions"),
]


def _predict(source: Path, output: Path, *words: object) -> dict[str, np.ndarray]:
    """Call `vesuv predict`; return the masks of its files by id."""
    main(["predict", "--input", str(source), "--output", str(output), *map(str, words)])
    return {path.name.removesuffix(".nii.gz"): read(path) for path in output.glob("*.nii.gz")}


def _judged(predictions: OofPredictions, settings: MaskSettings, case: StoredCase) -> np.ndarray:
    classes = settings.classes(predictions.probs(case), case.native_spacing)
    return np.array(VALUES, np.uint8)[classes]


def _dice(counts: np.ndarray) -> float:
    """Mean over the foreground classes that the label or the mask holds."""
    return float(np.mean([2 * both / total for both, total in counts if total]))


def _counts(mask: np.ndarray, label: np.ndarray, *, regions: bool = False) -> np.ndarray:
    """Of each foreground class or region the right voxels, and twice its mean size."""
    mask, label = mask[label != IGNORE], label[label != IGNORE]
    rows = []
    for values in (VALUES[1:], VALUES[2:]) if regions else ((v,) for v in VALUES[1:]):
        a, b = np.isin(mask, values), np.isin(label, values)
        rows.append([(a & b).sum(), a.sum() + b.sum()])
    return np.array(rows)


def _in_training(run: RunFolder, cut: ClassCut, cases: list[StoredCase]) -> float:
    """Pooled Dice by the validation on whole volumes that training does, each class cut alike."""
    checkpoint = read_checkpoint(run.checkpoint("best"))
    network = TrainedNetwork.from_checkpoint(checkpoint, torch.device("cpu")).network
    config = run.config
    inference = config.inference.model_copy(update={"postprocess": cut.chain})
    validation = config.validation.model_copy(
        update={} if cut.threshold is None else {"threshold": cut.threshold}
    )
    config = config.model_copy(update={"inference": inference, "validation": validation})
    data = FoldData([], cases, Normalizer.of(checkpoint.normalizer), (), None)
    return score_volumes(network.train(), data, config, resolve(RUNTIME))["dice"]


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(scenario, marks=[pytest.mark.slow] if number % 4 else [])
        for number, scenario in enumerate(SCENARIOS)
    ],
    ids=str,
)
def test_selection_judges_what_predict_writes_segment_returns_and_training_scores(
    make_study: Callable[..., RunFolder], tmp_path: Path, scenario: Scenario
) -> None:
    run = make_study(scenario)

    validation = validate_distribution([run.path], changes=scenario.changes)

    problem, result = validation.result.problem, validation.result
    chosen = result.chosen
    (chain,) = MASKS[scenario.mask].get("postprocess", [[]])
    expected = [step["name"] for step in chain]
    if len(chosen.cuts) == 1:
        assert [step.name for step in chosen.postprocess] == expected
    settings = MaskSettings(chosen.cuts, problem.targets)
    # training cuts all classes alike, with the settings of the first
    alike = MaskSettings((chosen.cuts[0],) * len(chosen.cuts), problem.targets)
    written = _predict(tmp_path / "data/images", tmp_path / "out", "--run", run.path)
    model, counts, alike_counts = vesuv.load(run.path), [], []
    has_regions = scenario.has_regions
    for case, score in zip(problem.cases, result.scores_of(chosen).cases, strict=True):
        mask = written[case.id]
        image = nibabel.load(tmp_path / f"data/images/{case.id}.nii.gz")
        spacing = tuple(map(float, reversed(image.header.get_zooms())))
        label = read(tmp_path / f"data/labels/{case.id}.nii.gz")
        assert mask.shape == label.shape == image.shape[::-1]
        assert np.array_equal(_judged(problem.predictions[0], settings, case), mask)
        assert np.array_equal(model.segment(np.asarray(image.dataobj).T, spacing), mask)
        counts.append(_counts(mask, label, regions=has_regions))
        alike_mask = _judged(problem.predictions[0], alike, case)
        alike_counts.append(_counts(alike_mask, label, regions=has_regions))
        assert score.num_valid == np.count_nonzero(label != IGNORE)
        assert score.overlap.dice == pytest.approx(_dice(counts[-1]), abs=1e-12)
    assert chosen.dice == pytest.approx(np.mean([_dice(one) for one in counts]), abs=1e-12)
    assert 0.3 < chosen.dice < 0.95
    cut = chosen.cuts[0]
    if scenario.num_classes == 3 and not has_regions and cut.threshold is not None:
        return  # training takes the likeliest class
    pooled = _in_training(run, cut, list(problem.cases))
    assert pooled == pytest.approx(_dice(sum(alike_counts)), abs=1e-12)


def test_an_ensemble_is_judged_by_the_masks_that_predict_writes_of_best_json(
    make_study: Callable[..., RunFolder], tmp_path: Path
) -> None:
    scenario = Scenario("segresnet", EVEN, FLAT, "float32", "specks removed")
    runs = [make_study(scenario, f"{name}/fold_0", seed) for seed, name in enumerate("abc")]
    best = tmp_path / "best.json"

    comparison = find_best([run.path for run in runs], best, changes=scenario.changes)

    (system,) = (one for one in comparison.ranking if one.name == "a + b + c")
    content = json.loads(best.read_text())
    content["members"] = [
        {"run": str(run.path), "checkpoint": "best", "checkpoint_sha256": "x"} for run in runs
    ]
    content |= {key: system.chosen.plain()[key] for key in ("threshold", "postprocess")}
    best.write_text(json.dumps(content))
    written = _predict(tmp_path / "data/images", tmp_path / "out", "--best", best)
    problem = system.result.problem
    for case in problem.cases:
        settings = MaskSettings(system.chosen.cuts, problem.targets)
        judged = _judged(problem.predictions[0], settings, case)
        assert 0 < judged.mean() < 3
        assert np.array_equal(judged, written[case.id])


def test_at_a_coarser_spacing_the_dice_is_that_of_the_files_own_grid_and_label(
    make_run, tmp_path: Path
) -> None:
    label = np.zeros((32, 16, 16), np.uint8)
    label[3::8] = VALUES[1]  # sheets of one voxel; prepared at half the resolution, one in four
    label[:, :4] = IGNORE
    save(tmp_path / "data/images/a.nii.gz", label, ISO)
    save(tmp_path / "data/labels/a.nii.gz", label, ISO)
    sections = {
        "data": folders_data(tmp_path, COARSE),
        "labels": {"classes": {"air": VALUES[0], "sheet": VALUES[1]}, "ignore": IGNORE},
    }
    run = make_run("everything", logits=[9.0], **sections)
    hold_out(run, "a")

    validation = validate_distribution([run.path], changes=["selection.tolerance=1.0"])

    (case,) = validation.result.problem.cases
    assert np.mean(case.label[case.label < 255]) == pytest.approx(1 / 4)
    # everything is foreground: of n voxels n / 8 are right, 2 * n / 8 over n + n / 8
    assert validation.result.chosen.dice == pytest.approx(2 / 9)
    assert validation.result.chosen.labelled_fraction == pytest.approx(1 / 8)
    mask = _predict(tmp_path / "data/images", tmp_path / "out", "--run", run.path)["a"]
    assert _dice(_counts(mask, label)) == pytest.approx(2 / 9)
