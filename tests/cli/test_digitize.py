"""vesuv digitize, as a user calls it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.conftest import tiny_tree
from vesuv.io.formats import write

SCALES = """id,curve,left,right,left_value,right_value,top,bottom,top_depth,bottom_depth
a,sheet,0,4,0,100,0,3,10,13
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A mask of four rows whose curve runs from column 0 to 3."""
    write(tmp_path / "masks/a.png", np.eye(4, 5, dtype=np.uint8)[np.newaxis])
    (tmp_path / "scales.csv").write_text(SCALES)
    tree = tiny_tree(tmp_path, tmp_path / "store")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path


def test_a_mask_becomes_values_by_depth(data: Path, run: Callable[..., None]) -> None:
    run("digitize", "--masks", data / "masks", "--scales", data / "scales.csv", "--output",
        data / "out", "--samples", 4, "--config", data / "c.yaml")  # fmt: skip

    assert (data / "out/a.csv").read_text().split() == [
        "depth,sheet",
        "10,0",
        "11,25",
        "12,50",
        "13,75",
    ]


def test_masks_of_unknown_classes_are_refused(data: Path, refused: Callable[..., str]) -> None:
    said = refused("digitize", "--masks", data / "masks", "--scales", data / "scales.csv",
                   "--output", data / "out")  # fmt: skip

    assert "has no provenance.json that names the classes; give --config" in " ".join(said.split())
