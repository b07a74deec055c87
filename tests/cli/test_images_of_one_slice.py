"""Images of one slice, of different widths, go through every verb; masks come out as they are."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import yaml
from PIL import Image

from vesuv.io.formats import read

Run = Callable[..., None]
Refused = Callable[..., str]
WIDTHS = (20, 31, 40, 44)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four RGB images 24 pixels high, two of them narrower than the patch, and their labels."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks", "new"):
        (tmp_path / folder).mkdir()
    for number, width in enumerate(WIDTHS):
        y, x = np.mgrid[:24, :width]
        label = ((x + y) % 12 < 3).astype(np.uint8)
        image = np.clip(60 + 120 * label[..., None] + rng.normal(0, 20, (24, width, 3)), 0, 255)
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / f"images/c{number}.png")
        Image.fromarray(label).save(tmp_path / f"masks/c{number}.png")
    Image.fromarray(image.astype(np.uint8)).save(tmp_path / "new/c3.jpg")
    return tmp_path


@pytest.fixture
def config(data: Path) -> Path:
    tree = {
        "data": {
            "root": str(data),
            "store": str(data / "store"),
            "layout": "folders",
            "images": "images",
            "labels": "masks",
            "folds": {"num": 2},
        },
        "labels": {"classes": {"background": 0, "line": 1}},
        "sampling": {"patch_size": [1, 16, 32], "batch_size": 2},
        "augment": {"rotation": {"p": 1.0}, "scaling": {"p": 1.0}, "low_resolution": {"p": 1.0}},
        "model": {
            "name": "plain_unet",
            "filters": 4,
            "depth": 2,
            "space_to_depth": [1, 2, 2],
            "strides": [[1, 2, 2], [1, 2, 2]],
            "kernels": [[1, 3, 3], [1, 3, 3], [1, 3, 3]],
        },
        "phases": [{"epochs": [0, None], "weights": {"dice": 1.0, "cldice": 0.1, "boundary": 0.1}}],
        "train": {"epochs": 1, "steps_per_epoch": 2},
        "optimizer": {"name": "muon", "lr": 0.01},
        "scheduler": {"name": "poly", "warmup_epochs": 0},
        "validation": {"tiles": 2},
        "inference": {"views": "mirror"},
        "runtime": {"device": "cpu", "precision": "float32", "threads": 1, "workers": 0},
    }
    path = data / "flat.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def test_every_verb_takes_images_of_one_slice(
    data: Path, config: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    output = data / "run"
    run("train", "--config", config, "--fold", 0, "--output", output)
    run("validate_distribution", "--run", output)
    run("predict", "--run", output, "--input", data / "images", "--output", data / "out",
        "--probabilities")  # fmt: skip
    run("predict", "--run", output, "--input", data / "new", "--output", data / "from_jpeg")
    run("predict", "--run", output, "--input", data / "images", "--output", data / "blocks",
        "--blocks", "--block-size", 32)  # fmt: skip
    run("evaluate", "--predictions", data / "out", "--labels", data / "masks", "--measures",
        "surface_dice@1vox", "cldice", "betti", "hd95", "curve")  # fmt: skip

    for number, width in enumerate(WIDTHS):
        assert read(data / f"out/c{number}.png").shape == (1, 24, width)
        probs = read(data / f"out/probabilities/c{number}.tif").array
        assert probs.shape == (1, 24, width)
        assert probs.dtype == np.float32
        in_blocks = read(data / f"blocks/c{number}.png").array
        assert (in_blocks == read(data / f"out/c{number}.png").array).mean() > 0.99
    assert [path.name for path in (data / "from_jpeg").glob("c*")] == ["c3.png"]
    summary = json.loads((data / "out/summary.json").read_text())
    assert 0 <= summary["mean"]["surface_dice@1vox"] <= 1
    assert (output / "report.html").is_file()
    assert "4 views of each window" in capsys.readouterr().out


@pytest.mark.parametrize(("images", "labels"), [(".nii", ".npy"), (".npy", ".nrrd")])
def test_files_of_two_axes_go_through_every_verb(
    data: Path, config: Path, run: Run, images: str, labels: str
) -> None:
    for folder, ending in (("images", images), ("masks", labels)):
        for path in (data / folder).glob("*.png"):
            _write_two_axes(path.with_suffix(ending), read(path).channels[0, 0])
            path.unlink()
    output = data / "run"
    run("prepare", "--config", config)
    run("train", "--config", config, "--fold", 0, "--output", output)
    run("predict", "--run", output, "--input", data / "images", "--output", data / "out",
        "--probabilities")  # fmt: skip
    run("predict", "--run", output, "--input", data / "images", "--output", data / "blocks",
        "--blocks", "--block-size", 32)  # fmt: skip
    run("evaluate", "--predictions", data / "out", "--labels", data / "masks")

    for number, width in enumerate(WIDTHS):
        image = data / f"images/c{number}{images}"
        for mask in (data / f"out/c{number}{images}", data / f"blocks/c{number}{images}"):
            assert _axes_of(mask) == _axes_of(image)
            assert read(mask).shape == (1, 24, width)
        assert read(data / f"out/probabilities/c{number}{images}").shape == (1, 24, width)
    assert 0 <= json.loads((data / "out/summary.json").read_text())["mean"]["dice"] <= 1


def _write_two_axes(path: Path, pixels: np.ndarray) -> None:
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".nii":
        nibabel.save(nibabel.Nifti1Image(pixels.T, np.eye(4)), path)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), str(path))


def _axes_of(path: Path) -> tuple[int, ...]:
    loaded = np.load(path) if path.suffix == ".npy" else nibabel.load(path)
    return tuple(loaded.shape)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("jpeg label", r"masks/c1.jpg: a label needs a lossless format"),
        ("palette", "images/c1.png: its pixels are entries of a palette"),
        ("alpha", "images/c1.png: an image has no alpha channel"),
        ("other size", "have one shape, found label (1, 24, 30) and image (1, 24, 31)"),
        ("grey", "case c1"),
        ("colour label", "masks/c1.png: a label has one channel, found 3"),
    ],
)
def test_bad_images_are_one_sentence(
    data: Path, config: Path, refused: Refused, fault: str, sentence: str
) -> None:
    image, label = (_opened(data / f"{folder}/c1.png") for folder in ("images", "masks"))
    if fault == "jpeg label":
        (data / "masks/c1.png").unlink()
        label.save(data / "masks/c1.jpg")
    elif fault == "palette":
        image.convert("P").save(data / "images/c1.png")
    elif fault == "alpha":
        image.convert("RGBA").save(data / "images/c1.png")
    elif fault == "other size":
        label.crop((0, 0, 30, 24)).save(data / "masks/c1.png")
    elif fault == "grey":
        image.convert("L").save(data / "images/c1.png")
    else:
        label.convert("RGB").save(data / "masks/c1.png")

    said = refused("prepare", "--config", config)

    assert sentence in " ".join(said.split())


def _opened(path: Path) -> Image.Image:
    pixels = read(path).channels[:, 0]
    return Image.fromarray(np.moveaxis(pixels, 0, -1).squeeze())
