"""Medial surfaces of hand-made sheets: near the middle plane, without gaps, at several angles."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from vesuv.losses.medial_surface import MAX_THICKNESS, medial_surface

EDGE = 40
NORMALS = {
    "along z": (1.0, 0.0, 0.0),
    "along x": (0.0, 0.0, 1.0),
    "30 degrees": (math.cos(math.pi / 6), math.sin(math.pi / 6), 0.0),
    "45 degrees": (1.0, 0.0, 1.0),
    "oblique": (1.0, 2.0, 3.0),
    "space diagonal": (1.0, 1.0, -1.0),
    "oblique, steep": (0.9, -0.3, 0.2),
}


def plane_distance(normal: tuple[float, float, float]) -> np.ndarray:
    """Signed distance of each voxel to a plane near the middle of the volume."""
    unit = np.array(normal) / np.linalg.norm(normal)
    grid = np.stack(np.meshgrid(*[np.arange(EDGE) - EDGE / 2] * 3, indexing="ij"), axis=-1)
    return grid @ unit + 0.3


def surface_of(mask: np.ndarray) -> np.ndarray:
    return medial_surface(torch.from_numpy(mask)[None, None])[0, 0].numpy()


@pytest.mark.parametrize("thickness", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("normal", NORMALS.values(), ids=NORMALS)
def test_the_surface_of_a_sheet_is_its_middle_plane_without_gaps(
    normal: tuple[float, float, float], thickness: int
) -> None:
    distance = plane_distance(normal)
    # At least as thick as the widest gap between voxel layers, or the sheet itself has holes.
    half = max(thickness, np.abs(normal).sum() / np.linalg.norm(normal) * 0.999) / 2
    mask = np.abs(distance) < half
    inner = (slice(6, -6),) * 3  # the volume's edge cuts chords

    surface = surface_of(mask)

    assert not (surface & ~mask).any()
    # half a voxel for the middle of a chord, half a voxel for its ends
    assert np.abs(distance[surface & _inside(mask.shape)]).max() <= 1.0
    # No voxel of the sheet is further from the surface than half the thickness and one voxel.
    to_surface = ndimage.distance_transform_edt(~surface)
    assert to_surface[inner][mask[inner]].max() <= half + 1.0
    # It separates the two sides: no path through faces leads around it within the sheet.
    dilated = ndimage.binary_dilation(surface, np.ones((3, 3, 3))) & mask
    sides, _ = ndimage.label(~dilated[inner] & (np.abs(distance[inner]) < half + 2))
    above, below = sides[distance[inner] > half], sides[distance[inner] < -half]
    assert not set(above[above > 0]) & set(below[below > 0])


def _inside(shape: tuple[int, ...]) -> np.ndarray:
    inside = np.zeros(shape, bool)
    inside[(slice(6, -6),) * 3] = True
    return inside


@pytest.mark.parametrize(
    ("thickness", "middle"),
    [(1, [4]), (2, [4, 5]), (3, [5]), (4, [5, 6]), (5, [6]), (6, [6, 7])],
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_sheet_along_the_axes_has_its_one_or_two_middle_layers(
    axis: int, thickness: int, middle: list[int]
) -> None:
    mask = np.zeros((14, 14, 14), bool)
    np.moveaxis(mask, axis, 0)[4 : 4 + thickness] = True

    layers = np.moveaxis(surface_of(mask), axis, 0)

    assert layers.any(axis=(1, 2)).nonzero()[0].tolist() == middle
    assert layers[middle].all()


def test_the_surface_ends_a_little_before_a_rim_and_not_at_the_volumes_edge() -> None:
    mask = np.zeros((16, 16, 16), bool)
    mask[4:9, :, :10] = True

    surface = surface_of(mask)

    assert surface[6].any(axis=0).nonzero()[0].tolist() == list(range(9))


def test_two_sheets_a_voxel_apart_have_two_surfaces() -> None:
    mask = np.zeros((14, 14, 14), bool)
    mask[3:6] = mask[7:10] = True

    surface = surface_of(mask)

    assert surface.any(axis=(1, 2)).nonzero()[0].tolist() == [4, 8]


def test_the_surface_of_a_hollow_sphere_is_the_sphere_in_its_wall() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(EDGE) - EDGE / 2] * 3, indexing="ij"))
    radius = np.linalg.norm(grid, axis=0)
    mask = np.abs(radius - 14) < 2.5

    surface = surface_of(mask)

    # A terrace of the outermost layer can end in single voxels, which are their own middle.
    assert (np.abs(radius[surface] - 14) > 1.0).mean() < 0.03
    to_surface = ndimage.distance_transform_edt(~surface)
    assert to_surface[mask].max() <= 2.5 + 1.0


def test_sheets_up_to_the_largest_thickness_have_a_middle_and_thicker_ones_none() -> None:
    for thickness, expected in ((MAX_THICKNESS, [16]), (MAX_THICKNESS + 1, []), (60, [])):
        mask = torch.zeros(1, 1, 64, 64, 64, dtype=torch.bool)
        mask[:, :, 2 : 2 + thickness] = True

        layers = medial_surface(mask)[0, 0, :, 31, 31]

        assert layers.nonzero().flatten().tolist() == expected, thickness


def test_the_surface_goes_on_to_ignored_voxels_and_needs_both_sides_of_a_sheet() -> None:
    mask = torch.zeros(1, 1, 14, 12, 12, dtype=torch.bool)
    mask[:, :, 4:9] = True
    across, along = torch.ones_like(mask), torch.ones_like(mask)
    across[..., 7:] = False
    along[:, :, 7:] = False

    cut_across = medial_surface(mask & across, across)[0, 0]
    cut_along = medial_surface(mask & along, along)[0, 0]

    assert cut_across[6, :, :7].all()
    assert cut_across.sum() == 12 * 7
    assert not cut_along.any()


@pytest.mark.parametrize("thickness", [9, 15])
@pytest.mark.parametrize("normal", ["along x", "30 degrees", "oblique", "space diagonal"])
def test_the_surface_of_a_thick_sheet_is_its_middle_plane(normal: str, thickness: int) -> None:
    distance = plane_distance(NORMALS[normal])
    mask = np.abs(distance) < thickness / 2
    # chords along the normal's largest part begin and end within the volume
    chord = math.ceil(thickness * math.sqrt(3) / 2) + 2
    inner = np.zeros(mask.shape, bool)
    inner[(slice(chord, -chord),) * 3] = True

    surface = surface_of(mask)

    assert np.abs(distance[surface & inner]).max() <= 1.0
    to_surface = ndimage.distance_transform_edt(~surface)
    assert to_surface[mask & inner].max() <= thickness / 2 + 1.0


def test_two_sheets_that_touch_have_one_surface_there_and_two_where_they_part() -> None:
    mask = np.zeros((20, 14, 14), bool)
    mask[4:7] = True
    mask[7:10, :, :7] = mask[9:12, :, 7:] = True

    surface = surface_of(mask)

    # six layers where they touch, three and three with two voxels between them where they do not
    assert surface[:, 7, 2].nonzero()[0].tolist() == [6, 7]
    assert surface[:, 7, 12].nonzero()[0].tolist() == [5, 10]


def test_channels_and_patches_are_apart() -> None:
    mask = torch.zeros(2, 2, 8, 8, 8, dtype=torch.bool)
    mask[0, 1, 2:5] = mask[1, 0, :, 5] = True

    surface = medial_surface(mask)

    def layers(volume: Tensor, axis: int) -> list[int]:
        return volume.movedim(axis, 0).flatten(1).any(dim=1).nonzero().flatten().tolist()

    assert layers(surface[0, 1], 0) == [3]
    assert layers(surface[1, 0], 1) == [5]
    assert not surface[0, 0].any() and not surface[1, 1].any()
