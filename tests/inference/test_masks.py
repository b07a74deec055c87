from __future__ import annotations

import torch

from vesuv.config.postprocess import read_chain
from vesuv.inference.masks import MaskSettings

SMALL = {"name": "remove_small", "voxels": 2, "connectivity": 26}
HYSTERESIS = {"name": "hysteresis", "low": 0.3, "high": 0.8}


def test_one_channel_is_cut_at_the_threshold_itself() -> None:
    probs = torch.tensor([0.4, 0.5, 0.6]).reshape(1, 1, 1, 3)

    assert MaskSettings(0.5, ()).classes(probs).flatten().tolist() == [0, 1, 1]


def test_a_chain_that_cuts_needs_no_threshold() -> None:
    probs = torch.tensor([0.4, 0.1, 0.4, 0.9]).reshape(1, 1, 1, 4)
    chain = read_chain([{"name": "hysteresis", "low": 0.3, "high": 0.8}], "test")

    assert MaskSettings(None, chain).classes(probs).flatten().tolist() == [0, 0, 1, 1]


def test_several_classes_are_cut_as_one_and_then_told_apart() -> None:
    #                       class 2     class 1 but background is likelier     background
    probs = torch.tensor([[0.2, 0.45, 0.9], [0.3, 0.4, 0.05], [0.5, 0.15, 0.05]])
    probs = probs.reshape(3, 1, 1, 3)
    chain = read_chain([{"name": "threshold", "value": 0.5}], "test")

    assert MaskSettings(None, ()).classes(probs).flatten().tolist() == [2, 0, 0]
    assert MaskSettings(None, chain).classes(probs).flatten().tolist() == [2, 1, 0]


def test_one_channel_is_cut_and_then_processed() -> None:
    probs = torch.tensor([[[[0.9, 0.5, 0.1, 0.6, 0.1, 0.4, 0.4]]]])

    def line(threshold, *steps):
        chain = read_chain(list(steps), "test")
        return MaskSettings(threshold, chain).classes(probs)[0, 0].tolist()

    assert line(0.5) == [1, 1, 0, 1, 0, 0, 0]
    assert line(0.4) == [1, 1, 0, 1, 0, 1, 1]
    assert line(0.4, SMALL) == [1, 1, 0, 0, 0, 1, 1]
    assert line(None, HYSTERESIS) == [1, 1, 0, 0, 0, 0, 0]


def test_several_classes_are_processed_as_one_foreground() -> None:
    # air | one | two, along a line; the fourth voxel is air by a little and likelier one than two
    probs = torch.tensor(
        [
            [0.1, 0.2, 0.1, 0.4, 0.1, 0.9, 0.2],
            [0.8, 0.2, 0.1, 0.35, 0.1, 0.05, 0.7],
            [0.1, 0.6, 0.8, 0.25, 0.8, 0.05, 0.1],
        ]
    )[:, None, None]

    def line(*steps):
        chain = read_chain(list(steps), "test")
        return MaskSettings(None, chain).classes(probs)[0, 0].tolist()

    close = {"name": "closing", "radius": [0, 0, 1]}
    assert line() == probs.argmax(dim=0)[0, 0].tolist() == [1, 2, 2, 0, 2, 0, 1]
    assert line({"name": "keep_largest"}) == [1, 2, 2, 0, 0, 0, 0]
    assert line(close) == [1, 2, 2, 1, 2, 1, 1]
    assert line({"name": "threshold", "value": 0.55}) == [1, 2, 2, 1, 2, 0, 1]
    assert line({"name": "hysteresis", "low": 0.55, "high": 0.85}) == [1, 2, 2, 1, 2, 0, 0]
