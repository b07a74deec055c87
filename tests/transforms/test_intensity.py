"""Each effect against a formula or an independent implementation."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from vesuv.config.data import AugmentConfig, Blur, Gamma, Noise
from vesuv.transforms.intensity import (
    IDENTITY_INTENSITY,
    IntensityTransform,
    add_noise,
    adjust_contrast,
    adjust_gamma,
    blur,
    draw_intensity,
    simulate_low_resolution,
)


def an_image(channels: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn((channels, 12, 14, 16), generator=generator)


def test_noise_has_the_given_deviation_and_depends_on_its_seed_alone() -> None:
    image = torch.zeros(1, 40, 40, 40)

    noisy = add_noise(image, 0.3, seed=7)

    assert noisy.std().item() == pytest.approx(0.3, rel=0.02)
    assert noisy.mean().item() == pytest.approx(0.0, abs=0.01)
    assert torch.equal(noisy, add_noise(image, 0.3, seed=7))
    assert not torch.equal(noisy, add_noise(image, 0.3, seed=8))


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.0])
def test_blur_equals_scipys(sigma: float) -> None:
    image = an_image()

    result = blur(image, sigma)

    radius = int(np.ceil(3 * sigma))
    for channel, blurred in zip(image, result, strict=True):
        expected = ndimage.gaussian_filter(channel.numpy(), sigma, mode="nearest", radius=radius)
        np.testing.assert_allclose(blurred.numpy(), expected, atol=1e-5)


def test_blur_of_zero_width_changes_nothing() -> None:
    assert torch.equal(blur(an_image(), 0.0), an_image())


def test_contrast_scales_about_the_mean_within_the_former_extremes() -> None:
    image = torch.tensor([0.0, 1.0, 2.0, 5.0]).reshape(1, 1, 2, 2)

    assert adjust_contrast(image, 0.5).flatten().tolist() == [1.0, 1.5, 2.0, 3.5]
    assert adjust_contrast(image, 2.0).flatten().tolist() == [0.0, 0.0, 2.0, 5.0]


def test_low_resolution_keeps_shape_and_a_constant_and_loses_detail() -> None:
    image = an_image()

    low = simulate_low_resolution(image, 0.5)

    assert low.shape == image.shape
    assert low.std() < image.std()
    assert torch.equal(simulate_low_resolution(torch.ones(1, 8, 8, 8), 0.6), torch.ones(1, 8, 8, 8))
    assert torch.equal(simulate_low_resolution(image, 1.0), image)


def test_low_resolution_of_a_ramp_is_the_ramp_away_from_its_ends() -> None:
    ramp = torch.arange(16.0).expand(1, 16, 16, 16).contiguous()

    low = simulate_low_resolution(ramp, 0.5)

    difference = (low - ramp)[0, 8, 8, 2:-2]
    assert difference.std().item() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("exponent", [0.7, 1.5])
def test_gamma_keeps_mean_and_deviation_of_each_channel(exponent: float) -> None:
    image = an_image()

    adjusted = adjust_gamma(image, exponent)

    rescaled = (image[0] - image[0].min()) / (image[0].max() - image[0].min())
    expected = rescaled.double() ** exponent
    expected = (expected - expected.mean()) / expected.std(correction=0)
    expected = expected * image[0].std(correction=0) + image[0].mean()
    np.testing.assert_allclose(adjusted[0].numpy(), expected.numpy(), atol=1e-4)
    torch.testing.assert_close(adjusted.mean(dim=(1, 2, 3)), image.mean(dim=(1, 2, 3)))


def test_gamma_of_a_constant_patch_is_that_constant() -> None:
    assert torch.equal(
        adjust_gamma(torch.full((1, 4, 4, 4), 3.0), 0.8), torch.full((1, 4, 4, 4), 3.0)
    )


def test_the_identity_changes_nothing_and_no_effect_writes_into_the_input() -> None:
    image = an_image()
    everything = IntensityTransform(0.1, 1, 0.7, 1.1, 0.9, 0.6, 0.8, 1.2)

    assert IDENTITY_INTENSITY.apply(image) is image
    changed = everything.apply(image)

    assert torch.equal(image, an_image())
    assert changed.isfinite().all()
    assert changed.shape == image.shape


def test_inverted_gamma_is_gamma_of_the_negated_image() -> None:
    image = an_image()

    result = IntensityTransform(gamma_inverted=1.4).apply(image)

    torch.testing.assert_close(result, -adjust_gamma(-image, 1.4))


def test_effects_are_drawn_as_often_and_as_strongly_as_configured() -> None:
    rng = np.random.default_rng(0)
    config = AugmentConfig(
        noise=Noise(p=0.25, range=(0.1, 0.2)), gamma=Gamma(p=0.0, range=(0.7, 1.5), p_inverted=1.0)
    )

    transforms = [draw_intensity(rng, config) for _ in range(2000)]

    noise = [transform.noise for transform in transforms if transform.noise is not None]
    assert len(noise) / 2000 == pytest.approx(0.25, abs=0.04)
    assert 0.1 <= min(noise) < 0.11
    assert 0.19 < max(noise) <= 0.2
    assert all(
        transform.gamma is None and transform.gamma_inverted is not None for transform in transforms
    )


def test_the_probability_of_one_effect_does_not_change_the_others() -> None:
    without_noise = AugmentConfig(noise=Noise(p=0.0, range=(0.0, 0.3)))

    default = draw_intensity(np.random.default_rng(3), AugmentConfig(blur=Blur(p=1.0)))
    other = draw_intensity(
        np.random.default_rng(3), without_noise.model_copy(update={"blur": Blur(p=1.0)})
    )

    assert default.blur == other.blur
