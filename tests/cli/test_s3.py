"""Verbs that read s3://, from a server on this computer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vesuv
from tests.cells import make_cells
from tests.cli.conftest import Refused, Run
from tests.s3_server import S3Server, serving_s3
from tests.visualization.scenes import ball
from tests.visualization.test_scene import write_image
from vesuv.io.formats import read
from vesuv.io.tables import write_json

PHANTOM = make_cells((16, 24, 24), 5, noise=0.5)
WORDS = ("--slices", 9, "--size", 40)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bucket `scrolls`."""
    folder = tmp_path_factory.mktemp("s3")
    write_image(folder / "scrolls/image.zarr", (90 * ball(16)).astype(np.uint16))
    write_image(folder / "scrolls/mask.zarr", ball(16, 4.0))
    write_image(folder / "scrolls/probs.zarr", PHANTOM.probs)
    return folder


@pytest.fixture
def server(images: Path) -> Iterator[type[S3Server]]:
    with serving_s3(images) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("is_anonymous", [False, True])
def test_the_picture_of_a_bucket_is_that_of_its_files(
    is_anonymous: bool, server: type[S3Server], images: Path, tmp_path: Path, run: Run
) -> None:
    server.is_private = not is_anonymous
    switch = ["--anonymous"] if is_anonymous else []

    for place, name in (("s3://scrolls", "far.png"), (images / "scrolls", "near.png")):
        run("view", "--image", f"{place}/image.zarr", "--mask", f"{place}/mask.zarr", *WORDS,
            "--output", tmp_path / name, *switch)  # fmt: skip

    assert (tmp_path / "far.png").read_bytes() == (tmp_path / "near.png").read_bytes()
    assert server.has_signature == {not is_anonymous}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.zarr", r"none\.zarr: holds no Zarr array or group; check the address"),
        ("image.zarr", r"image\.zarr/\S+: may not be read \(AccessDenied\); .* --anonymous out"),
    ],
)
def test_a_bucket_that_sends_nothing_is_named(
    name: str, sentence: str, server: type[S3Server], tmp_path: Path, refused: Refused
) -> None:
    server.is_private = name == "image.zarr"

    said = refused("view", "--image", f"s3://scrolls/{name}", *WORDS, "--anonymous", "--output",
                   tmp_path / "a.png")  # fmt: skip

    assert re.fullmatch(f"error: s3://scrolls/{sentence}", " ".join(said.split()))
    assert not (tmp_path / "a.png").exists()


@pytest.mark.slow
def test_instances_of_a_bucket_are_those_of_its_files(
    server: type[S3Server], tmp_path: Path, run: Run
) -> None:
    write_json(tmp_path / "p.json", {"parameters": {"seed_smoothing": 1.0}})

    run("instances", "--probabilities", "s3://scrolls/probs.zarr", "--anonymous", "--parameters",
        tmp_path / "p.json", "--output", tmp_path / "out")  # fmt: skip

    expected = vesuv.segment_instances(PHANTOM.probs, tmp_path / "p.json", spacing=(2.0, 1.0, 1.0))
    assert np.array_equal(read(tmp_path / "out/probs.zarr").array, expected)
    assert server.has_signature == {False}
