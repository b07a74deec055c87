from pathlib import Path

import numpy as np
import torch

from vesuv.training.slices import Slices


def test_pictures_are_kept_as_bytes_with_their_cases(tmp_path: Path) -> None:
    half = torch.full((2, 3, 3), 0.5)
    Slices(half, half * 2, half * 0, ("a", "b")).write(tmp_path / "slices.npz", 0.4)

    with np.load(tmp_path / "slices.npz", allow_pickle=False) as kept:
        assert kept["image"].dtype == np.uint8 and kept["image"].shape == (2, 3, 3)
        assert (kept["image"][0, 0, 0], kept["label"].max(), kept["probability"].max()) == (
            128, 255, 0,
        )  # fmt: skip
        assert list(kept["cases"]) == ["a", "b"] and float(kept["threshold"]) == 0.4
    assert [path.name for path in tmp_path.iterdir()] == ["slices.npz"]
