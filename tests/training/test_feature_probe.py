"""Which family of features labels need, on volumes whose labels one family tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from tests.conftest import tiny_tree
from vesuv.config import Config, check
from vesuv.data.case import Case
from vesuv.data.preparation import prepare_in_memory
from vesuv.errors import InputError
from vesuv.training.feature_probe import (
    FAMILIES,
    RANDOM,
    ProbeResult,
    _cost_without,
    probe_features,
)
from vesuv.training.fold_data import TrainingData, fold_data
from vesuv.training.pretrained import read_pretrained
from vesuv.training.train import train
from vesuv.types import Array


@pytest.fixture(scope="module")
def config() -> Config:
    tree = tiny_tree(Path("nowhere"), Path("nowhere"))
    tree |= {"sampling": {"patch_size": [24, 24, 24]}, "train": {"epochs": 1, "steps_per_epoch": 1}}
    tree["validation"] = {"tiles": 1}
    return check(tree, "tiny")


def cases_of() -> list[Case]:
    """Four volumes of blurred noise whose bright voxels are foreground."""
    cases = []
    for number in range(4):
        rng = np.random.default_rng(number)
        image: Array = ndimage.gaussian_filter(rng.normal(size=(28, 28, 28)), 1.0)
        image = (image / image.std()).astype(np.float32)
        cases.append(Case(f"c{number}", image, (image > 0.8).astype(np.uint8)))
    return cases


def probed(config: Config, cases: list[Case], folder: Path) -> ProbeResult:
    run = train(config, cases=cases, output=folder).path
    data = TrainingData.in_memory(prepare_in_memory(cases, config), config)
    return probe_features(config, fold_data(data, config, 0), read_pretrained(run))


def test_labels_of_intensities_need_textural_features(config: Config, tmp_path: Path) -> None:
    result = probed(config, cases_of(), tmp_path / "run")

    scores = {score.families: score.dice for score in result.scores}
    assert "textural" in result.needed and "contextual" not in result.needed
    assert scores["textural"] > 0.9
    assert scores["geometric"] < scores["textural"] - 0.05
    assert len(scores) == 8 and scores[" + ".join(FAMILIES)] > 0.9
    assert "textural (-0." in result.sentence.split(";")[0]
    assert "Pre-trained weights read out 0." in result.sentence


def test_a_probe_needs_held_out_cases(config: Config, tmp_path: Path) -> None:
    cases = cases_of()
    run = train(config, cases=cases, output=tmp_path / "run").path
    data = fold_data(
        TrainingData.in_memory(prepare_in_memory(cases, config), config), config, "all"
    )

    with pytest.raises(InputError, match="--fold: needs held-out cases"):
        probe_features(config, data, read_pretrained(run))


def test_a_family_is_needed_by_the_best_sets_with_and_without_it() -> None:
    scores = {"geometric": 0.5, "textural": 0.6, "geometric + textural": 0.7, RANDOM: 0.9}
    scores["geometric + textural + contextual"] = 0.65  # more features, a lower score

    assert _cost_without("geometric", scores) == pytest.approx(0.1)
    assert _cost_without("contextual", scores) == pytest.approx(-0.05)
