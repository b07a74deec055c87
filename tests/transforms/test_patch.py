"""From the stored voxels to a finished patch, on an in-memory case."""

from typing import Any, cast

import numpy as np
import pytest
import torch

from vesuv.config.data import AugmentConfig, Rotation, SamplingConfig, Scaling
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import PatchPlan, PatchSampler
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.patch import (
    Transform,
    apply_transform,
    draw_transform,
    read_patch,
    read_planned_patch,
)
from vesuv.transforms.spatial import SpatialTransform

SIZE = (8, 8, 8)
SPACING = (1.0, 1.0, 1.0)
PLAIN = IntensityMap((-np.inf,), (np.inf,), (100.0,), (50.0,))


class Case:
    """A stored case in memory."""

    def __init__(self, image: np.ndarray, label: np.ndarray) -> None:
        self.id = "case"
        self.image, self.label, self.shape = image, label, label.shape
        self.spacing = SPACING


def a_case(shape: tuple[int, int, int] = (20, 20, 20)) -> Any:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (1, *shape), dtype=np.uint8)
    return cast("Any", Case(image, rng.integers(0, 2, shape, dtype=np.uint8)))


def test_without_augmentation_a_patch_is_the_normalised_voxels() -> None:
    case = a_case()

    image, label = apply_transform(read_patch(case, (3, 4, 5), Transform(SIZE)), PLAIN, 2)

    expected = (case.image[:, 3:11, 4:12, 5:13].astype(np.float32) - 100) / 50
    np.testing.assert_allclose(image.numpy(), expected, rtol=1e-6)
    np.testing.assert_array_equal(label.numpy(), case.label[3:11, 4:12, 5:13])


def test_a_patch_that_is_only_turned_reads_exactly_its_own_voxels() -> None:
    transform = Transform(SIZE, SpatialTransform((2, 0, 1), (True, False, True), None))

    raw = read_patch(a_case(), (0, 1, 2), transform)

    assert raw.image.shape == (1, *SIZE)
    assert raw.image.dtype == torch.uint8


@pytest.mark.parametrize("matrix", [None, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))])
@pytest.mark.parametrize("shape", [(20, 20, 20), (5, 20, 6), (20, 20, 5)])
def test_turning_and_warping_agree_where_the_warp_does_nothing(
    matrix: Any, shape: tuple[int, int, int]
) -> None:
    case = a_case(shape)
    corner = tuple((e - 8) // 2 for e in shape)
    padded = np.pad(case.label, 8, constant_values=IGNORE)
    box = tuple(slice(c + 8, c + 16) for c in corner)
    expected = padded[box].transpose(2, 0, 1)[::-1, :, ::-1]
    grey = np.pad(case.image[0].astype(np.float32), 8, mode="edge")[box]

    transform = Transform(SIZE, SpatialTransform((2, 0, 1), (True, False, True), matrix))
    image, label = apply_transform(read_patch(case, cast("Any", corner), transform), PLAIN, 2)

    np.testing.assert_array_equal(label.numpy(), expected)
    turned = (grey.transpose(2, 0, 1)[::-1, :, ::-1] - 100) / 50
    np.testing.assert_allclose(image[0].numpy(), turned, atol=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_a_warped_patch_needs_nothing_beyond_its_box(seed: int) -> None:
    config = AugmentConfig(rotation=Rotation(p=1.0), scaling=Scaling(p=1.0))
    transform = draw_transform(seed, config, SIZE, SPACING)
    label = np.zeros((40, 40, 40), np.uint8)
    case = cast("Any", Case(label[None], label))

    raw = read_patch(case, (16, 16, 16), transform)
    _, result = apply_transform(raw, PLAIN, 2)

    assert (result == 0).all(), "a sample outside the box would be ignored"
    assert raw.label.numel() < 40**3


def test_a_transform_depends_on_its_seed() -> None:
    config = AugmentConfig()
    transforms = {draw_transform(seed, config, SIZE, SPACING) for seed in range(20)}

    assert len(transforms) == 20
    assert draw_transform(3, config, SIZE, SPACING) == draw_transform(3, config, SIZE, SPACING)


def test_a_plan_determines_position_and_augmentation_of_its_patch() -> None:
    cases = (a_case(), a_case((30, 20, 20)))
    sampler = PatchSampler(cases, SamplingConfig(patch_size=SIZE), 0, (0, 1), (0, 1), ((1,),))
    plan = PatchPlan(case=1, center=(29, 10, 2), seed=3)

    plain = read_planned_patch(sampler, plan, None)
    augmented = read_planned_patch(sampler, plan, AugmentConfig())

    expected = cases[1].image[:, 22:, 6:14, :8]
    np.testing.assert_array_equal(plain.image.numpy(), expected)
    assert plain.transform == Transform(SIZE)
    assert augmented.transform == draw_transform(3, AugmentConfig(), SIZE, SPACING)


def test_several_channels_and_a_float_image_pass_through_everything() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(3, 20, 20, 20))
    case = cast("Any", Case(image, np.zeros((20, 20, 20), np.uint8)))
    channels = IntensityMap((-np.inf,) * 3, (np.inf,) * 3, (0.0, 1.0, 2.0), (1.0, 2.0, 3.0))

    for seed in range(10):
        patch, label = apply_transform(
            read_patch(case, (6, 6, 6), draw_transform(seed, AugmentConfig(), SIZE, SPACING)),
            channels,
            2,
        )

        assert patch.shape == (3, *SIZE)
        assert patch.dtype == torch.float32
        assert patch.isfinite().all()
        assert patch.is_contiguous()
        assert label.shape == SIZE
