"""Agglomeration of fragments, on graphs small enough to follow by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vesuv.inference.instances.agglomeration import (
    agglomerate,
    join_small,
    merge_order,
    numbered,
)
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.inference.instances.region_graph import Contacts, join_contacts, measure_contacts


def _contacts(*rows: tuple[int, int, int, int]) -> Contacts:
    """Make contacts of rows: two fragments, sum of levels, number of faces."""
    return Contacts.of(*np.array(rows, np.int64).reshape(-1, 4).T)


def _partition(names: np.ndarray) -> set[frozenset[int]]:
    groups: dict[int, set[int]] = {}
    for fragment, name in enumerate(names.tolist()):
        groups.setdefault(name, set()).add(fragment)
    return {frozenset(group) for group in groups.values()}


def test_fragments_are_united_from_the_lowest_mean_on() -> None:
    contacts = _contacts((1, 2, 40, 1), (2, 3, 20, 1), (3, 4, 180, 1))

    order = merge_order(contacts)

    assert order.means.tolist() == [20, 40, 180]
    assert _partition(order.names_at(0.15, 5)) == {
        frozenset({0}), frozenset({1}), frozenset({2, 3}), frozenset({4}),
    }  # fmt: skip
    assert _partition(order.names_at(0.5, 5)) == {
        frozenset({0}), frozenset({1, 2, 3}), frozenset({4}),
    }  # fmt: skip


def test_a_mean_that_equals_the_threshold_is_not_united() -> None:
    contacts = _contacts((1, 2, 100, 1))  # level 100 is probability 0.5

    assert merge_order(contacts, 0.5).means.tolist() == []
    assert merge_order(contacts).names_at(0.5, 3).tolist() == [0, 1, 2]
    assert len(set(merge_order(contacts).names_at(0.505, 3).tolist())) == 2


def test_contacts_with_a_common_neighbour_become_one_weighted_by_faces() -> None:
    # 1 and 2 unite; with 3 they share 1 face of 60 and 3 faces of 140: mean 120, not 60 or 100
    contacts = _contacts((1, 2, 0, 1), (1, 3, 60, 1), (2, 3, 420, 3))

    assert merge_order(contacts).means.tolist() == [0, 120]


def test_a_small_instance_joins_the_neighbour_of_the_lowest_mean() -> None:
    contacts = _contacts((1, 2, 150, 1), (2, 3, 190, 1))
    sizes = np.array([0, 50, 4, 50])

    names = join_small(contacts, sizes, smallest=5)

    assert _partition(names) == {frozenset({0}), frozenset({1, 2}), frozenset({3})}
    assert join_small(contacts, sizes, smallest=4).tolist() == [0, 1, 2, 3]


def test_small_instances_join_each_other_until_they_are_large_enough() -> None:
    contacts = _contacts((1, 2, 10, 1), (2, 3, 20, 1))

    names = join_small(contacts, np.array([0, 3, 3, 100]), smallest=6)

    assert _partition(names) == {frozenset({0}), frozenset({1, 2}), frozenset({3})}


def test_an_instance_without_a_neighbour_stays_however_small() -> None:
    assert join_small(_contacts(), np.array([0, 1]), smallest=100).tolist() == [0, 1]


def test_instances_are_numbered_in_the_order_of_their_first_fragment() -> None:
    contacts = _contacts((2, 4, 0, 1))
    parameters = InstanceParameters(agglomeration_threshold=0.5)

    names = agglomerate(contacts, np.array([0, 1, 1, 1, 1]), parameters)

    assert names.tolist() == [0, 1, 2, 3, 2]
    assert numbered(np.array([0, 7, 5, 7])).tolist() == [0, 1, 2, 1]


def test_faces_between_fragments_have_the_higher_level_of_their_voxels() -> None:
    fragments = np.array([[[1, 2], [1, 2]]])
    levels = np.array([[[10, 30], [50, 40]]], np.uint8)

    contacts = measure_contacts(fragments, levels, (0, 0, 0))

    assert [column.tolist() for column in vars(contacts).values()] == [[1], [2], [80], [2]]


def test_faces_within_the_slices_of_another_block_are_counted_there() -> None:
    rng = np.random.default_rng(0)
    fragments = rng.integers(1, 5, (4, 4, 6))
    levels = rng.integers(0, 201, fragments.shape).astype(np.uint8)

    whole = measure_contacts(fragments, levels, (0, 0, 0))
    parts = join_contacts([
        measure_contacts(fragments[..., :3], levels[..., :3], (0, 0, 0)),
        measure_contacts(fragments[..., 2:], levels[..., 2:], (0, 0, 1)),
    ])  # fmt: skip

    for one, other in zip(vars(whole).values(), vars(parts).values(), strict=True):
        assert np.array_equal(one, other)


def _lowest_means(labels: np.ndarray, levels: np.ndarray) -> list[tuple[float, int, int]]:
    """Return mean and names of touching segments, lowest first, measured voxel by voxel."""
    faces: dict[tuple[int, int], list[int]] = {}
    for place in np.ndindex(labels.shape):
        for axis in range(3):
            other = tuple(p + (k == axis) for k, p in enumerate(place))
            if other[axis] < labels.shape[axis] and labels[place] != labels[other]:
                pair = sorted((int(labels[place]), int(labels[other])))
                level = max(int(levels[place]), int(levels[other]))
                faces.setdefault((pair[0], pair[1]), []).append(level)
    return sorted((sum(one) / len(one), *pair) for pair, one in faces.items())


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_the_order_is_that_of_measuring_the_volume_anew_after_each_merge(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, 7, (2, 3, 4))
    levels = rng.integers(0, 201, labels.shape).astype(np.uint8)
    order = merge_order(measure_contacts(labels, levels, (0, 0, 0)), threshold=2.0)
    assert sorted(order.means.tolist()) == order.means.tolist()

    expected = []
    while lowest := _lowest_means(labels, levels):
        means = [one[0] for one in lowest]
        assume(means.count(means[0]) == 1)  # of equal means either may be the first
        _, kept, absorbed = lowest[0]
        expected.append(means[0])
        labels = np.where(labels == absorbed, kept, labels)

    assert order.means.tolist() == pytest.approx(expected)
