"""Neuroglancer, and what a browser shows of it."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.report.chromium import CHROMIUM
from tests.visualization.scenes import SHEET, ball
from tests.visualization.test_scene import write_image
from vesuv.errors import InputError
from vesuv.types import Array
from vesuv.visualization.browser import BrowserView, open_browser_view
from vesuv.visualization.scene import open_levels, scene_of

pytest.importorskip("neuroglancer")

NO_INTERNET = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
FLAGS = ("--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
         "--window-size=900,700", "--remote-debugging-port=0", NO_INTERNET)  # fmt: skip


def source(view, layer: str):
    """Return the volume of a layer."""
    url = view.viewer.state.layers[layer].layer.source[0].url
    volumes = view.viewer.volume_manager.volumes.values()
    return next(volume for volume in volumes if volume.token == url.rpartition(".")[2])


def test_the_page_is_on_this_computer_alone_and_holds_all_layers() -> None:
    volume = ball().astype(np.float32)
    scene = scene_of(
        {"image": volume, "label": ball(), "mask": ball(), "probability": volume,
         "uncertainty": volume}, labels=SHEET,
    )  # fmt: skip

    view = open_browser_view([scene])

    assert view.url.startswith("http://127.0.0.1:")
    layers = {layer.name: layer.visible for layer in view.viewer.state.layers}
    assert layers == {
        "image": True,
        "label": False,
        "mask": False,
        "errors: 1 true positive, 2 false positive, 3 false negative": True,
        "probability": False,
        "uncertainty": False,
    }


def test_segments_have_the_colours_of_the_report() -> None:
    view = open_browser_view([scene_of({"label": ball() + ball(radius=2.0)})])

    layer = view.viewer.state.layers["label: 1 1, 2 2"].layer
    assert dict(layer.segment_colors) == {1: "#f0e442", 2: "#d55e00"}
    assert set(layer.segments) == {1, 2}


@pytest.mark.parametrize("dtype", [np.uint16, np.uint64])
def test_all_instances_are_shown_in_colours_of_one_seed(dtype: type) -> None:
    numbers = np.array([[[0, 5, 60_000]]], dtype)
    view = open_browser_view([scene_of({"instances": numbers, "label": ball()[:1, :1, :3]})])

    layer = view.viewer.state.layers["instances"]
    assert layer.visible
    assert list(layer.layer.segments) == [] and layer.layer.ignore_null_visible_set
    assert layer.layer.hide_segment_zero
    assert layer.layer.color_seed == 3
    volume = source(view, "instances")
    content, _ = volume.get_encoded_subvolume("raw", np.zeros(3, int), np.array([1, 1, 3]), "1,1,1")
    stored = np.uint32 if dtype == np.uint16 else np.uint64
    assert volume.data_type == np.dtype(stored).name
    assert np.frombuffer(content, stored).tolist() == [0, 5, 60_000]


def test_voxels_have_their_lengths() -> None:
    view = open_browser_view([scene_of({"mask": ball()}, (3.0, 1.0, 0.5))])

    assert view.viewer.state.dimensions.names == ("x", "y", "z")
    assert list(view.viewer.state.dimensions.scales) == [0.5, 1.0, 3.0]


def test_a_coarser_scale_is_read_from_its_level(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 9, (16, 8, 8)).astype(np.uint16)
    levels = open_levels({"image": write_image(tmp_path / "a.zarr", array)})
    volume = source(open_browser_view(levels), "image")
    start, end = np.array([1, 0, 2]), np.array([5, 3, 4])

    for factors, scene in zip(("1,1,1", "2,2,2"), levels, strict=False):
        content, _ = volume.get_encoded_subvolume("raw", start, end, factors)
        expected = scene.image((slice(1, 5), slice(0, 3), slice(2, 4)))
        read = np.frombuffer(content, np.uint16).reshape((4, 3, 2), order="F")
        assert np.array_equal(read, expected)
    content, _ = volume.get_encoded_subvolume("raw", start * 0, np.array([4, 4, 4]), "2,1,1")
    pairs = (array[:8:2, :4, :4].astype(float) + array[1:8:2, :4, :4]) / 2
    read = np.frombuffer(content, np.uint16).reshape((4, 4, 4), order="F")
    assert np.abs(read - pairs).max() <= 0.5


def test_errors_are_computed_for_the_region_that_is_shown() -> None:
    label, mask = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    label[0, 0], mask[0, 0] = [1, 0, 1], [1, 1, 0]
    view = open_browser_view([scene_of({"label": label, "mask": mask}, labels=SHEET)])
    volume = source(view, "errors: 1 true positive, 2 false positive, 3 false negative")

    content, _ = volume.get_encoded_subvolume("raw", np.zeros(3, int), np.array([1, 1, 3]), "1,1,1")

    assert np.frombuffer(content, np.uint32).tolist() == [1, 2, 3]


def test_large_volumes_have_no_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    from neuroglancer.local_volume import MeshesNotSupportedForVolume

    from vesuv.visualization import pyramid_volume

    volume = source(open_browser_view([scene_of({"mask": ball()})]), "mask")
    assert len(volume.get_object_mesh(1)) > 1000

    monkeypatch.setattr(pyramid_volume, "_MOST_MESH_VOXELS", 1000)
    with pytest.raises(MeshesNotSupportedForVolume):
        volume.get_object_mesh(1)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neuroglancer", None)

    with pytest.raises(InputError, match=r"needs the package neuroglancer, .*vesuv\[view\]"):
        open_browser_view([scene_of({"mask": ball()})])


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_without_internet_shows_each_layer(tmp_path: Path) -> None:
    assert CHROMIUM is not None
    image = 50.0 + 150.0 * ball(32, 8.0)
    label, mask = ball(32, 8.0), ball(32, 8.0)
    label[:, :, :12], mask[:, :, 20:] = 0, 0
    certain = mask.astype(np.float32)
    layers = {"image": image, "label": label, "mask": mask, "probability": certain,
              "uncertainty": certain / 4}  # fmt: skip
    view = open_browser_view([scene_of(layers, labels=SHEET)])

    browser = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path}", view.url], stderr=subprocess.DEVNULL
    )
    try:
        errors = shown(view)
        others = {name: shown(view, name) for name in ("label", "probability", "uncertainty")}
    finally:
        browser.terminate()
        browser.wait()

    red, green, blue = errors
    shares = {
        "right": (green - red > 40) & (green - blue > 15),
        "wrong": (red - blue > 60) & (red > green),
        "missed": (blue - red > 40) & (blue > green),
        "black": (abs(red - green) < 5) & (abs(green - blue) < 5) & (red < 20),
    }
    for kind, pixels in shares.items():
        assert 0.01 < pixels.mean() < 0.8, kind
    red, _, blue = others["label"]
    assert 0.02 < (red - blue > 60).mean() < 0.3  # the colour of a single class
    for name in ("probability", "uncertainty"):
        red, green, blue = others[name]
        assert 0.02 < (np.minimum(red, green) - blue > 15).mean() < 0.3, name  # end of the ramp
        assert (blue - red > 4).mean() > 0.05, name  # its begin


def shown(view: BrowserView, layer: str | None = None) -> Array:
    """Return red, green and blue of the slice in the middle, with one layer over the image."""
    if layer is not None:
        with view.viewer.txn() as state:
            for one in state.layers:
                one.visible = one.name in ("image", layer)
    content = view.viewer.screenshot(size=(600, 450)).screenshot.image
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    return np.moveaxis(pixels[: 450 // 2, : 600 // 2], -1, 0)
