from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from vesuv.config.postprocess import read_chain
from vesuv.inference.postprocess import STEPS, apply_chain

PROBS = np.array([[[0.9, 0.5, 0.2, 0.6, 0.2, 0.2, 0.5, 0.95]]], np.float32)


def chain(*steps):
    return read_chain(list(steps), "test")


def test_a_step_is_called_by_the_name_in_its_configuration() -> None:
    assert {name: step.model_fields["name"].default for name, step in STEPS.items()} == {
        name: name for name in STEPS
    }


def test_steps_follow_in_their_order() -> None:
    cut = {"name": "hysteresis", "low": 0.4, "high": 0.9}
    close = {"name": "closing", "radius": [0, 0, 1]}
    small = {"name": "remove_small", "voxels": 3}
    half = {"name": "threshold", "value": 0.4}

    def line(*steps):
        return apply_chain(PROBS, chain(*steps)).astype(int).tolist()[0][0]

    assert line(cut) == [1, 1, 0, 0, 0, 0, 1, 1]
    assert line(half) == [1, 1, 0, 1, 0, 0, 1, 1]
    assert line(half, close, small) == [1, 1, 1, 1, 1, 1, 1, 1]
    assert line(half, small, close) == [0, 0, 0, 0, 0, 0, 0, 0]


def test_a_mask_is_not_cut_again_and_not_changed() -> None:
    mask = PROBS >= 0.4
    before = mask.copy()

    found = apply_chain(mask, chain({"name": "keep_largest"}))

    assert found.sum() == 2
    assert np.array_equal(mask, before)
    with pytest.raises(AssertionError):
        apply_chain(mask, chain({"name": "threshold", "value": 0.5}))
    with pytest.raises(AssertionError):
        apply_chain(PROBS, chain({"name": "keep_largest"}))
    with pytest.raises(AssertionError):
        apply_chain(PROBS, ())


@pytest.mark.parametrize(
    "step",
    [
        {"name": "remove_small", "voxels": 3, "connectivity": 6},
        {"name": "fill_cavities"},
        {"name": "plug_holes"},
        {"name": "opening", "radius": 2},
        {"name": "closing", "radius": [1, 0, 2]},
        {"name": "diagonal_fill"},
        {"name": "keep_largest", "num": 2, "connectivity": 18},
    ],
    ids=lambda step: step["name"],
)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 5), (5, 1, 4)])
def test_every_step_takes_thin_and_empty_volumes_as_they_are(step, shape) -> None:
    mask = np.random.default_rng(0).random(shape) < 0.5
    before = mask.copy()

    found = apply_chain(mask, chain(step))

    assert found.shape == shape
    assert found.dtype == np.bool_
    assert np.array_equal(mask, before)
    assert not apply_chain(np.zeros(shape, bool), chain(step)).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_is_filled_and_closed_as_an_image(axis: int) -> None:
    image = np.zeros((9, 12), bool)
    image[1:8, 1:11] = True
    image[3, 3] = image[5:7, 6] = False
    image[4, 9:] = False
    mask = np.expand_dims(image, axis)

    filled = apply_chain(mask, chain({"name": "fill_cavities"}))
    closed = apply_chain(mask, chain({"name": "closing", "radius": [2, 2, 2]}))

    assert np.array_equal(filled, np.expand_dims(ndimage.binary_fill_holes(image), axis))
    disk = np.hypot(*np.ogrid[-2:3, -2:3]) <= 2
    expected = ndimage.binary_closing(np.pad(image, 2), disk)[2:-2, 2:-2]
    assert np.array_equal(closed, np.expand_dims(expected, axis))
