"""Positions and labels against scipy.ndimage and against sheets at known positions."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from vesuv.config.data import AugmentConfig, Rotation, Scaling
from vesuv.data.labels import IGNORE
from vesuv.transforms import spatial as module
from vesuv.transforms.spatial import IDENTITY_SPATIAL, SpatialTransform, draw_spatial, permute, warp

ISOTROPIC = (1.0, 1.0, 1.0)
OFF = {"rotation": Rotation(p=0.0), "scaling": Scaling(p=0.0)}
ALWAYS = AugmentConfig(
    flips=False, quarter_turns=False, rotation=Rotation(p=1.0), scaling=Scaling(p=1.0)
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def a_warp(seed: int = 0, size: tuple[int, int, int] = (24, 20, 22)) -> SpatialTransform:
    return draw_spatial(rng(seed), ALWAYS, size, ISOTROPIC)


def center_of(shape: tuple[int, ...]) -> tuple[float, float, float]:
    z, y, x = ((edge - 1) / 2 for edge in shape)
    return z, y, x


def by_scipy(
    volume: np.ndarray,
    spatial: SpatialTransform,
    size: tuple[int, int, int],
    order: int,
    outside: float,
) -> np.ndarray:
    matrix = np.array(spatial.matrix)
    offset = np.array(center_of(volume.shape)) - matrix @ np.array(center_of(size))
    return ndimage.affine_transform(
        volume.astype(np.float64),
        matrix,
        offset,
        size,
        order=order,
        cval=outside,
        mode="grid-constant",
    )


def test_flips_and_quarter_turns_reach_all_48_symmetries_and_interpolate_nothing() -> None:
    volume = torch.arange(27).reshape(3, 3, 3)
    config = AugmentConfig(**OFF)
    generator = rng()
    spatials = [draw_spatial(generator, config, (3, 3, 3), ISOTROPIC) for _ in range(800)]

    turned = {tuple(permute(volume, spatial).flatten().tolist()) for spatial in spatials}

    assert len(turned) == 48
    assert all(sorted(voxels) == list(range(27)) for voxels in turned)
    assert all(spatial.matrix is None for spatial in spatials)


def test_axes_of_other_length_or_spacing_are_not_exchanged() -> None:
    config = AugmentConfig(**OFF)
    generator = rng()

    by_size = {draw_spatial(generator, config, (8, 16, 16), ISOTROPIC).order for _ in range(50)}
    by_spacing = {
        draw_spatial(generator, config, (8, 8, 8), (3.0, 1.0, 1.0)).order for _ in range(50)
    }

    assert by_size == by_spacing == {(0, 1, 2), (0, 2, 1)}


def test_everything_switched_off_is_the_identity() -> None:
    config = AugmentConfig(flips=False, quarter_turns=False, **OFF)

    assert draw_spatial(rng(), config, (8, 8, 8), ISOTROPIC) == IDENTITY_SPATIAL


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 5, 1, 1)])
def test_permuting_by_strides_equals_permuting_by_pytorch(shape: tuple[int, ...]) -> None:
    volume = torch.arange(math.prod(shape)).reshape(shape)
    spatial = SpatialTransform((2, 0, 1), (True, False, True), None)

    result = permute(volume, spatial)

    assert torch.equal(result, volume.permute(0, 3, 1, 2).flip([1, 3]))


def test_turning_by_ninety_degrees_is_an_exact_rotation() -> None:
    config = ALWAYS.model_copy(update={"scaling": Scaling(p=0.0)})

    spatial = draw_spatial(rng(), config, (9, 9, 9), ISOTROPIC)

    matrix = np.array(spatial.matrix)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(matrix) == pytest.approx(1.0)


def test_rotation_is_rigid_in_the_unit_of_the_spacing() -> None:
    config = ALWAYS.model_copy(update={"scaling": Scaling(p=0.0)})
    spacing = np.diag([4.0, 1.0, 2.0])

    spatial = draw_spatial(rng(), config, (9, 9, 9), (4.0, 1.0, 2.0))

    physical = spacing @ np.array(spatial.matrix) @ np.linalg.inv(spacing)
    np.testing.assert_allclose(physical @ physical.T, np.eye(3), atol=1e-6)


def test_zoom_above_one_enlarges_the_structure_and_reads_fewer_voxels() -> None:
    config = ALWAYS.model_copy(
        update={"rotation": Rotation(p=0.0), "scaling": Scaling(p=1.0, range=(2.0, 2.0))}
    )
    spatial = draw_spatial(rng(), config, (8, 8, 8), ISOTROPIC)
    volume = torch.zeros(1, 8, 8, 8)
    volume[:, :, :, 3:5] = 1.0

    image, _ = warp(
        volume, torch.zeros(8, 8, 8, dtype=torch.uint8), spatial.matrix, (3.5,) * 3, (8, 8, 8), 2
    )

    assert (image[0, 4, 4] >= 0.5).sum() == 4
    assert spatial.margin((8, 8, 8)) == (-1, -1, -1)


@pytest.mark.parametrize("seed", range(6))
def test_the_margin_is_the_smallest_that_holds_every_sample(seed: int) -> None:
    size = (24, 20, 22)
    spatial = a_warp(seed, size)
    corners = np.array(np.meshgrid(*([-(e - 1) / 2, (e - 1) / 2] for e in size))).reshape(3, -1)

    reach = np.abs(np.array(spatial.matrix) @ corners).max(axis=1)
    half = (np.array(size) - 1) / 2 + np.array(spatial.margin(size))

    assert (half >= reach - 1e-5).all()
    assert (half - 1 < reach).all()


@pytest.mark.parametrize("seed", range(3))
def test_image_is_sampled_where_scipy_samples_it(seed: int) -> None:
    size = (24, 20, 22)
    spatial = a_warp(seed, size)
    volume = ndimage.gaussian_filter(rng(seed).normal(size=(26, 28, 30)), 1.5).astype(np.float32)

    image, _ = warp(
        torch.from_numpy(volume)[None],
        torch.zeros(volume.shape, dtype=torch.uint8),
        spatial.matrix,
        center_of(volume.shape),
        size,
        2,
    )

    expected = by_scipy(volume, spatial, size, order=1, outside=0.0)
    np.testing.assert_allclose(image[0].numpy(), expected, atol=2e-3 * np.ptp(volume))


@pytest.mark.parametrize("num_classes", [2, 3])
def test_labels_are_the_majority_that_scipy_interpolates(num_classes: int) -> None:
    size = (24, 20, 22)
    spatial = a_warp(3, size)
    noise = ndimage.gaussian_filter(rng(1).normal(size=(30, 30, 30)), 2.0)
    label = np.digitize(noise, np.quantile(noise, [0.6, 0.8][: num_classes - 1])).astype(np.uint8)
    label[:, :, :9] = IGNORE

    _, result = warp(
        torch.zeros(1, *label.shape),
        torch.from_numpy(label),
        spatial.matrix,
        center_of(label.shape),
        size,
        num_classes,
    )

    share = [by_scipy(label == c, spatial, size, 1, 0.0) for c in range(num_classes)]
    foreground = sum(share[1:])
    expected = np.where(foreground >= share[0], 1 + np.argmax(share[1:], axis=0), 0)
    nearest = by_scipy(label == IGNORE, spatial, size, order=0, outside=1.0)
    expected[nearest > 0.5] = IGNORE
    assert (result.numpy() == expected).mean() > 0.995
    assert set(np.unique(result)) == {*range(num_classes), IGNORE}


@pytest.mark.parametrize("seed", range(8))
def test_a_sheet_of_two_voxels_stays_connected_after_rotation_and_scaling(seed: int) -> None:
    size = (32, 32, 32)
    spatial = a_warp(seed, size)
    label = np.zeros((64, 64, 64), np.uint8)
    label[31:33] = 1

    _, result = warp(
        torch.zeros(1, 64, 64, 64),
        torch.from_numpy(label),
        spatial.matrix,
        center_of(label.shape),
        size,
        2,
    )

    sheet = result.numpy() == 1
    normal = np.array(spatial.matrix)[0]
    across = int(np.abs(normal).argmax())
    thickness = sheet.sum(axis=across)
    assert ndimage.label(sheet, np.ones((3, 3, 3)))[1] == 1
    leaves_patch = np.linalg.norm(normal) * 16 > 31.5 / 2
    assert leaves_patch or (thickness[8:24, 8:24] >= 1).all()
    assert sheet.sum() / (thickness > 0).sum() == pytest.approx(2 / abs(normal[across]), rel=0.15)


def test_ignored_voxels_do_not_vote_for_the_samples_next_to_them() -> None:
    label = np.zeros((16, 16, 16), np.uint8)
    label[:, :, 8:] = 1
    label[8:] = IGNORE
    spatial = a_warp(2, (10, 10, 10))

    _, result = warp(
        torch.zeros(1, 16, 16, 16),
        torch.from_numpy(label),
        spatial.matrix,
        (7.5,) * 3,
        (10,) * 3,
        2,
    )

    without = by_scipy(np.where(label == IGNORE, 0, label), spatial, (10, 10, 10), 0, 0.0)
    nearest = by_scipy(label == IGNORE, spatial, (10, 10, 10), 0, 1.0) > 0.5
    np.testing.assert_array_equal(result.numpy() == IGNORE, nearest)
    valid = ~nearest
    assert (result.numpy()[valid] == without[valid]).mean() > 0.9


def test_outside_the_volume_the_image_is_zero_and_the_label_ignored() -> None:
    spatial = SpatialTransform((0, 1, 2), (False,) * 3, ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)))

    image, label = warp(
        torch.ones(2, 4, 4, 4),
        torch.ones(4, 4, 4, dtype=torch.uint8),
        spatial.matrix,
        (1.5, 1.5, 1.5),
        (8, 8, 8),
        2,
    )

    inside = torch.zeros(8, 8, 8, dtype=torch.bool)
    inside[2:6, 2:6, 2:6] = True
    assert (image[:, inside] - 1).abs().max() < 0.01
    assert image[:, ~inside].abs().max() < 0.01
    assert (label[inside] == 1).all()
    assert (label[~inside] == IGNORE).all()


def test_angles_stay_within_the_limit_about_each_axis() -> None:
    config = ALWAYS.model_copy(
        update={"rotation": Rotation(p=1.0, degrees=10.0), "scaling": Scaling(p=0.0)}
    )
    generator = rng()

    for _ in range(50):
        matrix = np.array(draw_spatial(generator, config, (8, 8, 8), ISOTROPIC).matrix)
        assert math.acos(min(1.0, (np.trace(matrix) - 1) / 2)) < math.radians(10 * math.sqrt(3) + 1)


@pytest.mark.parametrize("num", [1, 3])
def test_the_stacked_sampler_of_the_cpu_agrees_with_that_of_other_devices(num: int) -> None:
    generator = torch.Generator().manual_seed(0)
    volume = torch.rand((num, 7, 9, 11), generator=generator)
    z, y, x = (torch.rand((4, 5, 6), generator=generator) * (e + 4) - 2 for e in (7, 9, 11))

    stacked = module._interpolate_stacked(
        module._stack_planes(tuple(volume)), (z, y, x), (7, 9, 11)
    )

    plain = module._interpolate(volume[None], (z, y, x), (7, 9, 11))
    torch.testing.assert_close(stacked, plain, atol=1e-4, rtol=0)


def test_a_zoom_that_reads_far_more_than_the_patch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a zoom range starts at 0\.1 or above"):
        Scaling(range=(0.09, 1.0))


@pytest.mark.parametrize("flat", [0, 1])
def test_a_patch_of_one_slice_is_flipped_and_turned_in_its_plane_alone(flat: int) -> None:
    config = AugmentConfig(rotation=Rotation(p=1.0), scaling=Scaling(p=0.0))
    patch_size = (1, 16, 16) if flat == 0 else (16, 1, 16)

    transforms = [
        draw_spatial(rng(seed), config, patch_size, (2.0, 2.0, 2.0)) for seed in range(30)
    ]

    assert not any(transform.flips[flat] for transform in transforms)
    assert {transform.order[flat] for transform in transforms} == {flat}
    assert any(any(transform.flips) for transform in transforms)
    for transform in transforms:
        matrix = np.array(transform.matrix)
        np.testing.assert_allclose(matrix[flat], np.eye(3)[flat])
        np.testing.assert_allclose(matrix[:, flat], np.eye(3)[flat])
        assert transform.margin(patch_size)[flat] == 0
    assert np.ptp([transform.matrix[2][2] for transform in transforms]) > 0.01
