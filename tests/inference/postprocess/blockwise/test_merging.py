from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vesuv.inference.postprocess.blockwise.merging import compress_paths, find_roots, unite

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40)


def test_labels_united_in_turns_have_the_lowest_as_root() -> None:
    parents = np.arange(8)

    unite(parents, np.array([6, 2]), np.array([7, 3]))
    unite(parents, np.array([7, 5, 5]), np.array([3, 6, 1]))

    assert find_roots(parents, np.arange(8)).tolist() == [0, 1, 1, 1, 4, 1, 1, 1]


@given(st.lists(PAIRS, max_size=4))
def test_components_agree_with_those_of_scipy(turns) -> None:
    parents = np.arange(31)
    for pairs in turns:
        a, b = np.array(pairs, np.int64).reshape(-1, 2).T
        unite(parents, a, b)
    compress_paths(parents)

    a, b = np.array([p for pairs in turns for p in pairs], np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(31, 31))
    _, components = connected_components(graph, directed=False)
    lowest = [np.flatnonzero(components == component)[0] for component in components]
    assert parents.tolist() == lowest


def test_a_long_chain_of_unions_ends_at_one_root() -> None:
    parents = np.arange(10_000)

    unite(parents, np.arange(9_999), np.arange(1, 10_000))
    compress_paths(parents)

    assert not parents.any()
