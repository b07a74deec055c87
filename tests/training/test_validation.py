"""Scores of a network whose logits are its images, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.conftest import tiny_tree
from vesuv.config import check
from vesuv.config.labels import TWO_CLASSES
from vesuv.config.loss import ALL_LOSSES
from vesuv.config.training import RuntimeConfig, ValidationConfig
from vesuv.data.case import Case
from vesuv.data.preparation import prepare_in_memory
from vesuv.data.sampling import Tile
from vesuv.errors import InputError
from vesuv.losses import Compound, build_losses
from vesuv.runtime.machine import resolve
from vesuv.training.validation import ValidationTiles
from vesuv.transforms.normalize import IntensityMap

MACHINE = resolve(RuntimeConfig(device="cpu", precision="float32"))
UNCHANGED = IntensityMap((-np.inf,), (np.inf,), (0.0,), (1.0,))
COMPOUND = Compound(build_losses(ALL_LOSSES(), ["dice", "boundary"]))
IGNORED = 2
"""The label value that the tiny configuration ignores."""


class Echo(nn.Module):
    """Its logits are the image; it remembers its mode at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[bool, bool]] = []

    def forward(self, image: Tensor) -> Tensor:
        self.calls.append((self.training, torch.is_grad_enabled()))
        return image


def volume(name: str, logits: list[float], labels: list[int], group: str | None = None) -> Case:
    """Return a case whose 4x4 planes hold one intensity and one label each."""
    planes = (len(logits), 4, 4)
    image = np.broadcast_to(np.array(logits, np.float32)[:, None, None], planes)
    label = np.broadcast_to(np.array(labels, np.uint8)[:, None, None], planes)
    return Case(name, image.copy(), label.copy(), group=group)


CASES = [
    volume("a", [20, -20, 20, -20], [1, 0, 0, 0], "north"),  # right, right, false, right
    volume("b", [-20, -20, -20, -20], [IGNORED, 0, 1, 1]),  # not judged, right, missed, missed
    volume("c", [20, 20, 20, 20], [IGNORED] * 4),
]


def tiles_of(monkeypatch: pytest.MonkeyPatch, *places: int) -> ValidationTiles:
    """One tile of each case named by its place in `CASES`, as large as the case."""
    cases = prepare_in_memory(CASES, check(tiny_tree(Path(), Path()), "test"))
    tiles = tuple(Tile(place, (0, 0, 0)) for place in places)
    monkeypatch.setattr("vesuv.training.validation.fixed_tiles", lambda *_: tiles)
    return ValidationTiles(cases, [UNCHANGED] * 3, ValidationConfig(), (4, 4, 4), TWO_CLASSES)


def test_overlap_is_pooled_over_voxels_and_losses_over_tiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored = tiles_of(monkeypatch, 0, 2, 1).score(Echo(), MACHINE, COMPOUND)

    assert scored.measure == scored.overlap["dice"] == pytest.approx(2 * 16 / (32 + 48))
    assert scored.overlap["precision"] == pytest.approx(1 / 2)
    assert scored.overlap["recall"] == pytest.approx(1 / 3)
    assert scored.overlap["predicted_fraction"] == pytest.approx(32 / 112)
    assert list(scored.components) == ["dice", "boundary"]
    assert scored.components["dice"] == pytest.approx((1 / 3 + 1) / 2, abs=1e-5)
    assert scored.tiles == ()


def test_the_network_runs_once_over_each_judged_tile_whatever_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, checks = Echo(), []
    tiles = tiles_of(monkeypatch, 0, 2, 1)

    tiles.score(network, MACHINE, COMPOUND, observe=True, check_stop=lambda: checks.append(1))

    assert network.calls == [(False, False)] * 2
    assert network.training
    assert len(checks) == 2


def test_an_observed_tile_says_what_the_network_said(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = tiles_of(monkeypatch, 0, 2, 1)

    first, second = tiles.score(Echo(), MACHINE, observe=True).tiles

    assert (first.index, first.case, first.group) == (0, "a", "north")
    assert (second.index, second.case, second.group) == (2, "b", None)
    assert first.confusion.tolist() == [[32, 16], [0, 16]]
    assert second.confusion.tolist() == [[16, 0], [32, 0]]
    assert first.probabilities.bins[:, 0, 0].tolist() == [99, 0, 99, 0]
    assert torch.equal(first.probabilities.label, tiles.labels[0][0])
    assert first.picture is not None and second.picture is not None
    assert torch.equal(first.picture, torch.ones(4, 4))
    assert second.picture.max() < 1e-6


def test_the_measure_is_the_mean_over_the_classes_that_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every foreground voxel is found, and each has the other class: pooled Dice would be 1."""
    tree = tiny_tree(Path(), Path())
    tree["labels"] = {"classes": {"background": 0, "sheet": 1, "fibre": 3, "ink": 4}, "ignore": 2}
    tree["model"]["out_channels"] = 4
    case = volume("a", [0, 1, 1, 2], [0, 1, 3, 1])
    config = check(tree, "test")
    cases = prepare_in_memory([case], config)
    monkeypatch.setattr("vesuv.training.validation.fixed_tiles", lambda *_: (Tile(0, (0, 0, 0)),))
    tiles = ValidationTiles(
        cases, [UNCHANGED], ValidationConfig(), (4, 4, 4), config.labels.targets
    )

    class Predict(nn.Module):
        """Predicts the class that the image names."""

        def forward(self, image: Tensor) -> Tensor:
            return 20 * torch.cat([image == index for index in range(4)], dim=1).float()

    scored = tiles.score(Predict(), MACHINE, observe=True)

    # sheet: 16 of 32 predicted and 32 labelled voxels; fibre: 0 of 16 and 16; ink is nowhere.
    assert scored.overlap["dice[sheet]"] == pytest.approx(1 / 2)
    assert scored.overlap["dice[fibre]"] == 0.0
    assert np.isnan(scored.overlap["dice[ink]"])
    assert scored.measure == scored.overlap["dice"] == pytest.approx(1 / 4)
    assert scored.overlap["predicted_fraction"] == scored.overlap["labelled_fraction"] == 3 / 4
    [tile] = scored.tiles
    assert tile.picture_classes is not None and tile.picture_classes.dtype == torch.uint8
    assert torch.equal(tile.picture_classes, torch.ones(4, 4, dtype=torch.uint8))


def test_the_tiles_with_most_foreground_are_pictured(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = tiles_of(monkeypatch, 0, 1, 0, 1, 0)

    observed = tiles.score(Echo(), MACHINE, observe=True).tiles

    assert tiles.picture_tiles == [1, 3, 0]
    assert [tile.index for tile in observed if tile.picture is not None] == [0, 1, 3]
    assert tiles.middle_slices == [2] * 5


def test_a_pass_can_be_ended_between_two_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Echo()

    def stop() -> None:
        if network.calls:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiles_of(monkeypatch, 0, 1).score(network, MACHINE, check_stop=stop)
    assert len(network.calls) == 1


def test_tiles_without_a_voxel_to_judge_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"validation\.tiles: every voxel of every tile"):
        tiles_of(monkeypatch, 2, 2)
