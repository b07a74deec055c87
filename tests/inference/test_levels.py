from __future__ import annotations

import numpy as np
import torch

from vesuv.config.data import PROBABILITY_STEPS
from vesuv.inference.levels import dequantise, quantise, round_to_steps


def test_levels_of_probabilities_written_by_hand() -> None:
    probs = torch.tensor([0.0, 0.004, 0.005, 0.35, 0.999, 1.0]).reshape(1, 1, 1, 6)

    levels = quantise(probs)

    assert levels.dtype == torch.uint8
    assert levels.flatten().tolist() == [0, 0, 1, 70, 199, 200]
    expected = torch.tensor([0.0025, 0.0025, 0.0075, 0.3525, 0.9975, 1.0])
    torch.testing.assert_close(dequantise(levels).flatten(), expected)


def test_every_threshold_on_a_step_cuts_the_very_voxels_that_it_cuts_in_float32() -> None:
    thresholds = [step / PROBABILITY_STEPS for step in range(1, PROBABILITY_STEPS + 1)]
    at = np.float32(thresholds)
    around = np.stack([np.nextafter(at, np.float32(0)), at, np.nextafter(at, np.float32(1))])
    probs = torch.from_numpy(around).reshape(1, 1, 3, -1)

    stored = dequantise(quantise(probs))

    for threshold in thresholds:
        assert torch.equal(stored >= threshold, probs >= threshold), threshold


def test_a_threshold_between_steps_is_off_by_less_than_one_step() -> None:
    probs = torch.linspace(0, 1, 4001).reshape(1, 1, 1, -1)

    wrong = (dequantise(quantise(probs)) >= 0.333) != (probs >= 0.333)

    assert (probs[wrong] - 0.333).abs().max() < 1 / PROBABILITY_STEPS


def test_the_likeliest_class_stays_the_likeliest() -> None:
    probs = torch.rand(3, 8, 9, 10, generator=torch.Generator().manual_seed(0)) / 50 + 0.32
    probs = probs / probs.sum(dim=0)
    torch.testing.assert_close(dequantise(quantise(probs)), probs, atol=0.0076, rtol=0)

    assert torch.equal(quantise(probs).argmax(dim=0), probs.argmax(dim=0))


def test_a_volume_larger_than_one_chunk_is_the_same(monkeypatch) -> None:
    probs = torch.rand(1, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    whole = quantise(probs)
    monkeypatch.setattr("vesuv.inference.levels._CHUNK", 11)

    assert torch.equal(quantise(probs), whole)


def test_steps_of_steps_are_the_same_steps() -> None:
    probs = torch.rand(3, 8, 9, 10, generator=torch.Generator().manual_seed(0))
    for some in (probs[:1], probs / probs.sum(dim=0), dequantise(torch.arange(201)[None])):
        once = round_to_steps(some)

        assert torch.equal(round_to_steps(once), once)
        assert torch.equal(quantise(once), quantise(some))
