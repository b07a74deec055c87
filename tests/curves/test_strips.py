"""Training strips and their augmentation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from vesuv.curves.config import CurveAugmentConfig, StripsConfig
from vesuv.curves.geometry import Borehole
from vesuv.curves.logs import ImageLog
from vesuv.curves.picks import Pick
from vesuv.curves.strips import (
    Strip,
    StripSampler,
    cut_strip,
    mirrored,
    normalised,
    turned,
    upside_down,
)

HOLE = Borehole(200.0, 5.0)
PICK = Pick(20.0, 35.0, 70.0, kind=1)


def drawn(picks: tuple[Pick, ...], rows: int = 60, columns: int = 72) -> np.ndarray:
    """An image whose darkest row in each column is that of the only pick."""
    image = np.zeros((rows, columns), dtype=np.float32)
    for pick in picks:
        line = HOLE.rows(pick.row, pick.dip, pick.azimuth, columns)
        image -= np.exp(-0.5 * (np.arange(rows)[:, None] - line) ** 2).astype(np.float32)
    return image


@pytest.mark.parametrize(
    "change",
    [lambda strip: turned(strip, 7), mirrored, upside_down],
    ids=["turn", "mirror", "over"],
)
def test_the_pick_follows_the_image(change: Callable[[Strip], Strip]) -> None:
    strip = change(Strip(drawn((PICK,)), (PICK,)))

    np.testing.assert_allclose(strip.image, drawn(strip.picks), atol=1e-5)
    assert strip.picks != (PICK,)


def test_the_masks_hold_curves_whose_depth_lies_beside_the_strip() -> None:
    log = np.zeros((200, 72), dtype=np.float32)
    near, far = Pick(58.0, 45.0, 90.0, kind=1), Pick(58.0, 5.0, 90.0, kind=0)

    strip = cut_strip(log, [near, far], 60, 40)

    assert strip.picks == ()
    assert strip.curves == (Pick(-2.0, 45.0, 90.0, kind=1),)
    masks = strip.masks()
    assert masks.shape == (2, 40, 72)
    # An amplitude of 20 rows: the deepest point is at 90 degrees, in row 18.
    assert masks[1, 18, 18]
    assert not masks[1, 21:].any()
    assert not masks[0].any()


def test_picks_lie_in_the_reference_hole() -> None:
    rng = np.random.default_rng(0)
    picks = (Pick(20.0, 45.0, 70.0, 1),)
    image = rng.normal(size=(40, 72)).astype(np.float32)
    log = ImageLog("a", image, Borehole(400.0, 5.0), picks=picks)
    strips = StripSampler([log], StripsConfig(rows=40, columns=72), None, 0).batch(0, 0)

    # the amplitude of 40 rows is twice the radius of the reference hole
    assert strips.picks[0][0].dip == pytest.approx(np.degrees(np.arctan(2.0)))


def test_a_strip_beyond_the_log_is_missing_there() -> None:
    strip = cut_strip(np.ones((50, 8), dtype=np.float32), [Pick(45.0, 0, 0, 0)], 40, 20)

    assert strip.picks[0].row == 5.0
    assert np.isnan(strip.image[10:]).all()
    values, measured = strip.tensor()
    assert values[10:].abs().sum() == 0.0
    assert measured.sum() == 10 * 8


def test_grey_values_are_normalised_without_the_missing_ones() -> None:
    image = np.array([[np.nan, 10.0, 20.0, 30.0]], dtype=np.float32)
    log = ImageLog("a", image, HOLE)

    np.testing.assert_allclose(
        normalised(log), [[np.nan, -10 / 6.8, 0.0, 10 / 6.8]], atol=1e-5
    )  # 16th and 84th percentile: 13.2 and 26.8


def sampler(augment: CurveAugmentConfig | None, with_picks: float = 0.7) -> StripSampler:
    rng = np.random.default_rng(0)
    log = ImageLog("a", rng.normal(size=(1000, 72)).astype(np.float32), HOLE, picks=(PICK,))
    return StripSampler([log], StripsConfig(rows=40, columns=72, with_picks=with_picks), augment, 3)


def test_a_step_has_the_same_strips_whenever_it_is_drawn() -> None:
    first, again = sampler(CurveAugmentConfig()), sampler(CurveAugmentConfig())
    first.batch(0, 0)

    one, other = first.batch(2, 5), again.batch(2, 5)

    assert torch.equal(one.images, other.images)
    assert one.picks == other.picks
    assert not torch.equal(one.images, again.batch(2, 6).images)


def test_the_asked_share_of_strips_holds_a_pick() -> None:
    batches = [sampler(None, with_picks=1.0).batch(0, step) for step in range(5)]

    assert all(picks for batch in batches for picks in batch.picks)


def test_without_augmentation_strips_begin_at_multiples_of_their_rows() -> None:
    strips = [sampler(None, with_picks=1.0).batch(0, step).picks[0][0].row for step in range(20)]

    assert set(strips) == {20.0}
