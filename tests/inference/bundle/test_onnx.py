"""The ONNX networks of a bundle, by the example that uses numpy and onnxruntime alone."""

from __future__ import annotations

import ast
import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import tifffile
import torch

import vesuv
from tests.inference.conftest import network_of
from tests.inference.nnunet_results import (
    balanced_network,
    checkpoint,
    nnunet_network,
    write_results,
)
from vesuv.errors import InputError
from vesuv.inference.bundle import write_bundle
from vesuv.inference.bundle.processing import normalisation, processing
from vesuv.inference.chosen_mask import choose_mask
from vesuv.inference.members import open_members
from vesuv.inference.nnunet import read_results
from vesuv.runs.folder import RunFolder
from vesuv.transforms.normalize import Normalizer

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "examples/onnx_predict.py"
MEMBRANES = REPOSITORY / "tests/data/real/fib25/train_images"
RANGE = Normalizer(name="range", low=(50.0,), high=(180.0,), shift=(115.0,), scale=(65.0,))
CLASSES = {"labels__classes": {"air": 0, "a": 1, "b": 3}, "model__out_channels": 3}
REGIONS = {
    "labels__classes": {"air": 0, "a": 1, "b": 3},
    "labels__regions": {"both": ["a", "b"], "b": ["b"]},
    "model__out_channels": 2,
}
"""Labels of three classes that exclude each other, and of two regions."""


@pytest.fixture(autouse=True)
def _needs_onnx() -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")


def _membranes() -> np.ndarray:
    """Return a real FIB-SEM volume of 48 x 48 x 14 voxels."""
    return tifffile.imread(sorted(MEMBRANES.glob("*.tif"))[0])[:, :, 5:19]


def _select(run: RunFolder, **more: object) -> None:
    content = {"version": 1, "checkpoint": "best", "threshold": 0.45, **more}
    (run.path / "selected.json").write_text(json.dumps(content))


def _mask_of_example(
    bundle: Path, image: np.ndarray, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> np.ndarray:
    np.save(folder / "volume.npy", image)
    arguments = [bundle, folder / "volume.npy", folder / "mask.npy"]
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *map(str, arguments)])
    runpy.run_path(str(EXAMPLE))
    return np.load(folder / "mask.npy")


