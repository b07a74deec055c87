from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import tiny_tree
from vesuv import Config
from vesuv.inference.suggestion.volumes import unlabelled_volumes


@pytest.mark.parametrize(
    ("data", "names", "ids"),
    [
        ({"layout": "nnunet"}, ("x_0000", "y_0001"), ["x", "y_0001"]),
        ({"layout": "pairs", "images": "img"}, ("x_IMG", "y-img", "z"), ["x", "y", "z"]),
        ({"layout": "pairs", "images": "img"}, ("x", "x_img"), ["x", "x_img"]),
        ({"layout": "folders"}, ("x_0000",), ["x_0000"]),
    ],
)
def test_volumes_have_the_names_of_the_cases_that_they_are(
    data: dict[str, Any], names: tuple[str, ...], ids: list[str], tmp_path: Path
) -> None:
    for name in names:
        np.save(tmp_path / f"{name}.npy", np.zeros((4, 5, 6), np.uint8))
    tree = tiny_tree(tmp_path, tmp_path / "store")
    tree["data"] = {"root": str(tmp_path), **data}

    volumes = unlabelled_volumes(tmp_path, Config(**tree))

    assert [volume.id for volume in volumes] == ids
