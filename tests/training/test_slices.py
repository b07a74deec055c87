from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.runs.folder import RunFolder
from vesuv.runs.writer import RunWriter
from vesuv.training.slices import tile_pictures, tiles_with_picture
from vesuv.training.validation import ObservedTile

TILES = cast(
    "Any",
    SimpleNamespace(
        images=[torch.full((1, 1, 3, 1, 3), 7.0), torch.zeros(1, 1, 3, 1, 3)],
        labels=[torch.zeros(1, 3, 1, 3, dtype=torch.uint8) for _ in range(2)],
        num_classes=3,
        picture_tiles=[1, 0],
    ),
)
TILES.images[1][0, 0, 1] = torch.tensor([-2.0, 0.0, 6.0])
TILES.labels[1][0, 1] = torch.tensor([1, 2, IGNORE])


def observed(place: int, picture: Tensor | None) -> ObservedTile:
    return ObservedTile(place, "abc"[place], None, cast("Any", None), cast("Any", None), picture)


def test_pictures_are_middle_slices_in_the_order_of_their_foreground() -> None:
    tiles = [
        observed(0, torch.full((1, 3), 0.25)),
        observed(1, torch.full((1, 3), 0.5)),
        observed(2, None),
    ]

    shown = tile_pictures(TILES, tiles)

    assert [tile.case for tile in tiles_with_picture(TILES, tiles)] == ["b", "a"]
    assert shown["image"].tolist() == [[[0.0, 0.25, 1.0]], [[0.0, 0.0, 0.0]]]
    assert shown["label"][0, 0].tolist() == pytest.approx([0.5, 1.0, 77 / 255])
    assert shown["probability"].mean(dim=(1, 2)).tolist() == [0.5, 0.25]


def test_several_classes_are_pictured_as_their_indices() -> None:
    predicted = torch.tensor([[2, 2, 0]], dtype=torch.uint8)
    tile = replace(observed(1, torch.full((1, 3), 0.5)), picture_classes=predicted)

    shown = tile_pictures(TILES, [tile])

    assert shown["label_classes"].tolist() == [[[1, 2, IGNORE]]]
    assert shown["predicted_classes"].tolist() == [[[2, 2, 0]]]
    assert shown["predicted_classes"].dtype == torch.uint8


def test_pictures_are_kept_as_bytes_with_their_places(tmp_path: Path) -> None:
    half = torch.full((2, 3, 3), 0.5)
    writer = RunWriter(RunFolder(tmp_path), (0, 0))
    shown = {"image": half, "label": half * 2, "probability": half * 0}
    writer.slices(0, shown, [("a", 7), ("b", 9)], 0.4)
    writer.close()

    with np.load(tmp_path / "slices.npz", allow_pickle=False) as kept:
        assert kept["image"].dtype == np.uint8 and kept["image"].shape == (2, 3, 3)
        assert (kept["image"][0, 0, 0], kept["label"].max(), kept["probability"].max()) == (
            128, 255, 0,
        )  # fmt: skip
        assert list(kept["cases"]) == ["a", "b"] and list(kept["z"]) == [7, 9]
        assert float(kept["threshold"]) == 0.4
    assert [path.name for path in tmp_path.glob("*slices*")] == ["slices.npz"]
