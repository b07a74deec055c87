"""vesuv view, as a user calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from tests.visualization.scenes import ball
from vesuv.io.formats import write

CLASSES = ("--classes", "background=0", "sheet=1", "--ignore", "2")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An image, its label and mask in three formats, and a volume of another shape."""
    write(tmp_path / "image.tif", (100 * ball(12)).astype(np.uint16))
    write(tmp_path / "label.nii.gz", ball(12))
    write(tmp_path / "mask.npy", ball(12, 4.0))
    write(tmp_path / "small.tif", ball(6))
    write(tmp_path / "signed.tif", -ball(12).astype(np.int16))
    write(tmp_path / "empty.tif", np.zeros((12, 12, 12), np.uint8))
    return tmp_path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_a_contact_sheet_of_any_formats_is_drawn(data: Path, run: Callable[..., None]) -> None:
    volumes = ("--image", data / "image.tif", "--label", data / "label.nii.gz",
               "--mask", data / "mask.npy", *CLASSES)  # fmt: skip

    run("view", *volumes, "--output", data / "a.png")
    run("view", *volumes, "--output", data / "b.png", "--contact-sheet", 3, "--size", 50)

    assert size_of(data / "a.png")[0] > 3 * 200
    assert size_of(data / "b.png")[0] < 400
    colours = np.asarray(Image.open(data / "a.png").convert("RGB")).astype(int)
    assert ((colours[..., 1] - colours[..., 0]) > 60).mean() > 0.02  # true positives


def test_slices_become_a_picture_or_a_film(data: Path, run: Callable[..., None]) -> None:
    run("view", "--image", data / "image.tif", "--slices", "2", "5:9:2", "--output",
        data / "a.png", "--axis", "x", "--show", "image")  # fmt: skip
    run("view", "--image", data / "image.tif", "--slices", ":", "--output", data / "a.gif")

    assert size_of(data / "a.png")[1] > 3 * 320
    with Image.open(data / "a.gif") as film:
        assert film.n_frames > 5  # equal ones are one


def test_instances_are_drawn_in_random_colours_beside_classes(
    data: Path, run: Callable[..., None]
) -> None:
    numbers = np.arange(12**3, dtype=np.uint32).reshape(12, 12, 12) // 12
    write(data / "cells.tif", numbers)
    words = ("--image", data / "image.tif", "--instances", data / "cells.tif")

    run("view", *words, "--label", data / "label.nii.gz", *CLASSES, "--slices", 3, "--output",
        data / "a.png")  # fmt: skip
    run("view", *words, "--output", data / "b.png")

    assert size_of(data / "a.png")[0] > 3 * 320
    colours = Image.open(data / "b.png").convert("RGB").getcolors(1 << 20)
    assert len(colours) > 144, "a colour or two for each row of voxels"


def test_a_two_dimensional_image_is_drawn(tmp_path: Path, run: Callable[..., None]) -> None:
    write(tmp_path / "a.png", np.zeros((3, 1, 40, 80), np.uint8))
    write(tmp_path / "m.png", np.ones((1, 40, 80), np.uint8))

    run("view", "--image", tmp_path / "a.png", "--mask", tmp_path / "m.png", "--output",
        tmp_path / "o.png", "--size", 100)  # fmt: skip

    assert size_of(tmp_path / "o.png")[0] in range(100, 180)


def test_the_classes_are_those_of_the_prediction(data: Path, run: Callable[..., None]) -> None:
    labels = {"classes": {"background": 0, "left": 1, "right": 4}}
    (data / "provenance.json").write_text(json.dumps({"version": 1, "labels": labels}))
    write(data / "mask.tif", np.full((1, 8, 8), 4, np.uint8))

    run("view", "--mask", data / "mask.tif", "--output", data / "a.png", "--size", 40)

    colours = {colour for _, colour in Image.open(data / "a.png").convert("RGB").getcolors(9999)}
    assert (213, 94, 0) in colours  # the second class
    assert (240, 228, 66) in colours  # the first one, in the legend


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["--mask", "--instances"])
def test_a_surface_turns_in_a_film(data: Path, run: Callable[..., None], layer: str) -> None:
    pytest.importorskip("pyvista")

    run("view", layer, data / "mask.npy", "--surface", "--frames", 3, "--size", 40, "--output",
        data / "a.gif")  # fmt: skip

    with Image.open(data / "a.gif") as film:
        assert film.n_frames >= 2


