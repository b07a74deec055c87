"""vesuv view of volumes on a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from tests.http_server import RangeServer, serving
from tests.visualization.scenes import ball
from tests.visualization.test_scene import write_image
from vesuv.errors import InputError
from vesuv.visualization.scene import open_levels, open_scene

pytest.importorskip("aiohttp")


class Server(RangeServer):
    """Notes which shards are read."""

    shards: ClassVar[set[str]] = set()

    def do_GET(self) -> None:  # noqa: N802 - name of the library
        if "/c/" in self.path:
            self.shards.add(self.path)
        super().do_GET()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images of shards of 8³, and of one of another shape."""
    folder = tmp_path_factory.mktemp("images")
    write_image(folder / "image.zarr", (90 * ball(16)).astype(np.uint16))
    write_image(folder / "mask.zarr", ball(16, 4.0))
    write_image(folder / "p.zarr", np.full((16, 16, 16), 99, np.uint8), {"levels": 200})
    write_image(folder / "small.zarr", ball(8))
    return folder


@pytest.fixture
def server(images: Path) -> Iterator[str]:
    Server.shards, Server.failing, Server.has_ranges = set(), None, True
    with serving(Server, images) as url:
        yield url


def test_the_picture_is_that_of_the_files_and_of_the_shards_that_it_shows(
    server: str, images: Path, tmp_path: Path, run: Callable[..., None]
) -> None:
    words = ("--slices", 9, "--size", 40, "--show", "image", "mask")
    for place, name in ((server, "far.png"), (images, "near.png")):
        run("view", "--image", f"{place}/image.zarr", "--mask", f"{place}/mask.zarr", *words,
            "--output", tmp_path / name)  # fmt: skip

    assert (tmp_path / "far.png").read_bytes() == (tmp_path / "near.png").read_bytes()
    expected = {
        f"/{name}.zarr/0/c/1/{y}/{x}"
        for name in ("image", "mask")
        for y in range(2)
        for x in range(2)
    }
    assert Server.shards == expected, "slice 9 lies in the second of two layers of shards"


def test_the_level_is_chosen_and_the_scale_of_probabilities_is_read(server: str) -> None:
    scene = open_scene({"probability": f"{server}/p.zarr"}, largest_edge=8)

    assert (scene.level, scene.full_shape) == (1, (16, 16, 16))
    assert scene.values("probability", scene.whole)[0, 0, 0] == pytest.approx(0.4975)
    assert not any("/0/c/" in shard for shard in Server.shards)


def test_levels_for_the_browser_are_opened_without_reading_voxels(server: str) -> None:
    scenes = open_levels({"image": f"{server}/image.zarr", "mask": f"{server}/mask.zarr"})

    assert [scene.shape[0] for scene in scenes] == [16, 8, 4]
    assert Server.shards == set()


def test_a_server_that_fails_is_a_sentence(
    server: str, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vesuv.io.lazy.remote._FIRST_PAUSE", 0.001)
    Server.failing = "/c/1/"

    said = refused("view", "--image", f"{server}/image.zarr", "--slices", 9, "--output",
                   tmp_path / "a.png")  # fmt: skip

    said = " ".join(said.split())
    assert said.startswith(f"error: {server}/image.zarr/0/c/1/")
    assert "cannot be read" in said and "when the server can be reached" in said
    assert not (tmp_path / "a.png").exists()


def test_a_server_that_sends_whole_files_only_is_named(
    server: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    Server.has_ranges = False

    said = refused("view", "--image", f"{server}/image.zarr", "--slices", 9, "--output",
                   tmp_path / "a.png")  # fmt: skip

    assert "the server sends whole files where parts are requested" in " ".join(said.split())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.zarr", "none.zarr: holds no Zarr array or group; check the address"),
        ("small.zarr", "small.zarr: image and mask of a case have one shape, found mask (8"),
    ],
)
def test_another_address_is_refused_in_full(
    name: str, sentence: str, server: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    said = refused("view", "--image", f"{server}/image.zarr", "--mask", f"{server}/{name}",
                   "--output", tmp_path / "a.png")  # fmt: skip

    assert f"error: {server}/{sentence}" in " ".join(said.split())


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vesuv.io.lazy.remote._FIRST_PAUSE", 0.001)

    with pytest.raises(InputError, match=r"^http://127\.0\.0\.1:9/a\.zarr/?.*cannot be read"):
        open_scene({"image": "http://127.0.0.1:9/a.zarr"})
