"""Queries attend to the tokens near their depth."""

from __future__ import annotations

import torch

from vesuv.curves.attention import PlaceAttention, depth_codes


def test_a_query_begins_with_the_tokens_near_its_depth() -> None:
    torch.manual_seed(0)
    depths = (torch.arange(25) + 0.5) / 25
    nearness = PlaceAttention(64, 4)(depth_codes(depths[[4, 20]], 64), depth_codes(depths, 64))

    weights = nearness.softmax(-1)

    assert weights.argmax(-1).tolist() == [[4, 20]] * 4
    assert weights[:, 0, 2:7].sum(-1).mean() > 0.6
