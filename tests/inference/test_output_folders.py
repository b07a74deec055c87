"""Masks are written beside nothing that they could replace."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from vesuv.errors import InputError
from vesuv.inference.files import check_output
from vesuv.inference.submission import check_submission
from vesuv.io.formats import write
from vesuv.io.tables import write_json

VOLUME = np.zeros((2, 2, 2), np.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write(tmp_path / "data/raw/a.tif", VOLUME)
    return tmp_path / "data/raw"


@pytest.mark.parametrize("output", ["data/raw", "data", ".", "link", "data/raw/../raw"])
def test_a_folder_that_holds_the_inputs_is_refused(
    source: Path, tmp_path: Path, output: str
) -> None:
    (tmp_path / "link").symlink_to(source.parent)

    for one in (source, source / "a.tif"):
        with pytest.raises(InputError, match=r"--output: \S+ holds the inputs"):
            check_output(one, tmp_path / output)


def test_a_folder_that_linked_inputs_point_into_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links/a.tif").symlink_to(source / "a.tif")
    write_json(source / "provenance.json", {"threshold": None})

    with pytest.raises(InputError, match=r"--output: \S+ holds the inputs"):
        check_output(tmp_path / "links", source)


@pytest.mark.parametrize("name", ["a.tif", "probabilities/a.tif"])
@pytest.mark.parametrize("provenance", [None, {}, {"runs": []}])
def test_volumes_of_the_user_are_not_replaced(
    source: Path, tmp_path: Path, name: str, provenance: dict[str, object] | None
) -> None:
    write(tmp_path / "masks" / name, VOLUME)
    if provenance is not None:
        write_json(tmp_path / "masks/provenance.json", provenance)

    with pytest.raises(InputError, match="holds volumes that were not predicted by vesuv"):
        check_output(source, tmp_path / "masks")


def test_earlier_masks_are_replaced(source: Path, tmp_path: Path) -> None:
    write(tmp_path / "masks/a.tif", VOLUME)
    write_json(tmp_path / "masks/provenance.json", {"threshold": {"value": 0.5}})

    check_output(source, tmp_path / "masks")
    check_output(source, source / "masks")


def test_probabilities_are_not_written_through_a_link(source: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/probabilities").symlink_to(source)

    with pytest.raises(InputError, match="probabilities: is a symbolic link"):
        check_output(source, tmp_path / "masks")


def test_a_submission_replaces_zip_files_alone(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("mine")
    with pytest.raises(InputError, match=r"a\.zip is no zip file"):
        check_submission(tmp_path / "a.zip")
    with pytest.raises(InputError, match=r"must end in \.zip, found \S+/a\.tif"):
        check_submission(tmp_path / "a.tif")

    with zipfile.ZipFile(tmp_path / "b.zip", "w"):
        pass
    check_submission(tmp_path / "b.zip")
    check_submission(tmp_path / "c.zip")
