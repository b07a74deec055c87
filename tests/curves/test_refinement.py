"""Picks beside a drawn curve are moved to it."""

from __future__ import annotations

import numpy as np
import pytest

from vesuv.curves.geometry import Borehole
from vesuv.curves.masks import draw_mask
from vesuv.curves.picks import Pick
from vesuv.curves.refinement import refined

HOLE = Borehole(160.0, 5.0)


def drawn(pick: Pick) -> np.ndarray:
    """Probabilities (2, 120, 90) of the curve of a pick, every fourth column of the log."""
    curves = np.zeros((2, 120, 90), dtype=np.float32)
    curves[pick.kind] = draw_mask([pick], HOLE, (120, 360))[:, ::4] > 0
    return curves


@pytest.mark.parametrize(
    ("true", "pick"),
    [
        (Pick(60.0, 50.0, 210.0, 1), Pick(63.0, 45.0, 203.0, 1, 0.7)),
        (Pick(40.4, 20.0, 355.0, 0), Pick(38.0, 24.0, 5.0, 0, 0.7)),
        (Pick(3.0, 40.0, 90.0, 1), Pick(5.0, 37.0, 95.0, 1, 0.7)),  # half of it above the log
    ],
)
def test_a_pick_is_moved_to_the_curve(true: Pick, pick: Pick) -> None:
    result = refined(pick, drawn(true), HOLE)

    assert result.row == pytest.approx(true.row, abs=0.4)
    assert result.dip == pytest.approx(true.dip, abs=1.5)
    assert (result.azimuth - true.azimuth + 180) % 360 - 180 == pytest.approx(0, abs=3)
    assert (result.kind, result.score) == (pick.kind, pick.score)


def test_a_pick_without_a_curve_of_its_kind_stays() -> None:
    pick = Pick(60.0, 50.0, 210.0, 1, 0.7)

    assert refined(pick, drawn(Pick(60.0, 50.0, 210.0, 0)), HOLE) == pick
