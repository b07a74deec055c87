"""Filling of holes of one voxel's width through a sheet, by the topology of 3 x 3 x 3 voxels.

A background voxel is such a hole if its foreground neighbours are one 26-connected component and
its background neighbours are two components, one on each side of the sheet. Filling it closes a
tunnel and connects no separate components. The two sides are separate either for 6-connected
background, or for 26-connected background around 6-connected foreground, as in the TopoScore. This
works for sheets of any slope, whereas a test of the four neighbours in a plane of the grid works
for sheets along the grid only.
"""

from __future__ import annotations

import itertools
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vesuv.config.postprocess import Step
from vesuv.inference.postprocess.components import fill_cavities
from vesuv.types import Mask, Shape, Spacing

Codes = NDArray[np.int32]
"""One set of neighbours for each voxel, with one bit for each of the 26 neighbours."""

TUNNEL_HALO: Shape = (2, 2, 2)
"""Distance beyond which voxels affect neither `fill_tunnels` nor `remove_new_cavities`."""

_OFFSETS = [o for o in itertools.product((-1, 0, 1), repeat=3) if any(o)]
_FACES = [i for i, o in enumerate(_OFFSETS) if np.abs(o).sum() == 1]
_FACE_BITS = sum(1 << i for i in _FACES)
_ALL_BITS = (1 << 26) - 1
_EDGE_BITS = sum(1 << i for i, o in enumerate(_OFFSETS) if np.abs(o).sum() == 2)


