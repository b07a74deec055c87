"""Loops of two masks that Betti matching pairs: its dimension 1, counted without its matrices.

Betti matching compares a prediction P and a label T through their union C. With binary volumes a
loop class lives from the foreground on and dies when the background of its octant is filled in,
square by square in raster order. Let V = H1(C) over the field of two elements, A and B the images
of H1(P) and H1(T) in it, and V_j the classes that the first j squares fill. The number of matched
pairs is the number of steps j at which V_j gains a class of A and also gains one of B.

Filling in raster order reaches a class exactly when some cycle of it lies in the part of C that a
raster sweep has passed. So V_j is spanned by the fundamental cycles of the contacts up to j in the
spanning forest that takes contacts in the order of the sweep, and everything happens in the run
graph: contacts outside the forest are unknowns, corners are equations, and writing later unknowns
by earlier ones gives each contact a vector whose highest bit is its step.

Source:
    Stucki et al., Topologically faithful image segmentation via induced matching of persistence
    barcodes, ICML 2023; Stucki et al., Efficient Betti matching, 2024 (order of the cells).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from vesuv.evaluation.run_graph import (
    FlatLayout,
    Indices,
    RunGraph,
    run_graph,
    run_index,
    run_starts,
    touching,
)
from vesuv.types import Mask


def matched_loops(prediction: Mask, label: Mask) -> int:
    """Count the matched pairs of dimension 1 of one octant.

    Args:
        prediction: Foreground, three axes of any length.
        label: Foreground, same shape.
    """
    if not prediction.any() or not label.any():
        return 0
    first, second, third = prediction.shape
    layout = FlatLayout((first, second, third))
    parts = [layout.flatten(prediction), layout.flatten(label)]
    classes = _loop_classes(layout, parts[0] | parts[1])
    if not classes.vectors:
        return 0
    predicted, labelled = (_steps(classes, run_graph(layout, part)) for part in parts)
    return len(predicted & labelled)


@dataclass(frozen=True)
class _LoopClasses:
    """What each contact of the union adds to the class of a cycle through it."""

    unknown_third: Indices
    """By flat place: unknown of the contact along the third axis, 0 where it adds nothing."""
    unknown_second: Indices
    vectors: dict[int, int]
    """Class of each unknown; bit k stands for the k-th step at which V_j grows."""

    def unknowns(self, graph: RunGraph) -> Indices:
        """Return the unknown of each contact of a part of the union."""
        return np.concatenate(
            [self.unknown_third[graph.along_third], self.unknown_second[graph.along_second]]
        )


def _loop_classes(layout: FlatLayout, union: Mask) -> _LoopClasses:
    graph = run_graph(layout, union)
    variable = _variables(graph, _sweep_order(layout, graph))
    third = touching(union, layout.third)
    at_third = run_index(run_starts(third))
    at_second = run_index(run_starts(touching(union, layout.second)))
    at_second += len(graph.along_third)
    corners = np.flatnonzero(run_starts(touching(third, layout.second)))
    around = (
        at_third[corners],
        at_third[corners + layout.second],
        at_second[corners],
        at_second[corners + layout.third],
    )
    equations = np.stack([variable[contact] for contact in around], axis=1)
    representative, long_equations = _merge(equations, int(variable.max(initial=0)))
    unknowns = np.unique(representative[1:]).tolist()
    vectors = _solve(unknowns, long_equations.tolist())
    has_vector = np.zeros(len(representative), bool)
    has_vector[list(vectors)] = True
    by_contact = np.where(has_vector[representative], representative, 0)[variable]
    if not vectors:
        return _LoopClasses(by_contact, by_contact, vectors)
    return _LoopClasses(by_contact[at_third], by_contact[at_second], vectors)


def _sweep_order(layout: FlatLayout, graph: RunGraph) -> Indices:
    """Return the contacts by the square that pairs with them in the raster order of squares.

    A contact in plane x > 0 pairs with the square below it, in plane x - 1; one along the third
    axis in plane 0 with the square beside it, in the row before. The others of plane 0 form no
    cycle and come first.
    """
    row = layout.shape[2] + 1
    lines = (layout.shape[1] + 1) * row
    line, plane = np.divmod(graph.along_third, layout.third)
    square = ((plane - 1) * lines + line) * 3 + 1
    beside = np.where(line >= row, (line - row) * 3, -1)
    third = np.where(plane == 0, beside, square)
    line, plane = np.divmod(graph.along_second, layout.third)
    second = np.where(plane == 0, -1, ((plane - 1) * lines + line) * 3 + 2)
    return np.argsort(np.concatenate([third, second]), kind="stable")


def _variables(graph: RunGraph, order: Indices) -> NDArray[np.int32]:
    """Number the contacts outside the sweep's spanning forest 1, 2, ... in order; 0 inside it."""
    rank = np.empty(len(order), np.float64)
    rank[order] = np.arange(1, len(order) + 1)
    size = (graph.num_runs, graph.num_runs)
    forest = minimum_spanning_tree(coo_array((rank, graph.ends), shape=size).tocsr())
    outside = np.ones(len(order), bool)
    outside[forest.data.astype(np.int64) - 1] = False
    variable = np.zeros(len(order), np.int32)
    variable[order[outside]] = np.arange(1, int(outside.sum()) + 1)
    return variable


