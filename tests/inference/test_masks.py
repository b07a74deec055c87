from __future__ import annotations

import torch

from vesuv.config.postprocess import read_chain
from vesuv.inference.masks import class_mask


def test_one_channel_is_cut_at_the_threshold_itself() -> None:
    probs = torch.tensor([0.4, 0.5, 0.6]).reshape(1, 1, 1, 3)

    assert class_mask(probs, 0.5, ()).flatten().tolist() == [0, 1, 1]


def test_a_chain_that_cuts_needs_no_threshold() -> None:
    probs = torch.tensor([0.4, 0.1, 0.4, 0.9]).reshape(1, 1, 1, 4)
    chain = read_chain([{"name": "hysteresis", "low": 0.3, "high": 0.8}], "test")

    assert class_mask(probs, None, chain).flatten().tolist() == [0, 0, 1, 1]


def test_several_classes_are_cut_as_one_and_then_told_apart() -> None:
    #                       class 2     class 1 but background is likelier     background
    probs = torch.tensor([[0.2, 0.45, 0.9], [0.3, 0.4, 0.05], [0.5, 0.15, 0.05]])
    probs = probs.reshape(3, 1, 1, 3)
    chain = read_chain([{"name": "threshold", "value": 0.5}], "test")

    assert class_mask(probs, None, ()).flatten().tolist() == [2, 0, 0]
    assert class_mask(probs, None, chain).flatten().tolist() == [2, 1, 0]
