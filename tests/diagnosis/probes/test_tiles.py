import torch

from vesuv.diagnosis.probes.tiles import (
    TileProbabilities,
    errors,
    histogram,
    probability_bins,
)


def tile(label: list[int], probs: list[float]) -> TileProbabilities:
    """Return a tile of one row; 255 is ignored."""
    labels = torch.tensor(label, dtype=torch.uint8).reshape(1, 1, -1)
    bins = torch.tensor([int(100 * p) for p in probs], dtype=torch.uint8).reshape(1, 1, -1)
    return TileProbabilities(bins, labels)


TILE = tile([0, 0, 1, 1, 255, 0], [0.1, 0.6, 0.7, 0.2, 0.9, 0.1])


def test_a_histogram_counts_judged_voxels_by_label() -> None:
    found = histogram([TILE, TILE])

    assert found.foreground[70] == 2 and found.foreground[20] == 2
    assert sum(found.foreground) == 4
    assert found.background[10] == 4 and found.background[60] == 2
    assert sum(found.background) == 6


def test_probabilities_are_binned_in_hundredths_rounded_down() -> None:
    probs = torch.tensor([0.0, 0.009, 0.25, 0.999, 1.0, float("nan")])

    assert probability_bins(probs).tolist() == [0, 0, 25, 99, 99, 0]


def test_errors_beside_foreground_of_the_other_side_are_near() -> None:
    label = [0, 1, 1, 0, 0, 0, 0, 1, 0, 0]
    probs = [0.9, 0.9, 0.9, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.9]
    one = tile(label, probs)

    found = errors([one], histogram([one]))

    # One false voxel beside the label; two far from it; one missed voxel far from any prediction.
    assert (found.right, found.near, found.far) == (2, 1, 3)


def test_errors_are_counted_at_the_best_threshold() -> None:
    one = tile([0, 0, 1, 1, 0], [0.6, 0.6, 0.8, 0.8, 0.6])

    found = errors([one], histogram([one]))

    assert (found.right, found.near, found.far) == (2, 0, 0)
