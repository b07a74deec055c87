"""napari opens the prepared store and OME-Zarr images, without a screen.

napari is no requirement of the tests. Where it is installed, its plugin of pytest emits
warnings when it starts: `pytest -W default tests/visualization/test_napari.py`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.visualization.test_scene import write_image
from vesuv.config import Config
from vesuv.data.builder import prepare

pytest.importorskip("napari")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # warnings of napari and its plugins
]


@pytest.fixture
def viewer(monkeypatch: pytest.MonkeyPatch):
    """The layers of napari without its window, which needs a screen with OpenGL."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from napari.components import ViewerModel
        from napari.plugins import _initialize_plugins

        _initialize_plugins()
        return ViewerModel()


def test_napari_opens_the_arrays_of_the_store(viewer, tiny_config: Config) -> None:
    store = prepare(tiny_config)
    case = next(iter(store.cases.values()))

    (image,) = viewer.add_image(zarr.open(f"{case.path}/image", mode="r"), channel_axis=0)
    label = viewer.add_labels(zarr.open(f"{case.path}/label", mode="r"))

    assert image.data.shape == label.data.shape == case.shape
    assert np.array_equal(np.asarray(image.data[3]), case.image[0, 3])
    assert np.array_equal(np.asarray(label.data[3]), case.label[3])


def test_napari_opens_an_image_with_its_levels_and_lengths(viewer, tmp_path: Path) -> None:
    pytest.importorskip("napari_ome_zarr")
    array = np.arange(16**3, dtype=np.uint16).reshape(16, 16, 16)
    path = write_image(tmp_path / "mask.zarr", array)

    (layer,) = viewer.open(str(path), plugin="napari-ome-zarr")

    assert [level.shape[0] for level in layer.data] == [16, 8, 4]
    assert tuple(layer.scale) == (2.0, 1.0, 1.0)
    assert np.array_equal(np.asarray(layer.data[0][5]), array[5])


def test_napari_opens_a_level_as_a_plain_array(viewer, tmp_path: Path) -> None:
    array = np.ones((8, 8, 8), np.uint8)
    path = write_image(tmp_path / "mask.zarr", array)

    layer = viewer.add_labels(zarr.open(f"{path}/0", mode="r"), scale=(2, 1, 1))

    assert layer.data.shape == (8, 8, 8)