def _merge(equations: Indices, num: int) -> tuple[NDArray[np.int32], Indices]:
    """Use up all equations that say "zero" or "equal", again and again.

    Args:
        equations: (n, 4) unknowns that sum to zero; 0 is nothing.
        num: Number of unknowns.

    Returns:
        The earliest unknown that each unknown equals, and the equations of three or four terms.
    """
    representative = np.arange(num + 1, dtype=np.int32)
    while True:
        equations = _cancel(representative[equations])
        terms = np.count_nonzero(equations, axis=1)
        short = equations[(terms == 1) | (terms == 2)]
        equations = equations[terms > 2]
        if len(short) == 0:
            return representative, equations
        short.sort(axis=1)
        names, pairs = np.unique(short[:, 2:], return_inverse=True)
        pairs = pairs.reshape(-1, 2)
        links = coo_array(
            (np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(names),) * 2
        )
        count, group = connected_components(links, directed=False)
        first = np.full(count, num + 1, np.int32)
        np.minimum.at(first, group, names)
        rename = np.arange(num + 1, dtype=np.int32)
        rename[names] = first[group]
        representative = rename[representative]


def _cancel(equations: Indices) -> Indices:
    """Sort each row of four and set pairs of equal terms to 0."""
    equations.sort(axis=1)
    low = equations[:, 0] == equations[:, 1]
    high = equations[:, 2] == equations[:, 3]
    middle = (equations[:, 1] == equations[:, 2]) & ~low & ~high
    for pair, left in ((low, 0), (middle, 1), (high, 2)):
        equations[pair, left : left + 2] = 0
    return equations


def _solve(unknowns: Iterable[int], equations: list[list[int]]) -> dict[int, int]:
    """Write unknowns by earlier ones; return those that are not zero as sums of free ones.

    Args:
        unknowns: Those that occur, ascending; 0 among them is nothing.
        equations: Unknowns that sum to zero; 0 is nothing.
    """
    leading: dict[int, set[int]] = {}
    for row in sorted(equations, key=max):
        terms = set(row) - {0}
        while terms and max(terms) in leading:
            terms ^= leading[max(terms)]
        if terms:
            leading[max(terms)] = terms
    vectors = {0: 0}
    free = 0
    for unknown in unknowns:
        if unknown == 0:
            continue
        if unknown not in leading:
            vectors[unknown] = 1 << free
            free += 1
            continue
        total = 0
        for term in leading[unknown] - {unknown}:
            total ^= vectors[term]
        vectors[unknown] = total
    return {unknown: vector for unknown, vector in vectors.items() if vector}


def _steps(classes: _LoopClasses, graph: RunGraph) -> set[int]:
    """Return the steps at which V_j gains a class that a part of the union holds."""
    unknown = classes.unknowns(graph)
    nothing = unknown == 0
    first, second = graph.ends
    links = coo_array(
        (np.ones(int(nothing.sum()), np.int8), (first[nothing], second[nothing])),
        shape=(graph.num_runs,) * 2,
    )
    _, piece = connected_components(links, directed=False)
    ends = np.sort(np.stack([piece[first[~nothing]], piece[second[~nothing]]], axis=1), axis=1)
    edges = np.unique(np.column_stack([ends, unknown[~nothing]]), axis=0)
    basis: dict[int, int] = {}
    for cycle in _cycles(edges.tolist(), classes.vectors):
        while cycle and cycle.bit_length() in basis:
            cycle ^= basis[cycle.bit_length()]
        if cycle:
            basis[cycle.bit_length()] = cycle
    return set(basis)


def _cycles(edges: list[list[int]], vectors: dict[int, int]) -> Iterable[int]:
    """Yield the class of the cycle that each edge closes; trees grow by union-find."""
    parent: dict[int, int] = {}
    sum_to_parent: dict[int, int] = {}

    def root(node: int) -> int:
        path = []
        while node in parent:
            path.append(node)
            node = parent[node]
        for child in reversed(path):
            if parent[child] != node:
                sum_to_parent[child] ^= sum_to_parent[parent[child]]
                parent[child] = node
        return node

    for left, right, unknown in edges:
        left_root, right_root = root(left), root(right)
        total = sum_to_parent.get(left, 0) ^ sum_to_parent.get(right, 0) ^ vectors[unknown]
        if left_root == right_root:
            yield total
        else:
            parent[left_root] = right_root
            sum_to_parent[left_root] = total
