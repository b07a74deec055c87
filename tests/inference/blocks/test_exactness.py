"""A prediction in blocks equals that of the whole volume."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inference.blocks.conftest import network, predictor, smooth_image
from vesuv.data.statistics import case_statistics
from vesuv.inference.blocks.blending import WindowCounts
from vesuv.inference.blocks.compute import BlockPredictor, Grids
from vesuv.inference.blocks.first_pass import measure_image
from vesuv.inference.predictor import Predictor
from vesuv.io.lazy.volume import ArrayVoxels
from vesuv.types import Array

ONE = (1.0, 1.0, 1.0)


def slow(value: object) -> Any:
    """Return a parameter that is left to the slow tests."""
    return pytest.param(value, marks=pytest.mark.slow)


def label_settings(kind: str) -> dict[str, Any]:
    """Return the labels of one class, of several classes or of regions."""
    classes = {"background": 0, "thin": 3, "thick": 7}
    regions = {"all": ["thin", "thick"], "core": ["thick"]}
    if kind == "one":
        return {}
    return {"classes": classes, "regions": regions if kind == "regions" else None}


def in_blocks(
    networks: Predictor,
    image: Array,
    spacing,
    block,
    counts: WindowCounts | None = None,
    *,
    uncertainty: bool = False,
) -> torch.Tensor:
    """Put the probabilities, or the uncertainty, of all blocks together."""
    voxels = ArrayVoxels(image if image.ndim == 4 else image[None])
    grids = Grids.of(voxels.shape[1:], spacing, networks.config.data.spacing)
    statistics = measure_image(voxels, grids, "full")
    computer = BlockPredictor(networks, grids, statistics, uncertainty=uncertainty)
    parts: list[list[slice]] = [
        [slice(start, min(start + edge, length)) for start in range(0, length, edge)]
        for length, edge in zip(grids.native, block, strict=True)
    ]
    result = torch.empty(0)
    for z, y, x in itertools.product(*parts):
        block_probs = computer.predict(
            computer.read(voxels, (z, y, x)), (z, y, x), counts or WindowCounts()
        )
        probs = block_probs.probs
        if block_probs.uncertainty is not None:
            probs = torch.cat([probs, block_probs.uncertainty[None]])
        if not result.numel():
            result = torch.full((len(probs), *grids.native), torch.nan)
        result[:, z, y, x] = probs
    return result


def compare(networks: Predictor, image: Array, spacing, block) -> tuple[float, float]:
    """Return the largest difference of probability, and the share of unequal mask voxels."""
    whole = torch.from_numpy(networks.predict(image, spacing))
    blocks = in_blocks(networks, image, spacing, block)
    masks = [networks.classes(probs, spacing) for probs in (whole, blocks)]
    return float((whole - blocks).abs().max()), float((masks[0] != masks[1]).mean())


@pytest.mark.parametrize("block", [(16, 16, 16), (7, 20, 50), (40, 5, 9)])
@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.75])
def test_without_resampling_every_bit_is_equal(block, overlap: float) -> None:
    networks = predictor(network(overlap=overlap, patch_size=(8, 12, 10)))
    image = smooth_image((23, 21, 17))

    assert compare(networks, image, ONE, block) == (0.0, 0.0)


@pytest.mark.parametrize("shape", [(5, 30, 3), (3, 4, 5), (8, 9, 33)])
def test_a_volume_shorter_than_a_window_is_padded_alike(shape) -> None:
    networks = predictor(network(patch_size=(8, 8, 8)))

    assert compare(networks, smooth_image(shape), ONE, (3, 7, 8)) == (0.0, 0.0)


@pytest.mark.parametrize("kind", ["one", slow("classes"), slow("regions")])
@pytest.mark.parametrize("spacing", [slow(ONE), (1.7, 0.6, 1.1)])
def test_averages_of_logits_equal_those_of_the_whole_volume(kind: str, spacing) -> None:
    labels = label_settings(kind)
    options = {"views": "mirror", "average": "logits", "spacing": ONE, **labels}
    first = network(0, patch_size=(8, 8, 8), **options)
    other = network(1, patch_size=(12, 8, 10), **options)
    networks = predictor(first, other, weights=(1.0, 3.0))
    image = smooth_image((15, 9, 17), empty=9)

    difference, unequal = compare(networks, image, spacing, (9, 4, 9))
    blocks = in_blocks(networks, image, spacing, (9, 4, 9), uncertainty=True)

    assert difference <= (1e-6 if spacing == ONE else 1e-5)
    assert unequal == 0.0
    assert np.abs(blocks[-1].numpy() - networks.uncertainty(image, spacing)).max() <= 1e-5
    inference = networks.inference.model_copy(update={"average": "probabilities"})
    of_probs = predictor(first, other, weights=(1.0, 3.0), inference=inference)
    assert np.abs(blocks[:-1].numpy() - of_probs.predict(image, spacing)).max() > 0.01


def test_views_and_members_with_other_windows_and_weights_are_averaged_alike() -> None:
    one = network(0, views="mirror", patch_size=(8, 8, 8))
    other = network(1, views="mirror", patch_size=(12, 8, 10))
    networks = predictor(one, other, weights=(1.0, 3.0))

    assert compare(networks, smooth_image((15, 9, 17)), ONE, (9, 9, 9)) == (0.0, 0.0)


@pytest.mark.parametrize("spacing", [slow(ONE), (1.7, 0.6, 1.1)])
@pytest.mark.parametrize("kind", [slow("one"), "classes", slow("regions")])
def test_the_uncertainty_of_blocks_is_that_of_the_whole_volume(kind: str, spacing) -> None:
    labels = label_settings(kind)
    networks = predictor(
        *(
            network(seed, views="mirror", patch_size=(8, 10, 8), spacing=ONE, **labels)
            for seed in (0, 1)
        )
    )
    image = smooth_image((17, 15, 13))

    blocks = in_blocks(networks, image, spacing, (9, 7, 8), uncertainty=True)

    assert np.abs(blocks[:-1].numpy() - networks.predict(image, spacing)).max() <= 1e-5
    bits = networks.uncertainty(image, spacing)
    assert bits.std() > 0.01
    assert np.abs(blocks[-1].numpy() - bits).max() <= 1e-5


@pytest.mark.slow
@settings(max_examples=12)
@given(data=st.data())
def test_resampling_block_by_block_has_no_seam(data: st.DataObject) -> None:
    edges = st.integers(6, 26)
    shape = tuple(data.draw(edges) for _ in range(3))
    spacing = tuple(data.draw(st.floats(0.5, 2.2)) for _ in range(3))
    block = tuple(data.draw(st.integers(5, 26)) for _ in range(3))
    dtype = data.draw(st.sampled_from([np.uint8, np.int16, np.uint16, np.float32]))
    kind = data.draw(st.sampled_from(["one", "classes", "regions"]))
    networks = predictor(
        network(
            spacing=(1.0, 1.3, 0.9),
            overlap=data.draw(st.sampled_from([0.0, 0.5, 0.7])),
            channels=2 if kind == "classes" else 1,
            average=data.draw(st.sampled_from(["probabilities", "logits"])),
            **label_settings(kind),
        )
    )
    image = smooth_image((2, *shape) if kind == "classes" else shape, dtype)

    difference, unequal = compare(networks, image, spacing, block)

    assert difference <= 1e-5
    assert unequal <= 1e-4


def test_empty_windows_are_computed_once_and_counted() -> None:
    networks = predictor(network(patch_size=(8, 8, 8)))
    image = smooth_image((48, 16, 16), empty=32)
    counts = WindowCounts()

    probs = in_blocks(networks, image, ONE, (16, 16, 16), counts)

    # z corners 0, 4, … 40; up to 24 they are empty; 12 and 28 lie in two blocks
    assert counts == WindowCounts(computed=5 * 9, empty=(7 + 1) * 9)
    assert torch.equal(probs, torch.from_numpy(networks.predict(image)))


@pytest.mark.parametrize("spacing", [ONE, (1.7, 0.6, 1.1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_statistics_of_a_full_pass_are_those_of_the_whole_volume(dtype, spacing) -> None:
    networks = predictor(network(spacing=ONE))
    image = smooth_image((1, 140, 30, 135), dtype)
    expected = case_statistics(networks.ensemble.resample(image, spacing), None)
    voxels = ArrayVoxels(image)

    measured = measure_image(voxels, Grids.of((140, 30, 135), spacing, ONE), "full")

    assert measured.share == 1.0
    for name in ("mean", "std", "min", "max", "low", "high"):
        assert getattr(measured.working, name) == pytest.approx(
            getattr(expected, name), rel=1e-6 if spacing != ONE else 1e-12
        )


def test_a_sample_is_regular_and_says_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vesuv.inference.blocks.statistics.TILE_EDGE", 8)
    monkeypatch.setattr("vesuv.inference.blocks.statistics.SAMPLE_VOXELS", 8**3 * 20)
    image = smooth_image((1, 48, 40, 40), np.uint8)
    grids = Grids.of((48, 40, 40), ONE, None)

    measured = measure_image(ArrayVoxels(image), grids, "sample")

    assert measured.share == pytest.approx(21 / 150)  # every 7th of 150 tiles
    assert measured.working.mean[0] == pytest.approx(image.mean(), rel=0.1)
    assert str(measured).endswith("from a regular sample of 14.00% of the volume")


def test_resampling_without_known_limits_stays_within_the_number_type() -> None:
    grids = Grids.of((12, 12, 12), (2.0, 2.0, 2.0), ONE)
    image = np.zeros((1, 12, 12, 12), np.uint8)
    image[0, 4:8, 4:8, 4:8] = 255  # cubic interpolation overshoots here
    measured = measure_image(ArrayVoxels(image), grids, "sample")
    computer = BlockPredictor(predictor(network(spacing=ONE)), grids, measured)

    region = (slice(0, 12),) * 3
    resampled = computer.read(ArrayVoxels(image), region)

    full = measure_image(ArrayVoxels(image), grids, "full")
    exact = BlockPredictor(predictor(network(spacing=ONE)), grids, full)
    assert measured.limits == full.limits == ((0.0, 255.0),)
    assert np.array_equal(resampled, exact.read(ArrayVoxels(image), region))


def test_a_record_restores_the_statistics_exactly() -> None:
    image = smooth_image((1, 20, 20, 20), np.float32)
    measured = measure_image(ArrayVoxels(image), Grids.of((20, 20, 20), ONE, None), "full")

    assert type(measured).from_json(json.loads(json.dumps(measured.to_json()))) == measured
