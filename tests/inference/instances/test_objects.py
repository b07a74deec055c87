"""Instances of a foreground: balls that touch, whose necks are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vesuv
from tests.balls import make_balls
from vesuv.evaluation.instances import compare_objects
from vesuv.inference.instances.arrays import ArrayLevels, to_levels, whole
from vesuv.inference.instances.fragment_store import StoredFragments
from vesuv.inference.instances.objects import ObjectMethod
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.inference.instances.segmentation import InstanceRun, find_instances
from vesuv.types import Array

PHANTOM = make_balls(noise=0.3)
ONE = (1.0, 1.0, 1.0)


def objects(**parameters: float) -> InstanceParameters:
    settings = {"foreground_threshold": 0.5, "seed_threshold": 0.5, "seed_smoothing": 1.0}
    return InstanceParameters.model_validate({**settings, **parameters})


def test_touching_balls_are_told_apart_at_their_necks() -> None:
    phantom = make_balls()

    found = vesuv.segment_instances(phantom.probs, objects(agglomeration_threshold=0.7))

    assert found.max() == 8
    assert np.array_equal(found > 0, phantom.probs >= 0.5)
    scores = compare_objects(found, phantom.balls)
    assert sum(scores.voi) < 0.02 and scores.f1 == 1.0
    components = (phantom.probs >= 0.5).astype(np.uint8)
    assert sum(compare_objects(components, phantom.balls).voi) > 1.0


def test_noise_changes_rims_and_not_the_number_of_balls() -> None:
    found = vesuv.segment_instances(PHANTOM.probs, objects())

    scores = compare_objects(found, PHANTOM.balls)
    assert found.max() == 8 and scores.f1 == 1.0
    assert sum(scores.voi) < 0.25


def test_a_ball_in_several_blocks_is_one_object(tmp_path: Path) -> None:
    parameters = objects(agglomeration_threshold=0.0)
    expected = vesuv.segment_instances(PHANTOM.probs, parameters)
    levels = ArrayLevels(to_levels(PHANTOM.probs))

    method, store = ObjectMethod(parameters, ONE), StoredFragments(tmp_path)
    instances = find_instances(InstanceRun(levels, method, store, block_size=24))

    found = instances.read(whole(levels.shape))
    assert compare_objects(found, expected).voi == (0.0, 0.0)
    assert set(np.unique(found)) == set(range(instances.num + 1)) == set(np.unique(expected))


def chain() -> tuple[Array, Array]:
    """Return the probability of a rod of uneven width that touches a ball, and the two objects."""
    widths = 6 + np.random.default_rng(0).uniform(-0.8, 0.8, 30)
    rod = [((10.0, 12 + 0.8 * k, 12 + 0.8 * k), width) for k, width in enumerate(widths)]
    phantom = make_balls((24, 48, 48), [*rod, ((10.0, 14.0, 34.0), 7.5)], noise=0.5)
    return phantom.probs, np.where(phantom.balls == 31, 2, phantom.balls > 0)


def test_agglomeration_unites_pieces_of_one_object_and_no_two_objects() -> None:
    probs, truth = chain()
    small = {"smallest_instance": 50}

    pieces = vesuv.segment_instances(probs, objects(agglomeration_threshold=0.0, **small))
    united = vesuv.segment_instances(probs, objects(agglomeration_threshold=0.75, **small))
    merged = vesuv.segment_instances(probs, objects(agglomeration_threshold=0.95, **small))

    assert (pieces.max(), united.max(), merged.max()) == (4, 2, 1)
    assert sum(compare_objects(united, truth).voi) < 0.3 < sum(compare_objects(pieces, truth).voi)


def test_small_objects_join_what_they_touch_or_are_removed() -> None:
    balls = [((10, 10, 10), 7.0), ((10, 10, 21), 4.5), ((10, 30, 10), 2.0), ((10, 30, 30), 7.0)]
    phantom = make_balls((20, 40, 40), balls)

    every = vesuv.segment_instances(phantom.probs, objects(agglomeration_threshold=0.0))
    large = vesuv.segment_instances(
        phantom.probs, objects(agglomeration_threshold=0.0, smallest_instance=500)
    )

    assert every.max() == 4
    assert large.max() == 2
    assert large[10, 30, 10] == 0
    assert large[10, 10, 21] == large[10, 10, 10] > 0


def test_what_the_network_doubts_everywhere_is_no_object() -> None:
    phantom = make_balls((24, 24, 48), [((12, 12, 12), 7.0), ((12, 12, 36), 7.0)])
    probs = phantom.probs.copy()
    probs[..., 24:] *= 0.6

    assert vesuv.segment_instances(probs, objects(seed_threshold=0.5)).max() == 2
    found = vesuv.segment_instances(probs, objects(seed_threshold=0.2))
    assert found.max() == 1 and not found[..., 24:].any()


def test_a_dip_of_the_probability_separates_what_has_no_neck() -> None:
    probs = np.zeros((12, 12, 40), np.float32)
    probs[2:10, 2:10, 2:38] = 1.0
    probs[..., 19:21] *= 0.55

    found = vesuv.segment_instances(probs, objects(seed_threshold=0.2, seed_smoothing=2.0))

    assert found.max() == 2
    assert (found[5, 5, :19].max(), found[5, 5, 21:38].min()) == (1, 2)


def test_distances_are_those_of_space() -> None:
    phantom = make_balls((44, 40, 24), [((14, 20, 12), 10.0), ((30, 20, 12), 10.0)])
    levels = to_levels(phantom.probs)[::4]

    in_space = ObjectMethod(objects(seed_smoothing=1.0), (4.0, 1.0, 1.0)).divide(levels)
    as_cubes = ObjectMethod(objects(seed_smoothing=1.0), ONE).divide(levels)

    truth = phantom.balls[::4]
    assert compare_objects(in_space.labels, truth).f1 == 1.0
    assert compare_objects(as_cubes.labels, truth).f1 != 1.0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_volume_of_one_value_holds_no_object_or_one(value: float) -> None:
    found = vesuv.segment_instances(np.full((6, 8, 10), value, np.float32), objects())

    assert np.unique(found).tolist() == [int(value)]


def test_an_object_whose_middle_is_empty_is_found() -> None:
    probs = np.zeros((12, 16, 16), np.float32)
    probs[2:10, 2:14, 2:14] = 1.0
    probs[3:9, 3:13, 3:13] = 0.0  # a shell: its smoothed distance is largest inside it

    found = vesuv.segment_instances(
        probs, objects(seed_smoothing=3.0, agglomeration_threshold=0.95)
    )

    assert np.array_equal(found > 0, probs > 0)
