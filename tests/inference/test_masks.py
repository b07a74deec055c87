from __future__ import annotations

import numpy as np
import torch

from vesuv.config.labels import TWO_CLASSES, LabelsConfig, Targets
from vesuv.config.postprocess import read_chain
from vesuv.inference.masks import ClassCut, MaskSettings, class_score, class_weight

SMALL = {"name": "remove_small", "voxels": 2, "connectivity": 26}
HYSTERESIS = {"name": "hysteresis", "low": 0.3, "high": 0.8}
THREE = Targets.of_classes(("air", "one", "two"))
REGIONS = LabelsConfig(
    classes={"air": 0, "front": 4, "back": 6, "ink": 8},
    regions={"sheet": ("front", "back", "ink"), "back": ("back",), "ink": ("ink",)},
).targets


def channels(*rows: list[float]) -> torch.Tensor:
    """Return probabilities (k, 1, 1, x)."""
    return torch.tensor(rows)[:, None, None]


def line(probs: torch.Tensor, settings: MaskSettings) -> list[int]:
    return settings.classes(probs)[0, 0].tolist()


def test_one_channel_is_cut_at_the_threshold_itself() -> None:
    assert line(channels([0.4, 0.5, 0.6]), MaskSettings.alike(TWO_CLASSES, 0.5)) == [0, 1, 1]


def test_a_chain_that_cuts_needs_no_threshold() -> None:
    chain = read_chain([HYSTERESIS], "test")
    settings = MaskSettings.alike(TWO_CLASSES, None, chain)

    assert line(channels([0.4, 0.1, 0.4, 0.9]), settings) == [0, 0, 1, 1]


def test_one_channel_is_cut_and_then_processed() -> None:
    probs = channels([0.9, 0.5, 0.1, 0.6, 0.1, 0.4, 0.4])

    def mask(threshold, *steps):
        chain = read_chain(list(steps), "test")
        return line(probs, MaskSettings.alike(TWO_CLASSES, threshold, chain))

    assert mask(0.5) == [1, 1, 0, 1, 0, 0, 0]
    assert mask(0.4) == [1, 1, 0, 1, 0, 1, 1]
    assert mask(0.4, SMALL) == [1, 1, 0, 0, 0, 1, 1]
    assert mask(None, HYSTERESIS) == [1, 1, 0, 0, 0, 0, 0]


def test_steps_in_physical_units_see_the_spacing() -> None:
    chain = read_chain([{"name": "remove_small", "volume": 3.0}], "test")
    settings = MaskSettings.alike(TWO_CLASSES, 0.5, chain)
    probs = channels([0.9, 0.9, 0.0, 0.9])

    assert settings.classes(probs, (1.0, 1.0, 2.0))[0, 0].tolist() == [1, 1, 0, 0]
    assert settings.classes(probs, (1.0, 1.0, 1.0))[0, 0].tolist() == [0, 0, 0, 0]


def test_two_classes_with_a_channel_each_have_a_threshold_as_one_channel_has() -> None:
    probs = channels([0.8, 0.65, 0.45], [0.2, 0.35, 0.55])

    assert line(probs, MaskSettings.alike(TWO_CLASSES, None)) == [0, 0, 1]
    assert line(probs, MaskSettings.alike(TWO_CLASSES, 0.3)) == [0, 1, 1]
    assert line(probs, MaskSettings.alike(TWO_CLASSES, 0.6)) == [0, 0, 0]


def test_without_thresholds_the_likeliest_class_is_predicted() -> None:
    probs = torch.softmax(torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0)), 0)

    classes = MaskSettings.alike(THREE, None).classes(probs)

    assert np.array_equal(classes, probs.argmax(dim=0).numpy())


