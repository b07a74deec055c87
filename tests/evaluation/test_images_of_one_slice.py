"""Measures of a volume of one slice are those of the image: outlines, not faces; by hand."""

import numpy as np
import pytest
from scipy import ndimage

from vesuv.diagnosis.probes.structure import thickness
from vesuv.evaluation.betti import betti_numbers
from vesuv.evaluation.centerline import cldice, medial_surface
from vesuv.evaluation.distances import surface_distances
from vesuv.evaluation.leaderboard import leaderboard_measure
from vesuv.evaluation.surface import surface_dice
from vesuv.evaluation.thinning import curve_skeleton

SQUARE = np.zeros((1, 13, 13), bool)
SQUARE[0, 2:11, 2:11] = True
RING = SQUARE.copy()
RING[0, 5:8, 5:8] = False
BAR = np.zeros((1, 11, 31), bool)
BAR[0, 3:8, 3:28] = True


def test_the_surface_dice_is_that_of_the_outlines() -> None:
    # a side of n pixels: n - 1 corner points of length 1; four corners of sqrt(1/2)
    outline, hole = 4 * 8 + 4 * 0.5**0.5, 4 * 2 + 4 * 0.5**0.5

    (score,) = surface_dice(RING, SQUARE, (1.0,))

    assert score == pytest.approx(2 * outline / (2 * outline + hole))


def test_the_size_of_the_missing_axis_changes_no_outline() -> None:
    thin, thick = (surface_dice(RING, SQUARE, (1.0,), None, (z, 1.0, 1.0)) for z in (0.01, 50.0))

    assert thin == pytest.approx(thick)


def test_distances_run_between_outlines() -> None:
    # the ring has the square's 32 outline pixels, and 12 around the hole, two pixels further in
    distances = surface_distances(RING, SQUARE)

    assert distances.average == pytest.approx(24 / 76)
    assert distances.hd95 == 2.0


def test_a_volume_of_several_slices_keeps_its_faces() -> None:
    slab = np.zeros((3, 13, 13), bool)
    slab[1] = SQUARE[0]

    (score,) = surface_dice(slab, np.roll(slab, 1, axis=0), (0.5,))

    assert score < 0.9


def test_the_skeleton_of_a_bar_is_its_middle_row() -> None:
    rows, columns = np.nonzero(curve_skeleton(BAR)[0])

    assert set(rows) == {5}
    assert columns.min() <= 6
    assert columns.max() >= 24


def test_the_skeleton_of_a_ring_is_a_ring() -> None:
    skeleton = curve_skeleton(RING)

    assert ndimage.label(skeleton, np.ones((3, 3, 3)))[1] == 1
    assert ndimage.label(~skeleton[0])[1] == 2
    assert skeleton.sum() < RING.sum() / 2


def test_a_ring_is_a_component_with_a_loop() -> None:
    assert betti_numbers(RING) == (1, 1, 0)


def test_cldice_of_a_shifted_bar_falls_with_the_overlap_of_the_middle_rows() -> None:
    assert cldice(BAR, BAR) == 1.0
    assert cldice(np.roll(BAR, 2, axis=1), BAR) == 1.0
    assert cldice(np.roll(BAR, 3, axis=1), BAR) == 0.0


def test_the_medial_surface_of_a_bar_is_its_middle_row() -> None:
    medial = medial_surface(BAR)[0]

    assert medial[5, 8:23].all()
    assert not medial[[3, 4, 6, 7], 9:22].any()


def test_the_leaderboard_score_of_an_image_is_one_where_it_is_right() -> None:
    from tests.evaluation.test_digitization import pair

    row = leaderboard_measure("exact").row(pair(RING, RING))

    assert next(iter(row.values())) == pytest.approx(1.0)


def test_the_thickness_is_measured_in_the_plane() -> None:
    assert thickness(BAR) == 5.0
    assert thickness(np.ones((1, 1, 4), bool)) == 4.0
