"""Colours of instances."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from vesuv.report.instance_colours import edges, instance_colours, painted_instances


def test_the_first_colours_are_far_apart_and_stay_the_same() -> None:
    colours = instance_colours(np.arange(1, 21))

    lab = rgb2lab(colours[None] / 255)[0]
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(20, 1)]
    assert distances.min() > 30
    assert (lab[:, 0] > 49).all(), "none is as dark as the background"
    assert (np.hypot(lab[:, 1], lab[:, 2]) > 29).all(), "none is as grey as an image"
    assert instance_colours(np.array([1, 2])).tolist() == [[222, 149, 10], [204, 2, 251]]


@pytest.mark.parametrize("step", [1, 10, 1000, 2**32])
def test_127_names_in_any_step_have_127_colours(step: int) -> None:
    names = np.arange(1, 128, dtype=np.uint64) * np.uint64(step)

    assert len(np.unique(instance_colours(names), axis=0)) == 127


def test_an_edge_lies_below_and_right_of_a_change() -> None:
    names = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]])

    expected = [[False, False, True], [False, False, True], [True, True, True]]
    assert edges(names).tolist() == expected
    painted = painted_instances(names)
    assert painted[0, 0].tolist() == instance_colours(names)[0, 0].tolist()
    assert painted[0, 2] == pytest.approx(0.55 * instance_colours(names)[0, 2])