def _select_medians(runs: list[RunFolder], **more: object) -> None:
    """Select the median of the probabilities as threshold, near which most voxels lie."""
    for run in runs:
        probs = vesuv.load(run.path).predict(_membranes())
        _select(run, threshold=round(float(np.median(probs)), 3), **more)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="z-score"),
        pytest.param({"normalizer": RANGE}, id="clipped"),
        pytest.param({"normalizer": Normalizer(name="minmax")}, id="minimum to maximum"),
        pytest.param({"views": "mirror"}, id="mirrored"),
        pytest.param({"model__space_to_depth": [2, 2, 2]}, id="space to depth"),
    ],
)
def test_the_mask_of_the_example_equals_ours_on_a_real_volume(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    views = settings.pop("views", "none")
    run = make_run("run", **settings)
    _select_medians([run], inference={"views": views})
    write_bundle(tmp_path / "bundle", open_members([run.path]), "", onnx=True)

    mask = _mask_of_example(tmp_path / "bundle", _membranes(), tmp_path, monkeypatch)

    ours = vesuv.load(run.path).segment(_membranes())
    assert mask.shape == ours.shape
    assert 0.2 < ours.mean() < 0.8
    assert (mask == ours).mean() >= 0.9999


@pytest.mark.parametrize("kind", ["classes", "regions"])
def test_an_ensemble_of_several_targets_is_averaged_with_its_weights(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    labels = CLASSES if kind == "classes" else REGIONS
    runs = [make_run(name, seed=seed, **labels) for seed, name in enumerate("ab")]
    cuts = {name: {"threshold": 0.45} for name in ("a", "b", "both")}
    for run in runs:
        _select(run, threshold=None, classes=cuts)
    members = [
        replace(member, weight=weight)
        for member, weight in zip(open_members([run.path for run in runs]), (3.0, 1.0), strict=True)
    ]
    write_bundle(tmp_path / "bundle", members, "", onnx=True)

    mask = _mask_of_example(tmp_path / "bundle", _membranes(), tmp_path, monkeypatch)

    ours = vesuv.load(tmp_path / "bundle").segment(_membranes())
    assert len(np.unique(ours)) > 1
    assert (mask == ours).mean() >= 0.9999


def test_classes_of_equal_weighted_probability_are_ours(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("run", **CLASSES)
    _select(run, threshold=None, classes={"a": {"threshold": 0.9}, "b": {"threshold": 0.75}})
    members = open_members([run.path])
    (tmp_path / "processing.json").write_text(json.dumps(processing(members, ["a.onnx"])))
    step = np.arange(16**3).reshape(16, 16, 16) % 50
    levels = np.stack([step + 0.5, step * 0, 3 * (step + 0.5)])  # b has three times air, weight 1/3
    probs = (levels / 200).astype(np.float32)
    session = Mock(run=Mock(return_value=[probs[None]]))
    monkeypatch.setattr("onnxruntime.InferenceSession", Mock(return_value=session))

    mask = _mask_of_example(tmp_path, _membranes()[:16, :16, :1], tmp_path, monkeypatch)

    ours = choose_mask(members).settings.classes(torch.from_numpy(probs))
    assert np.array_equal(mask[..., 0], np.array([0, 1, 3])[ours][..., 7])
    assert {0, 3} <= set(mask.flat)


@pytest.mark.parametrize("labels", [{}, CLASSES, REGIONS], ids=["one", "classes", "regions"])
def test_averages_of_logits_are_activated_by_the_example(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: dict[str, Any]
) -> None:
    settings = {"inference__average": "logits", **labels}
    runs = [make_run(name, seed=seed, **settings) for seed, name in enumerate("ab")]
    members = [
        replace(member, weight=weight)
        for member, weight in zip(open_members([run.path for run in runs]), (3.0, 1.0), strict=True)
    ]
    write_bundle(tmp_path / "bundle", members, "", onnx=True)
    image = _membranes()[:20, :24]
    (median, *_) = np.median(vesuv.load(tmp_path / "bundle").predict(image), axis=(1, 2, 3))
    if labels != CLASSES:
        for run in runs:
            _select(run, threshold=round(float(median), 3))
        members = [replace(one, selected=RunFolder(one.folder).selected_model()) for one in members]
        write_bundle(tmp_path / "bundle", members, "", onnx=True, overwrite=True)

    mask = _mask_of_example(tmp_path / "bundle", image, tmp_path, monkeypatch)

    ours = vesuv.load(tmp_path / "bundle").segment(image)
    spec = json.loads((tmp_path / "bundle/processing.json").read_text())
    assert (spec["average"], spec["networks"][0]["centre"]) == ("logits", [8.0, 8.0, 8.0])
    assert len(np.unique(ours)) > 1
    assert (mask == ours).mean() >= 0.9999
    changes = ["inference.average=probabilities"]
    assert (vesuv.load(tmp_path / "bundle", changes=changes).segment(image) != ours).any()


def test_a_model_of_nnunet_keeps_its_masks_as_onnx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = {"0": checkpoint(balanced_network()), "1": checkpoint(nnunet_network())}
    members = read_results(write_results(tmp_path / "results", folds=folds)).members
    write_bundle(tmp_path / "bundle", members, "", onnx=True)
    image = _membranes()[:20, :24]

    mask = _mask_of_example(tmp_path / "bundle", image, tmp_path, monkeypatch)

    ours = vesuv.load(tmp_path / "bundle").segment(image, spacing=(2.0, 1.0, 1.0))
    assert 0.01 < ours.mean() < 0.99
    assert (mask == ours).mean() >= 0.9999


def test_post_processing_is_named_as_left_out(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run("run")
    steps = [
        {"name": "hysteresis", "low": 0.3, "high": 0.6},
        {"name": "remove_small", "voxels": 9, "connectivity": 26},
    ]
    _select(run, threshold=None, postprocess=steps)
    write_bundle(tmp_path / "bundle", open_members([run.path]), "", onnx=True)

    _mask_of_example(tmp_path / "bundle", _membranes()[:16, :16], tmp_path, monkeypatch)

    assert capsys.readouterr().out == "left out: hysteresis remove_small\n"
    spec = json.loads((tmp_path / "bundle/processing.json").read_text())
    (output,) = spec["outputs"]
    assert (output["value"], output["threshold"], output["postprocess"]) == (1, 0.3, steps)


def test_a_threshold_is_the_step_of_probability_at_which_a_mask_begins(
    make_run, tmp_path: Path
) -> None:
    run = make_run("run")
    expected = {0.3: 0.3, 0.301: 0.3, 0.304: 0.305, 0.0: 0.0, 1.0: 1.0}
    for selected, step in expected.items():
        _select(run, threshold=selected)
        (output,) = processing(open_members([run.path]), ["a.onnx"])["outputs"]
        assert output["threshold"] == step, selected


def test_each_channel_has_its_own_normalisation() -> None:
    fixed = Normalizer(name="fixed", low=(1.0,), shift=(2.0,), scale=(3.0,))
    kinds = (fixed, Normalizer(name="zscore"), Normalizer(name="minmax"))

    channels = normalisation(Normalizer(name="by_channel", channels=kinds), 3)

    assert [list(channel.values()) for channel in channels] == [
        [1.0, None, 2.0, 3.0],
        [None, None, "mean", "deviation"],
        [None, None, "minimum", "span"],
    ]
    percentile = Normalizer(name="percentile", low=(1, 2), high=(3, 4), shift=(5, 6), scale=(7, 8))
    assert [list(one.values()) for one in normalisation(percentile, 2)] == [
        [1, 3, 5, 7],
        [2, 4, 6, 8],
    ]
    assert normalisation(RANGE, 2) == normalisation(RANGE, 1) * 2


def test_a_network_takes_batches_and_edges_of_any_size(make_run, tmp_path: Path) -> None:
    import onnxruntime

    run = make_run("run")
    write_bundle(tmp_path / "bundle", open_members([run.path]), "", onnx=True)
    session = onnxruntime.InferenceSession(tmp_path / "bundle/run_best.onnx")
    for shape in ((1, 1, 16, 16, 16), (3, 1, 8, 34, 20)):
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0))

        (probs,) = session.run(None, {"image": images.numpy()})

        expected = torch.sigmoid(network_of(run)(images)).detach().numpy()
        assert np.allclose(probs, expected, atol=1e-5)


def test_the_example_imports_numpy_and_onnxruntime_alone_in_60_lines() -> None:
    text = EXAMPLE.read_text()

    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    others = {name for name in imported if name not in sys.stdlib_module_names}
    assert others == {"numpy", "onnxruntime"}
    assert len(text.splitlines()) <= 60


def test_a_missing_package_is_one_sentence(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = open_members([make_run("run").path])
    monkeypatch.setattr("vesuv.inference.bundle.onnx_export.find_spec", lambda _: None)

    with pytest.raises(InputError, match=r"--onnx: needs the package onnx; install it with pip"):
        write_bundle(tmp_path / "bundle", members, "", onnx=True)
    assert not (tmp_path / "bundle").exists()


def test_a_network_that_onnx_cannot_hold_is_one_sentence(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = open_members([make_run("run").path])

    def fail(*_: object, **__: object) -> None:
        raise torch.onnx.errors.UnsupportedOperatorError("aten::new", 17, None)

    monkeypatch.setattr("torch.onnx.export", fail)

    with pytest.raises(InputError, match=r"--onnx: model\.name=plain_unet cannot be written as"):
        write_bundle(tmp_path / "bundle", members, "", onnx=True)
    assert not (tmp_path / "bundle").exists()
