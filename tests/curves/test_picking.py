"""From strips to the picks of whole logs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from vesuv.curves.config import PickingConfig, StripsConfig
from vesuv.curves.detector import Detection, Queries
from vesuv.curves.geometry import Borehole
from vesuv.curves.logs import ImageLog
from vesuv.curves.picking import (
    owned_edges,
    pick_log,
    strip_curves,
    strip_starts,
    without_doubles,
)
from vesuv.curves.picks import Pick
from vesuv.runtime.machine import Machine

MACHINE = Machine(torch.device("cpu"), "float32", 0, 1, "worker")


class BrightRows(nn.Module):
    """Finds the brightest row of the strip, of which it is sure when it is bright."""

    def forward(self, strips: torch.Tensor) -> Detection:
        brightness = strips[:, 0].mean(dim=2)
        row = brightness.argmax(dim=1)
        is_bright = brightness.amax(dim=1) > 3
        logits = torch.where(
            is_bright[:, None], torch.tensor([9.0, 0, 0]), torch.tensor([0, 0, 9.0])
        )
        depth = (row[:, None] + 0.5) / strips.shape[2]
        direction = torch.zeros(len(strips), 1, 2)
        queries = Queries(logits[:, None], depth, torch.full_like(depth, 0.5), direction)
        return Detection((queries,), torch.full((len(strips), 2, 1, 1), -1e9))


@pytest.mark.parametrize("num_rows", [10, 20, 25, 60, 61])
def test_each_row_of_a_log_is_picked_once(num_rows: int) -> None:
    for row in range(num_rows):
        image = np.zeros((num_rows, 8), dtype=np.float32)
        image += np.random.default_rng(0).normal(size=image.shape).astype(np.float32) * 0.1
        image[row] = 9.0
        log = ImageLog("a", image, Borehole(200.0, 5.0))

        picks = pick_log(
            BrightRows(), log, StripsConfig(rows=20, columns=8), PickingConfig(), MACHINE
        )

        assert [pick.row for pick in picks] == pytest.approx([row], abs=1e-4)


def test_a_dip_is_that_of_the_amplitude_in_the_hole_of_the_log() -> None:
    image = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32) * 0.1
    image[7] = 9.0
    log = ImageLog("a", image, Borehole(400.0, 5.0))

    picks = pick_log(BrightRows(), log, StripsConfig(rows=20, columns=8), PickingConfig(), MACHINE)

    # 45 degrees in a hole of 200 mm: an amplitude of its radius, half that of the log's hole
    assert [pick.dip for pick in picks] == pytest.approx([np.degrees(np.arctan(0.5))])


def test_the_rows_of_features_are_the_strips_every_other_one() -> None:
    masks = torch.logit(torch.tensor([0.2, 0.6, 0.4])).reshape(1, 1, 3, 1)

    curves = strip_curves(masks, 6)

    assert curves[0, 0, :, 0].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.5, 0.4, 0.4])


class NearBrightRows(BrightRows):
    """States three rows too deep what its masks draw in the right row."""

    def forward(self, strips: torch.Tensor) -> Detection:
        queries = super().forward(strips).layers[0]
        rows = strips.shape[2]
        row = (queries.depth * rows - 0.5).round().long()
        masks = torch.full((len(strips), 2, rows, 8), -20.0)
        masks[torch.arange(len(strips)), 0, row[:, 0]] = 20.0
        flat = torch.zeros_like(queries.dip)
        moved = Queries(queries.logits, queries.depth + 3 / rows, flat, queries.direction)
        return Detection((moved,), masks)


@pytest.mark.parametrize(("refine", "expected"), [(True, 31.0), (False, 34.0)])
def test_picks_are_refined_by_the_masks_of_all_strips(refine: bool, expected: float) -> None:
    image = np.random.default_rng(0).normal(size=(61, 8)).astype(np.float32) * 0.1
    image[31] = 9.0
    log = ImageLog("a", image, Borehole(200.0, 5.0))
    strips, picking = StripsConfig(rows=20, columns=8), PickingConfig(refine=refine)

    picks = pick_log(NearBrightRows(), log, strips, picking, MACHINE)

    assert [pick.row for pick in picks] == pytest.approx([expected], abs=0.3)


def test_strips_cover_the_log_and_own_the_rows_nearest_to_them() -> None:
    assert strip_starts(250, 100, 0.5) == [0, 50, 100, 150]
    assert strip_starts(260, 100, 0.5) == [0, 50, 100, 150, 160]
    assert strip_starts(80, 100, 0.5) == [0]
    assert owned_edges([0, 50, 100], 100) == [-np.inf, 75.0, 125.0, np.inf]


def test_the_weaker_of_two_close_picks_is_dropped_unless_it_crosses() -> None:
    strong, weak = Pick(10, 40, 0, 1, 0.9), Pick(12, 40, 20, 1, 0.6)
    crossing, other_kind = Pick(11, 40, 180, 1, 0.7), Pick(10, 40, 0, 0, 0.5)

    assert without_doubles([weak, strong, crossing, other_kind], 3.0) == (
        strong,
        other_kind,
        crossing,
    )
