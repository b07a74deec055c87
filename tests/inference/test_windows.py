from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vesuv.inference.windows import WindowGrid, cover_axis, weight_centre


def test_windows_are_evenly_spread_and_end_at_the_last_voxel() -> None:
    assert cover_axis(10, 4, 0.5).corners == (0, 2, 4, 6)
    assert cover_axis(11, 4, 0.5).corners == (0, 2, 4, 5, 7)  # 7 / 4 apart, rounded
    assert cover_axis(4, 4, 0.5).corners == (0,)


def test_no_overlap_makes_no_more_windows_than_needed() -> None:
    assert cover_axis(12, 4, 0.0).corners == (0, 4, 8)
    assert cover_axis(30, 10, 0.9).corners == tuple(range(21))


@given(st.integers(1, 40), st.integers(0, 60), st.floats(0.0, 0.9))
def test_shares_of_all_windows_sum_to_one_at_every_voxel(
    patch: int, room: int, overlap: float
) -> None:
    axis = cover_axis(patch + room, patch, overlap)

    total = torch.zeros(patch + room)
    for corner, weights in zip(axis.corners, axis.weights, strict=True):
        total[corner : corner + patch] += weights

    assert torch.allclose(total, torch.ones_like(total), atol=1e-6)
    steps = [b - a for a, b in zip(axis.corners, axis.corners[1:], strict=False)]
    assert all(step <= patch * (1 - overlap) + 1 for step in steps)


def test_a_window_weighs_most_at_its_centre() -> None:
    weights = cover_axis(12, 4, 0.5).weights

    # voxels 2 and 3 of windows at 0 and 2: offsets 0.5 and 1.5 from 1.5; sigma is half a voxel
    near, far = 0.6065306597, 0.0111089965
    assert weights[0, 2].item() == pytest.approx(near / (near + far), rel=1e-5)
    assert weights[1, 0].item() == pytest.approx(far / (near + far), rel=1e-5)


def test_the_largest_weight_lies_in_the_middle_or_where_nnunet_has_it() -> None:
    assert [weight_centre(patch, "probabilities") for patch in (4, 5)] == [1.5, 2.0]
    assert [weight_centre(patch, "logits") for patch in (4, 5)] == [2.0, 2.0]
    # voxel 2 of windows at 0 and 2: offsets 0 and 2 from 2; sigma is half a voxel
    weights = cover_axis(12, 4, 0.5, "logits").weights
    assert weights[0, 2].item() == pytest.approx(1 / (1 + 0.0003354626), rel=1e-6)


def test_a_row_is_cut_into_batches_of_all_its_windows() -> None:
    grid = WindowGrid.over((8, 8, 12), (4, 4, 4), 0.5)

    assert len(grid) == 3 * 3 * 5
    assert [len(batch) for batch in grid.row(4)] == [4, 4, 4, 3]
    assert {window for batch in grid.row(4) for window in batch} == {
        (j, i) for j in range(3) for i in range(5)
    }
