"""A loss, a network, a step and a finding of another package, installed with pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from tests.conftest import tiny_tree

PACKAGE = Path(__file__).parent / "data/extension/thin_parts.py"
ENTRY_POINTS = """
[vesuv.losses]
volume = thin_parts:Volume
[vesuv.models]
two_layers = thin_parts:TwoLayers
[vesuv.postprocess]
crop = thin_parts:Crop
[vesuv.findings]
short_run = thin_parts:short_run
"""


def wheel(folder: Path, entry_points: str = ENTRY_POINTS) -> Path:
    """Write a wheel that holds the package."""
    path = folder / "thin_parts-1.0-py3-none-any.whl"
    meta = "thin_parts-1.0.dist-info"
    files = {
        "thin_parts.py": PACKAGE.read_text(),
        f"{meta}/METADATA": "Metadata-Version: 2.1\nName: thin-parts\nVersion: 1.0\n",
        f"{meta}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{meta}/entry_points.txt": entry_points,
    }
    files[f"{meta}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{meta}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def installed(folder: Path) -> dict[str, str]:
    """Install the package into a folder; return an environment that finds it."""
    site = folder / "site"
    words = ["install", "-q", "--no-index", "--no-deps", "--disable-pip-version-check"]
    file = wheel(folder)
    subprocess.run([sys.executable, "-m", "pip", *words, "--target", site, file], check=True)
    return found_in(site)


def found_in(site: Path) -> dict[str, str]:
    """Return an environment that finds the packages of a folder."""
    repository = Path(__file__).parents[1]
    return {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{repository}", "COLUMNS": "200"}


def called(
    environment: dict[str, str], *verbs: tuple[object, ...]
) -> subprocess.CompletedProcess[str]:
    """Call verbs of the command line one after the other in a process of its own."""
    code = "import json, sys\nfrom vesuv.cli import main\n"
    code += "for words in json.loads(sys.argv[1]): main(words)"
    words = json.dumps([list(map(str, verb)) for verb in verbs])
    command = [sys.executable, "-c", code, words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def config_file(tiny_data: Path, tmp_path: Path) -> Path:
    tree = tiny_tree(tiny_data, tmp_path / "store")
    tree |= {
        "model": {"name": "two_layers", "width": 3},
        "phases": [{"epochs": [0, None], "weights": {"dice": 1.0, "volume": 0.5}}],
        "loss": {"volume": {"factor": 2.0}},
        "inference": {"postprocess": [{"name": "crop", "voxels": 3}]},
        "selection": {"thresholds": [0.5]},
        "train": {"epochs": 1, "steps_per_epoch": 2},
    }
    path = tmp_path / "thin.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.mark.slow
def test_an_installed_package_brings_parts_of_its_own(
    tiny_data: Path, config_file: Path, tmp_path: Path
) -> None:
    environment = installed(tmp_path)
    run, masks = tmp_path / "run", tmp_path / "masks"

    image = tiny_data / "train_images/c0.tif"
    words = ("--checkpoint", "last", "--input", image, "--output", masks, "--threshold", 0.005)
    done = called(
        environment,
        ("train", "--config", config_file, "--fold", 0, "--output", run),
        ("validate_distribution", "--run", run),
        ("predict", "--run", run, *words),
    )

    assert done.returncode == 0, done.stderr
    assert "volume: " in (run / "train.log").read_text(), "part of the validation line"
    assert "The run was short (short_run)" in done.stdout
    named = json.loads((run / "diagnosis.json").read_text())["findings"]
    assert "short_run" in [finding["name"] for finding in named]
    assert "width: 3" in (run / "config.yaml").read_text()
    tried = json.loads((run / "distribution/summary.json").read_text())["choices"]
    assert [{"name": "crop", "voxels": 3}] in [choice["postprocess"] for choice in tried]
    inside = np.zeros((32, 32, 32), np.uint8)
    inside[3:-3, 3:-3, 3:-3] = 1
    assert np.array_equal(tifffile.imread(masks / "c0.tif"), inside)


@pytest.mark.slow
def test_a_package_that_cannot_be_imported_is_named(config_file: Path, tmp_path: Path) -> None:
    broken = ENTRY_POINTS.replace("thin_parts:Volume", "thin_parts:Nothing")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel(tmp_path, broken)) as archive:
        archive.extractall(site)  # which is what pip does

    trained = called(found_in(site), ("train", "--config", config_file, "--fold", 0))

    assert trained.returncode == 2
    assert "entry point vesuv.losses: volume = thin_parts:Nothing" in trained.stderr
    assert "of package thin-parts 1.0: cannot be loaded" in trained.stderr


@pytest.mark.slow
def test_without_the_package_its_names_are_refused(config_file: Path) -> None:
    done = called(dict(os.environ), ("train", "--config", config_file, "--fold", 0))

    assert done.returncode == 2
    assert "there is no network 'two_layers'" in done.stderr
    assert "phases.0.weights" in done.stderr
