from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from vesuv.config.training import InferenceConfig, RuntimeConfig
from vesuv.data.statistics import case_statistics
from vesuv.errors import InputError
from vesuv.inference.predictor import (
    Predictor,
    file_digest,
    inference_settings,
    open_members,
    runtime_settings,
)
from vesuv.runtime.machine import resolve
from vesuv.transforms.normalize import Normalizer

SETTINGS = InferenceConfig(overlap=0.5, batch_size=2)
MACHINE = resolve(RuntimeConfig(device="cpu", precision="float32", threads=1))


def _select(run, **content) -> None:
    (run.path / "selected.json").write_text(json.dumps({"version": 1, **content}))


def _probs(members, image: np.ndarray) -> torch.Tensor:
    predictor = Predictor([member.checkpoint for member in members], SETTINGS, MACHINE)
    return predictor(image, case_statistics(image, None))


def test_the_best_checkpoint_is_taken_when_nothing_was_selected(make_run) -> None:
    run = make_run("a", checkpoints=("last", "best"))

    (member,) = open_members([run.path], None)

    assert (member.name, member.threshold, member.outdated) == ("best", None, False)


def test_the_selected_checkpoint_and_threshold_come_first(make_run) -> None:
    run = make_run("a", checkpoints=("best", "ema"))
    _select(run, checkpoint="ema", threshold=0.35)

    (member,) = open_members([run.path], None)
    (named,) = open_members([run.path], "best")

    assert (member.name, member.threshold) == ("ema", 0.35)
    assert (named.name, named.threshold) == ("best", None)


def test_a_checkpoint_that_changed_after_selection_is_outdated(make_run) -> None:
    run = make_run("a")
    digest = file_digest(run.checkpoint("best"))

    _select(run, checkpoint="best", threshold=0.5, checkpoint_sha256=digest)
    assert not open_members([run.path], None)[0].outdated
    _select(run, checkpoint="best", threshold=0.5, checkpoint_sha256="0" * 64)
    assert open_members([run.path], None)[0].outdated


def test_an_unknown_checkpoint_is_refused_with_those_that_are_there(make_run) -> None:
    run = make_run("a", checkpoints=("best", "last"))

    with pytest.raises(InputError, match=r"must be one of best, last, asked for 'swa'"):
        open_members([run.path], "swa")


def test_no_run_at_all_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"--run: needs at least one run folder"):
        open_members([], None)
    with pytest.raises(InputError, match=r"not a run folder"):
        open_members([tmp_path], None)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"labels__classes": {"background": 0, "surface": 1}}, r"labels\.classes"),
        ({"model__in_channels": 2}, r"model\.in_channels"),
        ({"model__out_channels": 2}, r"model\.out_channels"),
        ({"data__spacing": [2.0, 1.0, 1.0]}, r"data\.spacing"),
    ],
)
def test_runs_that_cannot_be_averaged_are_refused(make_run, change, key: str) -> None:
    runs = [make_run("a").path, make_run("b", **change).path]

    with pytest.raises(InputError, match=rf"b: runs of an ensemble must agree in {key}, found"):
        open_members(runs, None)


def test_an_ensemble_averages_probabilities(make_run) -> None:
    runs = [make_run("a", logits=[0.0]).path, make_run("b", logits=[100.0]).path]

    probs = _probs(open_members(runs, None), np.zeros((1, 10, 20, 16), dtype=np.uint8))

    assert probs.shape == (1, 10, 20, 16)
    assert torch.allclose(probs, torch.tensor(0.75))


def test_members_with_other_normalisation_or_patches_see_their_own_input(make_run) -> None:
    image = np.random.default_rng(0).integers(0, 255, (1, 20, 18, 17)).astype(np.uint8)
    ranged = Normalizer("range", (0.0,), (255.0,), (127.5,), (127.5,))
    runs = [
        make_run("a", seed=1).path,
        make_run("b", seed=2).path,
        make_run("c", seed=3, normalizer=ranged).path,
        make_run("d", seed=4, sampling__patch_size=[8, 8, 8]).path,
    ]
    members = open_members(runs, None)

    together = _probs(members, image)
    alone = [_probs([member], image) for member in members]

    assert torch.allclose(together, torch.stack(alone).mean(dim=0), atol=1e-6)


def test_progress_counts_all_passes_as_one(make_run) -> None:
    image = np.zeros((1, 16, 16, 24), dtype=np.uint8)
    runs = [make_run("a").path, make_run("b", sampling__patch_size=[8, 16, 16]).path]
    checkpoints = [member.checkpoint for member in open_members(runs, None)]
    told = []

    Predictor(checkpoints, SETTINGS, MACHINE)(
        image, case_statistics(image, None), lambda done, total: told.append((done, total))
    )

    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize("kind", ["bool", "int8", ">i2", "uint16", "float64"])
def test_images_of_any_type_and_byte_order_are_taken(make_run, kind: str) -> None:
    plain = np.random.default_rng(0).integers(0, 2, (1, 16, 16, 16)).astype(np.uint8)
    image = plain.astype(kind)
    image.setflags(write=False)
    members = open_members([make_run("a").path], None)

    assert torch.equal(_probs(members, image), _probs(members, plain))


def test_a_network_that_gives_no_numbers_is_refused(make_run) -> None:
    members = open_members([make_run("a", logits=[float("nan")]).path], None)

    with pytest.raises(InputError, match=r"best\.pt: gives NaN or infinite probabilities"):
        _probs(members, np.zeros((1, 16, 16, 16), dtype=np.uint8))


def test_what_the_command_line_leaves_out_stays_as_the_run_had_it() -> None:
    settings = InferenceConfig(overlap=0.25, batch_size=3, mirror=True)

    assert inference_settings(settings, None, None) == settings
    assert inference_settings(settings, 0.75, False) == InferenceConfig(
        overlap=0.75, batch_size=3, mirror=False
    )
    assert runtime_settings(RuntimeConfig(device="cuda"), "cpu").device == "cpu"
    assert runtime_settings(RuntimeConfig(device="cuda"), None).device == "cuda"


def test_bad_overlap_and_device_are_refused() -> None:
    with pytest.raises(InputError, match=r"--overlap: must be at least 0 and below 1, found 1"):
        inference_settings(InferenceConfig(), 1.0, None)
    with pytest.raises(InputError, match=r"--device: must be one of .*, found 'gpu'"):
        runtime_settings(RuntimeConfig(), "gpu")
