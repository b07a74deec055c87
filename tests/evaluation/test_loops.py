import numpy as np

from vesuv.evaluation.loops import matched_loops


def ring(shape: tuple[int, int, int], low: int, high: int, plane: int = 1) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[plane, low : high + 1, low : high + 1] = True
    mask[plane, low + 1 : high, low + 1 : high] = False
    return mask


def test_a_ring_matches_itself() -> None:
    mask = ring((3, 6, 6), 1, 4)

    assert matched_loops(mask, mask) == 1


def test_rings_apart_do_not_match() -> None:
    shape = (3, 12, 12)

    assert matched_loops(ring(shape, 0, 3), ring(shape, 6, 9)) == 0


def test_a_thicker_ring_matches_the_thin_one_inside() -> None:
    shape = (3, 9, 9)
    thick = ring(shape, 0, 7) | ring(shape, 1, 6)

    assert matched_loops(thick, ring(shape, 1, 6)) == 1


def test_a_ring_that_the_other_mask_fills_is_not_matched() -> None:
    filled = np.zeros((3, 6, 6), bool)
    filled[1, 1:5, 1:5] = True

    assert matched_loops(ring((3, 6, 6), 1, 4), filled) == 0


def test_a_broken_ring_matches_nothing() -> None:
    broken = ring((3, 6, 6), 1, 4)
    broken[1, 1, 2] = False

    assert matched_loops(broken, ring((3, 6, 6), 1, 4)) == 0


def test_an_empty_mask_matches_nothing() -> None:
    assert matched_loops(ring((3, 6, 6), 1, 4), np.zeros((3, 6, 6), bool)) == 0
