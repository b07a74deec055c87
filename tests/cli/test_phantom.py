"""vesuv phantom, as a user calls it."""

from collections.abc import Callable
from pathlib import Path

import pytest


def test_scans_of_logs_are_a_kind_of_their_own(
    tmp_path: Path, run: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    run("phantom", "--kind", "raster_log", "--output", tmp_path / "logs", "--cases", 2,
        "--held-out", 1, "--size", 48)  # fmt: skip

    assert "2 training and 1 held-out scans of 48 rows" in " ".join(capsys.readouterr().out.split())
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {
        "images",
        "labels",
        "curves",
        "test_images",
        "test_labels",
        "test_curves",
        "scales.csv",
        "phantom.json",
    }


def test_scans_of_logs_have_no_layers(tmp_path: Path, refused: Callable[..., str]) -> None:
    said = refused("phantom", "--kind", "raster_log", "--output", tmp_path / "logs", "--layers")

    assert "--layers: only --kind scroll has layers; leave it out" in said
    assert not (tmp_path / "logs").exists()
