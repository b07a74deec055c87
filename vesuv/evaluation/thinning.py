"""Thinning of a mask to curves one voxel wide that keep its topology.

Voxels are deleted layer by layer from the border. A voxel may go when it is simple: its deletion
changes no component (26-connected), loop or cavity. The eight parity classes of a layer are tested
in turn; two voxels of one class are never neighbours, so that deleting all simple voxels of a class
at once is the same as deleting them one by one. A voxel with a single neighbour when its layer
begins is the end of a curve and stays.

scikit-image's `skeletonize` is not used: it deletes branches of even thickness as a whole, and with
them whole components (scikit-image issue 3757).

Source:
    Németh, Kardos and Palágyi, Topology preserving 3D thinning algorithms using four and eight
    subfields, ICIAR 2010; Bertrand and Malandain, A new characterization of three-dimensional
    simple points, Pattern Recognition Letters 1994.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vesuv.evaluation.nearest import extended_axes
from vesuv.types import Mask, Shape

Neighbourhoods = NDArray[np.uint32]
"""3 x 3 x 3 voxels as one number: bit k is the k-th voxel of `_CUBE`."""
Places = NDArray[np.int64]
"""Flat indices into a volume."""

_CUBE = list(itertools.product((-1, 0, 1), repeat=3))


def _bits(condition: Callable[[int], bool]) -> np.uint32:
    """Return the code of the neighbours whose number of non-zero steps meets a condition."""
    return np.uint32(sum(1 << k for k, step in enumerate(_CUBE) if condition(sum(map(abs, step)))))


_FACES = _bits(lambda steps: steps == 1)
_FACES_AND_EDGES = _bits(lambda steps: steps in (1, 2))


def _growth_tables(adjacent: Callable[[int, int], bool]) -> Neighbourhoods:
    """Tabulate which voxels are adjacent to any voxel of a code, (plane, nine bits of the code).

    Args:
        adjacent: Decides by the largest and by the summed step between two voxels.
    """
    tables = np.zeros((3, 512), np.uint32)
    for place, start in enumerate(_CUBE):
        plane, bit = divmod(place, 9)
        for other, goal in enumerate(_CUBE):
            steps = [abs(a - b) for a, b in zip(start, goal, strict=True)]
            if adjacent(max(steps), sum(steps)):
                tables[plane, np.arange(512) >> bit & 1 == 1] |= np.uint32(1 << other)
    return tables


_GROWTH_26 = _growth_tables(lambda largest, _: largest == 1)
_GROWTH_6 = _growth_tables(lambda _, total: total == 1)


def curve_skeleton(mask: Mask) -> Mask:
    """Thin a mask to curves, (z, y, x).

    Returns:
        Voxels of the mask with its components, loops and cavities; a solid component keeps at least
        one voxel, a sheet without holes little more.
    """
    depth, height, width = (length + 2 for length in mask.shape)
    volume = np.zeros((depth, height, width), bool)
    volume[1:-1, 1:-1, 1:-1] = mask
    voxels = volume.reshape(-1)
    steps = [(z * height + y) * width + x for z, y, x in _CUBE]
    candidates = np.flatnonzero(voxels)
    axes = extended_axes(mask.shape)
    face_steps = [step for step, place in zip(steps, _CUBE, strict=True) if _is_face(place, axes)]
    while len(candidates):
        layer = _layer(voxels, candidates, steps, face_steps)
        deleted = _delete_simple(voxels, layer, steps, (depth, height, width))
        # only beside a deleted voxel may a voxel have become simple
        beside = np.zeros_like(voxels)
        for step in steps:
            beside[deleted + step] = True
        candidates = np.flatnonzero(beside & voxels)
    return volume[1:-1, 1:-1, 1:-1]


def _is_face(place: tuple[int, ...], axes: Sequence[int]) -> bool:
    """Return whether a neighbour shares a face, along one of some axes."""
    return sum(map(abs, place)) == 1 and any(place[axis] for axis in axes)


def _layer(voxels: Mask, candidates: Places, steps: list[int], face_steps: list[int]) -> Places:
    """Return the candidates with a background face neighbour and more than one neighbour."""
    inner = np.ones(len(candidates), bool)
    for step in face_steps:
        inner &= voxels[candidates + step]
    border: Places = candidates[~inner]
    codes = _neighbourhoods(voxels, border, steps)
    several: Mask = (codes & (codes - np.uint32(1))) != 0
    return border[several]


def _delete_simple(voxels: Mask, layer: Places, steps: list[int], shape: Shape) -> Places:
    """Delete the simple voxels of a layer, one parity class after another; return them."""
    z, y, x = np.unravel_index(layer, shape)
    parity = (z & 1) << 2 | (y & 1) << 1 | (x & 1)
    deleted = []
    for parity_class in range(8):
        places = layer[parity == parity_class]
        places = places[is_simple(_neighbourhoods(voxels, places, steps))]
        voxels[places] = False
        deleted.append(places)
    return np.concatenate(deleted)


def _neighbourhoods(voxels: Mask, places: Places, steps: list[int]) -> Neighbourhoods:
    codes = np.zeros(len(places), np.uint32)
    for bit, step in enumerate(steps):
        if step:
            codes |= voxels[places + step].astype(np.uint32) << np.uint32(bit)
    return codes


def is_simple(codes: Neighbourhoods) -> Mask:
    """Tell of which neighbourhoods the centre can be deleted without a change of topology.

    The foreground around the centre is one component, and so is the background that shares a face
    with the centre, seen within the voxels that share a face or an edge with it.

    Args:
        codes: Neighbourhoods without their centre, (n,).
    """
    background = ~codes & _FACES_AND_EDGES
    faces = background & _FACES
    in_one_piece = _reached(_lowest_bit(codes), codes, _GROWTH_26) == codes
    faces_joined = (_reached(_lowest_bit(faces), background, _GROWTH_6) & _FACES) == faces
    simple: Mask = in_one_piece & faces_joined & (codes != 0) & (faces != 0)
    return simple


def _lowest_bit(codes: Neighbourhoods) -> Neighbourhoods:
    return codes & (~codes + np.uint32(1))


def _reached(
    seeds: Neighbourhoods, allowed: Neighbourhoods, growth: Neighbourhoods
) -> Neighbourhoods:
    """Grow each seed within what is allowed until nothing is added."""
    reached = seeds.copy()
    active = np.arange(len(seeds))
    while len(active):
        before = reached[active]
        after = before | growth[0][before & 511]
        after |= growth[1][before >> 9 & 511]
        after |= growth[2][before >> 18]
        after &= allowed[active]
        reached[active] = after
        active = active[after != before]
    return reached