def _adjacency(connectivity: int) -> list[int]:
    """Return for each neighbour the set of the neighbours that touch it."""

    def touch(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
        gap = np.abs(np.subtract(a, b))
        return bool(gap.sum() == 1 if connectivity == 6 else gap.max() == 1)

    return [sum(1 << j for j, b in enumerate(_OFFSETS) if touch(a, b)) for a in _OFFSETS]


_NEIGHBOURS_6, _NEIGHBOURS_26 = _adjacency(6), _adjacency(26)


class PlugHoles(Step):
    """Fill holes of one voxel's width through a sheet, whichever way the sheet faces."""

    is_global: ClassVar[bool] = True
    name: Literal["plug_holes"] = "plug_holes"

    def __call__(self, volume: Mask, _spacing: Spacing) -> Mask:
        return plug_holes(volume)


def plug_holes(mask: Mask) -> Mask:
    """Fill the holes of one voxel's width that lead through a sheet.

    A hole through a thick sheet is filled along its whole length. Voxels without a face against the
    mask are not tested, so one-voxel planes that are connected by edges only are left as they are.
    A voxel is not filled where this would make a new cavity of several voxels; a new cavity of one
    voxel is filled. Existing cavities are not changed.

    Source:
        Malandain, Bertrand, Ayache, Topological segmentation of discrete surfaces, IJCV 1993: the
        number of background components in the 18-neighbourhood identifies a voxel of a tunnel.
    """
    filled = fill_cavities(mask)
    plugged = fill_tunnels(mask, filled)
    return remove_new_cavities(mask, filled, plugged, fill_cavities(plugged))


def fill_tunnels(mask: Mask, filled: Mask) -> Mask:
    """Fill voxels that lead through a sheet, as `plug_holes` does, whatever cavities this makes.

    A voxel depends on the voxels within `TUNNEL_HALO`.

    Args:
        mask: (z, y, x).
        filled: The mask with its cavities filled.
    """
    padded = np.pad(mask, 1)
    places = _border_voxels(padded)
    places = places[~np.pad(filled, 1).ravel()[places]]
    codes = _neighbour_codes(padded, places)
    unique_codes, index = np.unique(codes, return_inverse=True)
    tunnel = _is_tunnel(unique_codes)[index]
    padded.ravel()[_remove_mouths(padded, places[tunnel], codes[tunnel])] = True
    return padded[1:-1, 1:-1, 1:-1]


def remove_new_cavities(mask: Mask, filled: Mask, plugged: Mask, plugged_filled: Mask) -> Mask:
    """Remove the plugs beside a new cavity of several voxels; fill new cavities of one voxel.

    A voxel depends on the voxels within `TUNNEL_HALO`.

    Args:
        mask: (z, y, x).
        filled: The mask with its cavities filled.
        plugged: The mask after `fill_tunnels`.
        plugged_filled: That with its cavities filled.
    """
    new_cavities = plugged_filled & ~plugged & ~filled
    if not new_cavities.any():
        return plugged
    settled = np.pad(plugged, 1)
    places = np.flatnonzero(np.pad(new_cavities, 1))
    beside = np.stack([places + step for step in _face_steps(settled)])
    single = settled.ravel()[beside].all(axis=0)
    settled.ravel()[places[single]] = True
    plugs = np.pad(plugged & ~mask, 1).ravel()
    next_to_cavity = beside[:, ~single]
    settled.ravel()[next_to_cavity[plugs[next_to_cavity]]] = False
    return settled[1:-1, 1:-1, 1:-1]


def _border_voxels(padded: Mask) -> NDArray[np.int64]:
    """Return the flat indices of background voxels with a face against the mask."""
    core = (slice(1, -1),) * 3
    contacts = np.zeros([length - 2 for length in padded.shape], np.uint8)
    for index in _FACES:
        contacts += _shifted(padded, _OFFSETS[index])
    borders = np.zeros_like(padded)
    borders[core] = (contacts >= 1) & (contacts < 6) & ~padded[core]
    return np.flatnonzero(borders)


def _shifted(padded: Mask, offset: tuple[int, ...]) -> Mask:
    """Return a view of the neighbour at `offset` of every voxel inside the padding."""
    return padded[tuple(slice(1 + o, n - 1 + o) for o, n in zip(offset, padded.shape, strict=True))]


def _neighbour_codes(padded: Mask, places: NDArray[np.int64]) -> Codes:
    flat = padded.ravel()
    _, height, width = padded.shape
    codes = np.zeros(len(places), np.int32)
    for bit, (z, y, x) in enumerate(_OFFSETS):
        codes |= flat[places + ((z * height + y) * width + x)].astype(np.int32) << bit
    return codes


def _is_tunnel(codes: Codes) -> Mask:
    """Test for one component of foreground and two of background, for either connectivity."""
    beside, background = codes & _FACE_BITS, ~codes & _ALL_BITS
    open_faces, near = background & _FACE_BITS, _FACE_BITS | _EDGE_BITS
    foreground_is_connected = _is_connected(codes, codes, _NEIGHBOURS_26)
    separates_faces = ~_is_connected(open_faces, background & near, _NEIGHBOURS_6)
    separates_corners = ~_is_connected(background, background, _NEIGHBOURS_26)
    is_tunnel: Mask = foreground_is_connected & (
        separates_faces | (separates_corners & _is_connected(beside, codes & near, _NEIGHBOURS_6))
    )
    return is_tunnel


def _is_connected(members: Codes, region: Codes, adjacency: list[int]) -> Mask:
    """Test whether paths inside a region connect all members, which are part of the region."""
    is_connected: Mask = (members & ~_grow(members & -members, region, adjacency)) == 0
    return is_connected


def _grow(start: Codes, region: Codes, adjacency: list[int]) -> Codes:
    """Grow each set from `start` inside its region until it does not change."""
    component, previous = start, np.zeros_like(start)
    while not np.array_equal(component, previous):
        previous, component = component, component.copy()
        for bit, neighbours in enumerate(adjacency):
            component |= (previous >> bit & 1) * np.int32(neighbours) & region
    return component


def _remove_mouths(padded: Mask, places: NDArray[np.int64], codes: Codes) -> NDArray[np.int64]:
    """Leave out voxels in front of a hole in an oblique sheet, which separate the sides too.

    A voxel of the hole itself has at least two faces against the mask, or as many as any
    neighbouring candidate.
    """
    contacts = np.bitwise_count(codes & _FACE_BITS)
    contact_map = np.zeros(padded.size, np.uint8)
    contact_map[places] = contacts
    most = np.max([contact_map[places + step] for step in _face_steps(padded)], axis=0, initial=0)
    plugs: NDArray[np.int64] = places[(contacts >= 2) | (contacts >= most)]
    return plugs


def _face_steps(padded: Mask) -> list[int]:
    """Return the differences of flat indices across the six faces."""
    _, height, width = padded.shape
    return [int(np.dot(_OFFSETS[i], (height * width, width, 1))) for i in _FACES]