def test_each_class_has_a_threshold_against_the_likeliest_other() -> None:
    #                air likelier      one and two alike   two likelier
    probs = channels([0.55, 0.50, 0.1], [0.25, 0.25, 0.3], [0.2, 0.25, 0.6])

    def mask(one, two):
        return line(probs, MaskSettings((ClassCut(one), ClassCut(two)), THREE))

    assert mask(None, None) == [0, 0, 2]
    # at 0.3 a class counts 7/3 of its probability: one 0.583 beats air, and two 0.6 stays ahead
    assert mask(0.3, None) == [1, 1, 1]
    assert mask(0.3, 0.25) == [2, 2, 2]
    # at 0.7 two counts 3/7 of its probability, 0.257 against 0.3 of one
    assert mask(None, 0.7) == [0, 0, 1]


def test_a_weight_is_the_odds_against_a_threshold() -> None:
    assert class_weight(None) == class_weight(0.5) == 1.0
    assert class_weight(0.25) == 3.0
    probs = channels([0.5], [0.2], [0.3])

    # the strongest rival of class one: air 0.5, class two 3 · 0.3
    score = class_score(probs, (0.5, 0.25), 0, THREE)

    assert float(score) == float(torch.tensor(0.2) / (torch.tensor(0.2) + torch.tensor(0.3) * 3))


def test_each_class_is_processed_by_steps_of_its_own() -> None:
    # air | one | two, along a line
    probs = channels(
        [0.1, 0.2, 0.1, 0.4, 0.1, 0.9, 0.2],
        [0.8, 0.2, 0.1, 0.35, 0.1, 0.05, 0.7],
        [0.1, 0.6, 0.8, 0.25, 0.8, 0.05, 0.1],
    )
    close = read_chain([{"name": "closing", "radius": [0, 0, 1]}], "test")
    largest = read_chain([{"name": "keep_largest"}], "test")
    low = read_chain([{"name": "hysteresis", "low": 0.45, "high": 0.7}], "test")

    def mask(one=(), two=()):
        return line(probs, MaskSettings((ClassCut(None, one), ClassCut(None, two)), THREE))

    assert mask() == [1, 2, 2, 0, 2, 0, 1]
    assert mask(largest, ()) == [1, 2, 2, 0, 2, 0, 0]
    assert mask((), largest) == [1, 2, 2, 0, 0, 0, 1]
    # a gap of two is filled with two; of one nothing is near
    assert mask((), close) == [1, 2, 2, 2, 2, 0, 1]
    # one is 0.35 / (0.35 + 0.4) = 0.47, but nothing above 0.7 is connected with it
    assert mask(low, ()) == [1, 2, 2, 0, 2, 0, 1]


def test_a_voxel_that_two_classes_claim_gets_the_likelier() -> None:
    probs = channels([0.2, 0.1, 0.2], [0.6, 0.3, 0.6], [0.2, 0.6, 0.2])
    close = read_chain([{"name": "closing", "radius": [0, 0, 1]}], "test")

    settings = MaskSettings((ClassCut(None, close), ClassCut(None)), THREE)

    assert line(probs, settings) == [1, 2, 1]


def test_regions_are_written_one_over_the_other() -> None:
    probs = channels([0.9, 0.9, 0.9, 0.2, 0.2], [0.1, 0.8, 0.8, 0.1, 0.7], [0.1, 0.1, 0.6, 0.1, 0])

    assert line(probs, MaskSettings.alike(REGIONS, 0.5)) == [1, 2, 3, 0, 2]
    assert line(probs, MaskSettings.alike(REGIONS, 0.65)) == [1, 2, 2, 0, 2]


def test_each_region_has_its_own_threshold_and_steps() -> None:
    probs = channels([0.9, 0.4, 0.9, 0.4], [0.1, 0.8, 0.8, 0.6], [0.1, 0.1, 0.1, 0.1])
    largest = read_chain([{"name": "keep_largest"}], "test")

    settings = MaskSettings((ClassCut(0.3), ClassCut(0.7, largest), ClassCut(0.5)), REGIONS)

    assert line(probs, settings) == [1, 2, 2, 1]


def test_rounding_changes_no_region_at_its_threshold() -> None:
    # two regions of equal probability: neither is the likelier
    probs = channels([0.697], [0.697], [0.0])
    settings = MaskSettings((ClassCut(0.7), ClassCut(0.7), ClassCut(0.5)), REGIONS)

    assert line(probs, settings) == [0]
