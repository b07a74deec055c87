"""Each augmentation alone: the patch as it is stored, and three draws at the default strength."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from docs.gallery.drawing import EDGE, IMAGES, ORANGE, grey, overlaid, phantom, write_row
from vesuv.config import Config, as_config
from vesuv.config.data import AugmentConfig
from vesuv.data.case import Case, MemoryCase
from vesuv.data.preparation import prepare_in_memory
from vesuv.data.statistics import DatasetStatistics
from vesuv.transforms.normalize import build_normalizer
from vesuv.transforms.patch import Transform, apply_transform, draw_transform, read_patch
from vesuv.types import Array, Shape

_DRAWS = 3


def main() -> None:
    """Draw a row for each key of the section `augment`."""
    case, config, corner = _case()
    normalizer = build_normalizer(config.data.normalize, DatasetStatistics(1, None))
    intensity_map = normalizer.for_case(case.statistics)
    plain = Transform((EDGE, EDGE, EDGE))
    stored = intensity_map.apply(torch.from_numpy(case.image.copy())).numpy()
    low, high = (float(value) for value in np.percentile(stored, (1, 99)))

    def picture(transform: Transform) -> Array:
        patch = read_patch(case, corner, transform)
        image, label = apply_transform(patch, intensity_map, num_classes=2)
        middle = EDGE // 2
        picture = grey(image[0, middle].numpy(), low, high)
        return overlaid(picture, label[middle].numpy() == 1, ORANGE, 0.35)

    for name in AugmentConfig.model_fields:
        settings = _alone(name)
        draws = [
            draw_transform(seed, settings, plain.patch_size, case.spacing)
            for seed in range(1, _DRAWS + 1)
        ]
        panels = [("as stored", picture(plain))]
        panels += [(f"draw {n}", picture(draw)) for n, draw in enumerate(draws, start=1)]
        write_row(IMAGES / "augmentation" / f"{name}.png", panels)


def _case() -> tuple[MemoryCase, Config, Shape]:
    """Return the phantom as a prepared case, its configuration, and the corner that is shown."""
    image, label, corner = phantom()
    config = as_config(
        {
            "name": "gallery",
            "data": {"root": "-"},
            "labels": {"classes": {"background": 0, "surface": 1}, "ignore": 2},
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
        }
    )
    (case,) = prepare_in_memory([Case("phantom", image, label)], config)
    return case, config, corner


def _alone(name: str) -> AugmentConfig:
    """Return the section in which one augmentation always happens and no other does."""
    tree: dict[str, Any] = {"flips": False, "quarter_turns": False}
    for key, value in AugmentConfig().model_dump().items():
        if isinstance(value, dict):
            tree[key] = {"p": 0.0, **({"p_inverted": 0.0} if "p_inverted" in value else {})}
    tree[name] = {"p": 1.0} if isinstance(tree[name], dict) else True
    return AugmentConfig.model_validate(tree)


if __name__ == "__main__":
    main()
