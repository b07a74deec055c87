import numpy as np
import pytest

from vesuv.diagnosis.probes.families import geometric_features, textural_features


def test_a_sheet_has_one_large_curvature_at_its_centre() -> None:
    z = np.arange(31, dtype=np.float32) - 15
    image = np.broadcast_to(np.exp(-(z**2) / (2 * 4.0))[:, None, None], (31, 21, 21))

    features = geometric_features(image[None].astype(np.float32))[:, 15, 10, 10]

    # a Gaussian of variance 4 smoothed by one of variance 1 has variance 5, peak 2/sqrt(5) and
    # second derivative -peak/5; the gradient at its centre is 0
    assert features[0] == pytest.approx(0.0, abs=1e-5)
    assert features[1] == pytest.approx(-2 / np.sqrt(5) / 5, rel=0.03)
    assert features[2:4] == pytest.approx([0.0, 0.0], abs=1e-3)
    assert geometric_features(np.zeros((2, 9, 9, 9), np.float32)).shape == (16, 9, 9, 9)


def test_noise_has_its_spread_and_a_constant_has_none() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(3.0, 0.5, (1, 40, 40, 40)).astype(np.float32)

    features = textural_features(noise)

    assert features.shape == (10, 40, 40, 40)
    assert features[1].mean() == pytest.approx(3.0, abs=0.02)
    assert np.median(features[8]) == pytest.approx(0.5, abs=0.03)  # the spread at sigma 4
    constant = textural_features(np.full((1, 9, 9, 9), 2.0, np.float32))
    assert np.abs(constant[[2, 3, 5, 6, 8, 9]]).max() < 0.01
