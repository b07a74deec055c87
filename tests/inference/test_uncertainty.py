from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vesuv.config.training import InferenceConfig, RuntimeConfig
from vesuv.errors import InputError
from vesuv.inference.domain_shift import InputGrid
from vesuv.inference.load import load
from vesuv.inference.uncertainty import append_entropy, entropy, mutual_information
from vesuv.inference.volume import predict_volume
from vesuv.runtime.machine import resolve

ZEROS = np.zeros((16, 16, 16), dtype=np.uint8)
# H(1/4) = 2 - 3/4 log2 3, H(1/2) = 1, H(0) = 0
QUARTER = 2 - 0.75 * np.log2(3)


def _voxel(*probs: float) -> Tensor:
    return torch.tensor(probs).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize(
    ("probs", "overlap", "bits"),
    [
        ((0.5,), False, 1.0),
        ((0.25,), False, QUARTER),
        ((1.0,), False, 0.0),
        ((0.0,), False, 0.0),
        ((0.5, 0.25, 0.25), False, 1.5),
        ((0.5, 0.25), True, 1.0 + QUARTER),
        ((0.25,), True, QUARTER),
    ],
)
def test_entropy_is_that_of_a_coin_of_a_die_and_of_independent_coins(probs, overlap, bits) -> None:
    assert entropy(_voxel(*probs), overlap=overlap).item() == pytest.approx(bits, abs=1e-6)


def test_sure_predictions_that_contradict_one_another_share_one_bit() -> None:
    both = [append_entropy(_voxel(p)[None])[0] for p in (0.0, 1.0)]

    assert mutual_information((both[0] + both[1]) / 2).item() == pytest.approx(1.0)


def test_equal_predictions_are_certain_however_even_they_are() -> None:
    one = append_entropy(_voxel(0.3, 0.3, 0.4)[None])[0]

    assert mutual_information(one).item() == 0.0


def test_networks_that_differ_are_uncertain_by_their_weights(make_run) -> None:
    runs = [make_run("a", logits=[0.0]).path, make_run("b", logits=[100.0]).path]

    # probabilities 1/2 and 1 of entropy 1 and 0
    even = load(runs).uncertainty(ZEROS)
    weighted = load(runs, weights=[3, 1]).uncertainty(ZEROS)

    assert (even.shape, even.dtype) == ((16, 16, 16), np.float32)
    assert np.allclose(even, QUARTER - 0.5, atol=1e-6)
    # mean 5/8: H = 3 - 5/8 log2 5 - 3/8 log2 3; mean entropy 3/4
    expected = 3 - 0.625 * np.log2(5) - 0.375 * np.log2(3) - 0.75
    assert np.allclose(weighted, expected, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_uncertainty_is_the_same_where_logits_are_averaged(make_run, channels: int) -> None:
    runs = [
        make_run(name, logits=[0.0, value][-channels:], model__out_channels=channels).path
        for name, value in (("a", 0.0), ("b", 100.0))
    ]

    bits = load(runs, changes=["inference.average=logits"]).uncertainty(ZEROS)

    assert np.allclose(bits, QUARTER - 0.5, atol=1e-6)


def test_the_uncertainty_of_regions_is_the_sum_over_them(make_run) -> None:
    regions = {
        "labels__classes": {"air": 0, "a": 1, "b": 3},
        "labels__regions": {"both": ["a", "b"], "b": ["b"]},
        "model__out_channels": 2,
    }
    runs = [
        make_run("a", logits=[0.0, 0.7], **regions).path,
        make_run("b", logits=[100.0, 0.7], **regions).path,
    ]

    assert np.allclose(load(runs).uncertainty(ZEROS), QUARTER - 0.5, atol=1e-6)


def test_views_that_differ_are_uncertain() -> None:
    sign = torch.ones(8, 8, 8)
    sign[4:] = -1.0

    mean = predict_volume(
        lambda batch: 100 * sign.expand_as(batch),  # sure of the upper half, whatever it sees
        torch.zeros(1, 8, 8, 8),
        resolve(RuntimeConfig(device="cpu", precision="float32", threads=1)),
        patch_size=(8, 8, 8),
        inference=InferenceConfig(views="mirror"),
        entropy=True,
    )

    assert torch.allclose(mean[0], torch.tensor(0.5))
    assert torch.allclose(mutual_information(mean), torch.tensor(1.0))


@pytest.mark.parametrize("views", ["none", "mirror"])
@pytest.mark.parametrize("spacing", [None, [2.0, 1.5, 0.8]], ids=["as it came", "resampled"])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_probabilities_are_the_same_to_the_bit_with_uncertainty(
    make_run, views, spacing, average
) -> None:
    runs = [make_run(name, seed=seed, data__spacing=spacing) for seed, name in enumerate("ab")]
    image = np.random.default_rng(0).integers(0, 255, (11, 18, 20)).astype(np.uint8)
    changes = [f"inference.views={views}", f"inference.average={average}"]
    predictor = load([run.path for run in runs], changes=changes)

    with_it = predictor.predict_on_grid(image, InputGrid((2.5, 1.0, 1.0)), uncertainty=True)
    without = predictor.predict_on_grid(image, InputGrid((2.5, 1.0, 1.0)))

    assert torch.equal(with_it.probs, without.probs)
    assert without.uncertainty is None
    assert with_it.uncertainty is not None
    assert with_it.uncertainty.shape == image.shape
    assert 0.0 <= with_it.uncertainty.min() < with_it.uncertainty.max() <= 1.0


def test_one_network_without_views_has_nothing_to_disagree_with(make_run) -> None:
    run = make_run("a").path

    with pytest.raises(InputError, match=r"found one network with inference\.views=none"):
        load(run).uncertainty(ZEROS)
    assert load(run, changes=["inference.views=mirror"]).uncertainty(ZEROS).max() >= 0.0
