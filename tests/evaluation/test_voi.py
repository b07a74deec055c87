from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import variation_of_information as by_scikit_image

from vesuv.evaluation import contingency
from vesuv.evaluation.voi import component_voi, variation_of_information

GALA = Path(__file__).parents[1] / "data/voi_gala/segmentations.npz"


@pytest.mark.parametrize(
    ("name", "merge", "split"),
    [
        ("ws", 0.184529, 1.647744),
        ("seg1", 0.364882, 0.304539),
        ("seg4", 0.395047, 0.234176),
    ],
)
def test_the_values_that_gala_publishes_come_out(name: str, merge: float, split: float) -> None:
    with np.load(GALA) as volumes:
        segmentation, truth = volumes[name], volumes["gt"]

    result = variation_of_information(segmentation, truth, (segmentation != 0) & (truth != 0))

    assert result == pytest.approx((split, merge), abs=1e-6)


def test_a_segment_cut_in_halves_costs_one_bit_of_split() -> None:
    result = variation_of_information(np.array([1, 1, 2, 2]), np.array([5, 5, 5, 5]))

    assert result == (1.0, 0.0)


def test_two_segments_run_together_cost_one_bit_of_merge() -> None:
    result = variation_of_information(np.array([3, 3, 3, 3]), np.array([1, 1, 2, 2]))

    assert result == (0.0, 1.0)


@pytest.mark.parametrize("dense", [0, 1 << 20])
def test_it_agrees_with_scikit_image(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contingency, "_DENSE", dense)
    rng = np.random.default_rng(0)
    prediction, truth = rng.integers(0, 30, (2, 2000))

    merge, split = by_scikit_image(prediction, truth)

    assert variation_of_information(prediction, truth) == pytest.approx((split, merge))


def test_components_join_over_a_corner_and_are_compared_over_the_union() -> None:
    label = np.zeros((2, 2, 4), bool)
    label[0, 0, 0] = label[1, 1, 1] = True  # one 26-connected component
    prediction = label.copy()
    prediction[1, 1, 1] = False

    assert component_voi(label, label) == (0.0, 0.0)
    assert component_voi(prediction, label) == (1.0, 0.0)  # the label is half found, half not


def test_nothing_to_compare_costs_nothing() -> None:
    empty = np.zeros((2, 2, 2), bool)

    assert component_voi(empty, empty) == (0.0, 0.0)
    assert component_voi(~empty, ~empty, empty) == (0.0, 0.0)


@pytest.mark.parametrize("shape", [(1, 1, 7), (1, 7, 7), (3, 3, 3)])
def test_small_odd_volumes_of_many_components_are_compared(shape: tuple[int, int, int]) -> None:
    label = np.zeros(shape, bool)
    label[::2, ::2, ::2] = True

    assert component_voi(label, label) == (0.0, 0.0)