def test_another_file_is_not_replaced_without_being_asked(
    data: Path, run: Callable[..., None], refused: Callable[..., str]
) -> None:
    call = ("view", "--mask", data / "mask.npy", "--output", data / "a.png")
    (data / "a.png").write_text("mine")

    assert "exists already" in refused(*call)
    assert (data / "a.png").read_text() == "mine"

    run(*call, "--overwrite")
    assert size_of(data / "a.png")[0] > 100


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--output a.png", "a view needs a volume; give one of --image, --label"),
        ("--mask mask.npy", "--output: needs a file .png, .gif or .mp4"),
        ("--mask mask.npy --output a.jpg", "must end in .png, .gif or .mp4, found '.jpg'"),
        ("--mask mask.npy --output a", "must end in .png, .gif or .mp4, found 'none'"),
        ("--mask mask.npy --output mask.npy --overwrite", "is an input; name another file"),
        ("--mask no.npy --output a.png", "no.npy: no such file"),
        ("--mask mask.npy --label small.tif --output a.png", "have one shape, found mask"),
        ("--mask mask.npy --output a.gif", "a contact sheet is one picture, found a.gif"),
        ("--mask mask.npy --slices 12 --output a.png", "axis z has slices 0 to 11, found 12"),
        ("--mask mask.npy --slices 1 --surface --output a.png", "--slices, --surface: exclude"),
        ("--mask mask.npy --surface --axis x --output a.png", "--axis: belongs to --slices and"),
        ("--mask mask.npy --numbers 5 --output a.png", "--numbers: belongs to --surface, found"),
        ("--mask mask.npy --frames 5 --output a.png", "--frames: belongs to --surface, found"),
        ("--mask mask.npy --surface --frames 5 --output a.png", "--frames: belongs to a film"),
        ("--mask mask.npy --port 80 --output a.png", "--port: belongs to --browser"),
        ("--mask mask.npy --browser --output a.png", "--browser writes no file; leave it out"),
        ("--mask mask.npy --show errors --output a.png", "--show: errors needs --label; give it"),
        ("--mask mask.npy --show mask label --output a.png", "shows one panel, found 2"),
        ("--mask mask.npy --level 1 --output a.png", "only OME-Zarr images have levels, found 1"),
        ("--mask mask.npy --ignore 2 --output a.png", "--ignore: belongs to --classes"),
        ("--mask empty.tif --surface --output a.png", "needs foreground voxels, empty.tif holds"),
        ("--instances empty.tif --surface --output a.png", "needs instances, empty.tif holds none"),
        ("--instances signed.tif --output a.png", "signed.tif: numbers of instances start at 0"),
        ("--image image.tif --surface --output a.png", "needs the classes of a --mask or --label"),
        ("--mask image.tif --classes b=0 f=1 --output a.png", "label value 100"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
    words: str,
    sentence: str,
) -> None:
    if "--surface" in words:
        pytest.importorskip("pyvista")
    monkeypatch.chdir(data)
    files = sorted(data.iterdir())

    said = " ".join(refused("view", *words.split()).split())

    assert sentence in said
    assert sorted(data.iterdir()) == files


@pytest.mark.slow
def test_a_browser_is_served_until_ctrl_c(data: Path) -> None:
    pytest.importorskip("neuroglancer")
    # A shell's background job ignores Ctrl-C, and so do its children.
    unignored = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    call = f"{unignored}; from vesuv.cli import main; main()"
    words = ["view", "--image", str(data / "image.tif"), "--mask", str(data / "mask.npy")]
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}

    server = subprocess.Popen(
        [sys.executable, "-u", "-c", call, *words, "--browser"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().removeprefix("neuroglancer: ").strip()
        page = urlopen(address, timeout=20).read().decode()
        elsewhere = urlopen(address.replace("127.0.0.1", "127.0.0.2"), timeout=20)
    except URLError:
        elsewhere = None
    finally:
        server.send_signal(signal.SIGINT)
        try:
            output, _ = server.communicate(timeout=30)
        finally:
            server.kill()

    assert elsewhere is None
    assert "neuroglancer" in page
    assert output.strip() == "Ctrl-C ends it"
    assert server.returncode == 0
