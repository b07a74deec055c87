from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vesuv.models import build_model
from vesuv.models.residual_encoder_unet import ResidualEncoderUNetConfig
from vesuv.planning.network_shape import SMALLEST_EDGE
from vesuv.planning.residual_encoder import PRESETS, ResidualShape, residual_shape
from vesuv.types import Shape, Spacing

CUBIC = (1.0, 1.0, 1.0)
ISOTROPIC = ((1, 1, 1), *[(2, 2, 2)] * 5)

# What nnU-Net 2.8.1's planners nnUNetPlannerResEncM, L and XL return for two classes:
# preset, median shape, spacing, cases -> patch, batch, voxels of its feature maps
PLANS: list[tuple[str, Shape, Spacing, int, Shape, int, int]] = [
    ("M", (320, 320, 320), CUBIC, 786, (128, 128, 128), 2, 555_323_392),
    ("L", (320, 320, 320), CUBIC, 786, (192, 192, 192), 2, 1_874_216_448),
    ("XL", (320, 320, 320), CUBIC, 786, (224, 224, 224), 2, 2_976_186_304),
    ("M", (125, 125, 125), CUBIC, 6, (128, 128, 128), 2, 555_323_392),
    ("XL", (125, 125, 125), CUBIC, 6, (128, 128, 128), 6, 555_323_392),
    ("M", (96, 96, 96), CUBIC, 6, (96, 96, 96), 6, 234_026_496),
    ("XL", (172, 172, 172), CUBIC, 50, (192, 192, 192), 4, 1_874_216_448),
    ("M", (40, 150, 140), (3.0, 1.0, 1.0), 6, (40, 160, 160), 4, 376_680_000),
    ("M", (20, 320, 320), (5.0, 1.0, 1.0), 20, (20, 256, 256), 2, 563_758_080),
    ("M", (25, 256, 256), (6.5, 0.8, 0.8), 1, (24, 256, 224), 2, 639_120_384),
    ("L", (25, 256, 256), (6.5, 0.8, 0.8), 1, (28, 256, 256), 2, 852_913_152),
    ("M", (130, 512, 512), (1.0, 0.7, 0.7), 100, (56, 224, 192), 2, 641_493_888),
    ("L", (130, 512, 512), (1.0, 0.7, 0.7), 100, (80, 320, 256), 2, 1_736_889_600),
    ("XL", (130, 512, 512), (1.0, 0.7, 0.7), 100, (112, 320, 320), 2, 3_039_556_800),
    ("M", (30, 101, 122), CUBIC, 1, (32, 112, 128), 2, 121_812_992),
    ("XL", (8, 400, 300), CUBIC, 4, (8, 256, 256), 7, 167_890_944),
]


@pytest.mark.parametrize(("preset", "shape", "spacing", "cases", "patch", "batch", "voxels"), PLANS)
def test_presets_are_those_of_nnunets_planner(
    preset: str, shape: Shape, spacing: Spacing, cases: int, patch: Shape, batch: int, voxels: int
) -> None:
    network, batch_size = residual_shape(PRESETS[preset], shape, spacing, cases, num_classes=2)

    assert (network.patch_size, batch_size) == (patch, batch)
    assert network.feature_voxels(2) == voxels


def test_stages_of_anisotropic_voxels_are_those_of_nnunets_planner() -> None:
    network, _ = residual_shape(8.0, (25, 256, 256), (6.5, 0.8, 0.8), 1, num_classes=2)

    in_plane, all_axes = (1, 2, 2), (2, 2, 2)
    assert network.strides == ((1, 1, 1), in_plane, in_plane, in_plane, all_axes, all_axes)
    assert network.kernel_sizes == (*[(1, 3, 3)] * 3, *[(3, 3, 3)] * 3)


def test_the_preset_for_cubes_of_128_voxels_is_the_networks_default() -> None:
    network, _ = residual_shape(8.0, (320, 320, 320), CUBIC, 786, num_classes=2)

    assert network.strides == ISOTROPIC
    assert network.features == ResidualEncoderUNetConfig().features_per_stage
    assert set(network.keys()) == {
        "model.name", "model.features_per_stage", "model.deep_supervision",
    }  # fmt: skip


@pytest.mark.parametrize("patch", [(128, 128, 128), (64, 64, 64), (56, 224, 192), (24, 256, 224)])
def test_the_count_of_features_is_that_of_the_network(patch: Shape) -> None:
    shape = ResidualShape.around(patch, (6.5, 0.8, 0.8) if patch[0] == 24 else CUBIC)
    keys = {key.removeprefix("model."): value for key, value in shape.keys().items()}
    section = ResidualEncoderUNetConfig(**keys | {"deep_supervision": False, "out_channels": 2})
    with torch.device("meta"):
        network = build_model(section)

    count = network.compute_conv_feature_map_size(patch)  # type: ignore[operator]
    assert shape.patch_size == patch
    assert shape.feature_voxels(num_classes=2) == count


def test_the_work_is_that_of_all_convolutions_forward_and_backward() -> None:
    shape = ResidualShape.around((16, 16, 16), CUBIC)

    # stages of 16³ voxels and 32 channels, 8³ and 64, 4³ and 128; 27 taps; multiply, add, 3 passes
    first = (27 * 32 * 32 + 27 * 32 * 32) * 16**3
    second = (27 * 32 * 64 + 32 * 64 + 5 * 27 * 64 * 64) * 8**3
    third = (27 * 64 * 128 + 64 * 128 + 7 * 27 * 128 * 128) * 4**3
    decoder = (128 * 64 + 27 * 128 * 64) * 8**3 + (64 * 32 + 27 * 64 * 32) * 16**3
    assert shape.flops() == 6 * (first + second + third + decoder)


def test_flat_volumes_get_kernels_and_strides_in_the_plane() -> None:
    network, batch_size = residual_shape(8.0, (1, 1000, 700), CUBIC, 30, num_classes=2)

    assert network.patch_size[0] == 1
    assert {stride[0] for stride in network.strides} == {1}
    assert set(network.kernel_sizes) == {(1, 3, 3)}
    assert batch_size >= 2
    assert network.feature_voxels(2) <= 680_000_000


@settings(max_examples=60)
@given(
    shape=st.tuples(*[st.integers(1, 600)] * 3),
    spacing=st.tuples(*[st.floats(0.1, 10.0)] * 3),
    gigabytes=st.sampled_from([0.5, 8.0, 40.0]),
)
def test_patches_are_multiples_of_their_strides_and_fit_the_budget(
    shape: Shape, spacing: Spacing, gigabytes: float
) -> None:
    network, batch_size = residual_shape(gigabytes, shape, spacing, 3, num_classes=2)

    sizes = list(network.patch_size)
    for stride in network.strides:
        assert all(size % factor == 0 for size, factor in zip(sizes, stride, strict=True))
        sizes = [size // factor for size, factor in zip(sizes, stride, strict=True)]
        assert all(s >= SMALLEST_EDGE or f == 1 for s, f in zip(sizes, stride, strict=True))
    assert len(network.kernel_sizes) == len(network.strides) == len(network.features)
    assert batch_size >= 2
    assert network.feature_voxels(2) <= 680e6 * gigabytes / 8
