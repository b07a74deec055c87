"""Structure, augmentation and sampling of several classes, each by itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import tiny_tree
from vesuv.config import Config, check
from vesuv.config.labels import Targets
from vesuv.data.case import Case, MemoryCase
from vesuv.data.preparation import prepare_in_memory
from vesuv.diagnosis.probes.sampling import measure_class_sampling
from vesuv.diagnosis.probes.structure import _only_target, measure_structures

TARGETS = Targets.of_classes(("background", "ink", "membrane"))


@pytest.fixture
def config() -> Config:
    tree: dict[str, Any] = tiny_tree(Path(), Path())
    tree["labels"] = {"classes": {"background": 0, "ink": 1, "membrane": 3}, "ignore": 2}
    tree["model"] = {**tree["model"], "out_channels": 3}
    return check(tree, "test")


@pytest.fixture
def cases(config: Config) -> list[MemoryCase]:
    """Ink of 2 voxels every 10, membrane of 5 every 20; one corner of ink is ignored."""
    label = np.zeros((40, 44, 80), np.uint8)
    for start in range(4, 80, 10):
        label[:, :, start : start + 2] = 1
    for start in range(7, 80, 20):
        label[:, :, start : start + 5] = 3
    label[:4, :4] = 2
    image = np.random.default_rng(0).normal(size=label.shape).astype(np.float32)
    return prepare_in_memory([Case("a", image, label), Case("b", image, label)], config)


def test_each_class_has_its_own_thickness_and_extent(cases: list[MemoryCase]) -> None:
    found = measure_structures(cases, TARGETS)

    assert set(found) == {"ink", "membrane"}
    assert found["ink"].thickness == 2.0 and found["membrane"].thickness == 5.0
    assert found["ink"].extent == (40, 44, 80)


def test_each_class_is_counted_in_drawn_patches(cases: list[MemoryCase], config: Config) -> None:
    label = np.asarray(cases[0].label)
    num_valid = int((label != 255).sum())
    whole = config.sampling.model_copy(update={"patch_size": (40, 44, 80)})

    found = measure_class_sampling(cases, whole, TARGETS, seed=0)

    for index, name in ((1, "ink"), (2, "membrane")):
        share = int((label == index).sum()) / num_valid
        assert found[name].patches == 1.0
        assert found[name].patch_share == pytest.approx(share)
        assert found[name].volume_share == pytest.approx(share)


def test_a_class_that_small_patches_seldom_hold_is_told(
    cases: list[MemoryCase], config: Config
) -> None:
    tiny = config.sampling.model_copy(update={"patch_size": (2, 2, 2), "foreground_share": 0.0})

    found = measure_class_sampling(cases, tiny, TARGETS, seed=0)

    # A patch of 2 holds ink at 3 of 10 places and membrane at 6 of 20.
    assert found["ink"].patches == pytest.approx(0.3, abs=0.15)
    assert found["membrane"].patches == pytest.approx(0.3, abs=0.15)


def test_one_class_is_left_of_a_patch() -> None:
    label = torch.tensor([[[0, 1, 2, 255]]], dtype=torch.uint8)

    _, only_second = _only_target((torch.zeros(1, 1, 1, 4), label), [2])
    _, only_first = _only_target((torch.zeros(1, 1, 1, 4), label), [1])

    assert only_second.tolist() == [[[0, 255, 1, 255]]]
    assert only_first.tolist() == [[[0, 1, 255, 255]]]
