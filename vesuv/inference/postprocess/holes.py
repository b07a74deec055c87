"""Holes of one voxel's width through a sheet, found by the topology of 3 x 3 x 3 voxels.

A background voxel is such a hole where its foreground neighbours are one 26-connected piece and its
background neighbours lie on two sides of it: filling it closes a tunnel and joins nothing that was
apart. Sides are parted either for background that is 6-connected, or for 26-connected background
around 6-connected foreground, which is how a TopoScore sees a hole. That holds for a sheet of any
slope; a test of the four neighbours in a plane of the grid sees sheets along the grid only.
"""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vesuv.config.postprocess import Step
from vesuv.inference.postprocess.components import fill_cavities
from vesuv.types import Mask

Codes = NDArray[np.int32]
"""A set of the 26 neighbours each, one bit a neighbour."""

_OFFSETS = [o for o in itertools.product((-1, 0, 1), repeat=3) if any(o)]
_FACES = [i for i, o in enumerate(_OFFSETS) if np.abs(o).sum() == 1]
_FACE_BITS = sum(1 << i for i in _FACES)
_ALL_BITS = (1 << 26) - 1
_EDGE_BITS = sum(1 << i for i, o in enumerate(_OFFSETS) if np.abs(o).sum() == 2)


def _adjacency(connectivity: int) -> list[int]:
    """For each neighbour the set of the neighbours that touch it."""

    def touch(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
        gap = np.abs(np.subtract(a, b))
        return bool(gap.sum() == 1 if connectivity == 6 else gap.max() == 1)

    return [sum(1 << j for j, b in enumerate(_OFFSETS) if touch(a, b)) for a in _OFFSETS]


_TOUCH_6, _TOUCH_26 = _adjacency(6), _adjacency(26)


class PlugHoles(Step):
    """Fill holes of one voxel's width through a sheet, whichever way the sheet faces."""

    name: Literal["plug_holes"] = "plug_holes"

    def __call__(self, volume: Mask) -> Mask:
        return plug_holes(volume)


def plug_holes(mask: Mask) -> Mask:
    """Fill the holes of one voxel's width that lead through a sheet.

    A bore through thick matter is filled along its whole length. Voxels that touch the mask by no
    face are not looked at, which leaves out planes of one voxel that hold together by edges only.
    A plug that would shut in a cavity of several voxels is left out; a single voxel shut in is
    filled. Cavities that were there before stay as they are.

    Source:
        Malandain, Bertrand, Ayache, Topological segmentation of discrete surfaces, IJCV 1993: the
        number of background components in the 18-neighbourhood tells a tunnel's voxel.
    """
    padded = np.pad(mask, 1)
    filled = fill_cavities(padded)
    places = _beside_mask(padded)
    places = places[~filled.ravel()[places]]
    codes = _codes(padded, places)
    kinds, which = np.unique(codes, return_inverse=True)
    tunnel = _is_tunnel(kinds)[which]
    plugs = _without_mouths(padded, places[tunnel], codes[tunnel])
    plugged = padded.copy()
    plugged.ravel()[plugs] = True
    return _without_new_cavities(filled, plugged, plugs)[1:-1, 1:-1, 1:-1]


def _beside_mask(padded: Mask) -> NDArray[np.int64]:
    """Flat indices of background voxels with a face against the mask."""
    core = (slice(1, -1),) * 3
    contacts = np.zeros([length - 2 for length in padded.shape], np.uint8)
    for index in _FACES:
        contacts += _shifted(padded, _OFFSETS[index])
    found = np.zeros_like(padded)
    found[core] = (contacts >= 1) & (contacts < 6) & ~padded[core]
    return np.flatnonzero(found)


def _shifted(padded: Mask, offset: tuple[int, ...]) -> Mask:
    """The neighbour at `offset` of every voxel inside the padding."""
    return padded[tuple(slice(1 + o, n - 1 + o) for o, n in zip(offset, padded.shape, strict=True))]


def _codes(padded: Mask, places: NDArray[np.int64]) -> Codes:
    flat = padded.ravel()
    _, height, width = padded.shape
    codes = np.zeros(len(places), np.int32)
    for bit, (z, y, x) in enumerate(_OFFSETS):
        codes |= flat[places + ((z * height + y) * width + x)].astype(np.int32) << bit
    return codes


def _is_tunnel(codes: Codes) -> Mask:
    """One piece of foreground, and background on two sides, in either sense of connected."""
    beside, background = codes & _FACE_BITS, ~codes & _ALL_BITS
    open_faces, near = background & _FACE_BITS, _FACE_BITS | _EDGE_BITS
    one_piece = _is_one(codes, codes, _TOUCH_26)
    parts_faces = ~_is_one(open_faces, background & near, _TOUCH_6)
    parts_corners = ~_is_one(background, background, _TOUCH_26)
    found: Mask = one_piece & (
        parts_faces | (parts_corners & _is_one(beside, codes & near, _TOUCH_6))
    )
    return found


def _is_one(members: Codes, within: Codes, touch: list[int]) -> Mask:
    """Tell whether all members are joined by a path within a set that holds them."""
    found: Mask = (members & ~_reached(members & -members, within, touch)) == 0
    return found


def _reached(start: Codes, allowed: Codes, touch: list[int]) -> Codes:
    """Grow each set from `start` within `allowed` until it grows no more."""
    reached, before = start, np.zeros_like(start)
    while not np.array_equal(reached, before):
        before, reached = reached, reached.copy()
        for bit, neighbours in enumerate(touch):
            reached |= (before >> bit & 1) * np.int32(neighbours) & allowed
    return reached


def _without_mouths(padded: Mask, places: NDArray[np.int64], codes: Codes) -> NDArray[np.int64]:
    """Leave out the voxel before a hole in a slanting sheet: it parts its sides as well.

    A plug has two faces against the mask, or as many as any tunnel's voxel beside it.
    """
    contacts = np.bitwise_count(codes & _FACE_BITS)
    rivals = np.zeros(padded.size, np.uint8)
    rivals[places] = contacts
    most = np.max([rivals[places + step] for step in _face_steps(padded)], axis=0, initial=0)
    kept: NDArray[np.int64] = places[(contacts >= 2) | (contacts >= most)]
    return kept


def _face_steps(padded: Mask) -> list[int]:
    """Differences of flat indices across the six faces."""
    _, height, width = padded.shape
    return [int(np.dot(_OFFSETS[i], (height * width, width, 1))) for i in _FACES]


def _without_new_cavities(filled: Mask, plugged: Mask, plugs: NDArray[np.int64]) -> Mask:
    """Take back the plugs beside a cavity that was none before; fill cavities of one voxel.

    Args:
        filled: The mask with its former cavities filled.
        plugged: The mask with its plugs; changed in place.
        plugs: Flat indices of the plugs.
    """
    shut_in = fill_cavities(plugged) & ~plugged & ~filled
    if not shut_in.any():
        return plugged
    places = np.flatnonzero(shut_in)
    beside = np.stack([places + step for step in _face_steps(plugged)])
    single = plugged.ravel()[beside].all(axis=0)
    plugged.ravel()[places[single]] = True
    taken_back = np.intersect1d(beside[:, ~single], plugs)
    plugged.ravel()[taken_back] = False
    return plugged
