from pathlib import Path

import numpy as np
import pytest

from vesuv.config.labels import LabelsConfig
from vesuv.data.case_paths import CasePaths
from vesuv.data.large_case import prepare_large_case
from vesuv.data.preparation import prepare_arrays
from vesuv.data.unlabelled import open_unlabelled, read_unlabelled
from vesuv.errors import InputError

LABELS = LabelsConfig(classes={"background": 3, "sheet": (7, 9)})


@pytest.fixture
def channels(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    files = (tmp_path / "a_0000.npy", tmp_path / "a_0001.npy")
    for file in files:
        np.save(file, rng.integers(0, 200, (20, 18, 16), dtype=np.uint8))
    return files


def test_every_voxel_has_the_value_of_the_first_foreground_class(
    channels: tuple[Path, Path],
) -> None:
    case = read_unlabelled(CasePaths("a", channels, None, None, fill=7))

    assert case.image.shape == (2, 20, 18, 16)
    assert case.label.shape == (20, 18, 16) and (case.label == 7).all()
    attributes, arrays = prepare_arrays(case, LABELS, None)
    assert (arrays["label"] == 1).all()
    assert attributes.values == {7: 20 * 18 * 16}


def test_a_volume_that_is_read_in_parts_is_prepared_the_same(
    channels: tuple[Path, Path], tmp_path: Path
) -> None:
    files = CasePaths("a", channels, None, None, fill=7)
    whole = read_unlabelled(files)

    stored = prepare_large_case(open_unlabelled(files), LABELS, None, tmp_path / "cases/a.zarr")

    assert np.array_equal(stored.image, whole.image)
    assert (np.asarray(stored.label) == 1).all()
    assert stored.statistics == prepare_arrays(whole, LABELS, None)[0].statistics


def test_channels_of_other_shapes_are_refused(channels: tuple[Path, Path]) -> None:
    np.save(channels[1], np.zeros((20, 18, 15), np.uint8))

    with pytest.raises(InputError, match="shape"):
        open_unlabelled(CasePaths("a", channels, None, None, fill=7))
