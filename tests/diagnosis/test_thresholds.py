import pytest

from tests.diagnosis.conftest import MakeHistogram
from vesuv.diagnosis.thresholds import best_threshold, mean_probability, overlap_at


def test_a_threshold_counts_the_voxels_at_or_above_it(bins: MakeHistogram) -> None:
    histogram = bins({80: 6, 40: 4}, {60: 6, 10: 84})

    half = overlap_at(histogram, 0.5)

    assert (half.precision, half.recall, half.dice) == pytest.approx((0.5, 0.6, 12 / 22))
    assert overlap_at(histogram, 0.0).recall == 1.0
    assert overlap_at(histogram, 1.0).recall == 0.0


def test_the_best_threshold_is_the_middle_of_those_that_tie(bins: MakeHistogram) -> None:
    histogram = bins({80: 10}, {20: 10})

    best = best_threshold(histogram)

    assert best.dice == 1.0 and best.threshold == pytest.approx(0.51)


def test_labels_without_foreground_give_nothing(bins: MakeHistogram) -> None:
    assert best_threshold(bins({}, {50: 10})).dice == 0.0


def test_a_mean_is_that_of_the_bins_middles(bins: MakeHistogram) -> None:
    histogram = bins({0: 1, 99: 1}, {})

    assert mean_probability(histogram.foreground) == pytest.approx(0.5)
    assert mean_probability(histogram.background) is None
