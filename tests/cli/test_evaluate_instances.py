"""vesuv evaluate --instances, as a user calls it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Refused, Run
from vesuv.io.formats import write

CLASSES = ("--classes", "background=0", "membrane=1", "--ignore", 2)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two cells between walls, found whole (a) and as one (b); the last voxel is ignored."""
    label = np.array([[[0, 0, 1, 0, 0, 2]]], np.uint8)
    for name, cells in {"a": [4, 4, 4, 9, 9, 9], "b": [3, 3, 3, 3, 3, 3]}.items():
        write(tmp_path / f"cells/{name}.npy", np.array([[cells]], np.uint32))
        write(tmp_path / f"labels/{name}.npy", label)
        write(tmp_path / f"ids/{name}.npy", np.array([[[70000, 70000, 0, 2, 2, 0]]], np.uint32))
    return tmp_path


def _rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("labels", "words"), [("labels", ("boundary", *CLASSES)), ("ids", ("ids",))]
)
def test_cells_are_scored_against_a_boundary_or_against_numbers(
    labels: str, words: tuple[object, ...], data: Path, run: Run
) -> None:
    run("evaluate", "--predictions", data / "cells", "--labels", data / labels, "--output",
        data / "out", "--instances", *words)  # fmt: skip

    rows = _rows(data / "out/instance_scores.csv")
    assert list(rows) == ["b", "a"], "worst first"
    assert rows["a"] == {
        "id": "a", "voi": "0", "voi_split": "0", "voi_merge": "0", "rand_error": "0",
        "rand_precision": "1", "rand_recall": "1", "num_predicted": "2", "num_true": "2",
    }  # fmt: skip
    # b: two cells of two voxels as one: a bit of merge; 2 common pairs of 6 predicted and 2 true
    assert (rows["b"]["voi"], rows["b"]["voi_merge"]) == ("1", "1")
    assert (rows["b"]["rand_error"], rows["b"]["rand_precision"]) == ("0.5", "0.333333")
    summary = json.loads((data / "out/instance_summary.json").read_text())
    assert summary["mean"]["voi"] == 0.5
    assert summary["num_cases"] == 2


def test_a_dry_run_writes_nothing(data: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("evaluate", "--predictions", data / "cells", "--labels", data / "ids", "--output",
        data / "out", "--instances", "ids", "--dry-run")  # fmt: skip

    printed = capsys.readouterr().out.replace("\n", "")
    assert f"would read: {data / 'cells/a.npy'}, {data / 'ids/a.npy'}" in printed
    assert not (data / "out").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["boundary"], "--instances boundary: needs --run, --config or --classes"),
        (["ids", *CLASSES], "--instances ids: labels hold numbers of instances"),
        (["ids", "--measures", "voi"], "--measures: is for masks, found --instances"),
        (["ids", "--require-dice", 0.5], "--require-dice: is for masks"),
        (["boundary", *CLASSES[:3], "wall=3", *CLASSES[3:]], "one boundary, found membrane, wall"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    words: list[object], sentence: str, data: Path, refused: Refused
) -> None:
    said = refused("evaluate", "--predictions", data / "cells", "--labels", data / "labels",
                   "--instances", *words)  # fmt: skip

    assert sentence in " ".join(said.split())
    assert not (data / "cells/instance_scores.csv").exists()


def test_several_folders_are_refused(data: Path, refused: Refused) -> None:
    said = refused("evaluate", "--predictions", data / "cells", data / "ids", "--labels",
                   data / "ids", "--output", data / "out", "--instances", "ids")  # fmt: skip

    assert "instances of one folder are scored, found 2" in " ".join(said.split())


def test_results_of_others_are_not_replaced(data: Path, refused: Refused) -> None:
    words = ("evaluate", "--predictions", data / "cells", "--labels", data / "ids",
             "--instances", "ids", "--output")  # fmt: skip
    (data / "out").mkdir()
    (data / "out/instance_summary.json").write_text("{}")

    assert "was not written by vesuv evaluate" in " ".join(refused(*words, data / "out").split())
    assert "holds the labels" in " ".join(refused(*words, data / "ids").split())


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.full((1, 1, 6), 0.5, np.float32), "one instance a voxel, whole numbers from 0 on"),
        (np.full((1, 1, 6), -1, np.int32), "one instance a voxel, whole numbers from 0 on"),
        (np.ones((1, 1, 5), np.uint8), "shape"),
    ],
)
def test_a_faulty_volume_is_left_out_and_the_others_are_scored(
    values: np.ndarray, sentence: str, data: Path, refused: Refused
) -> None:
    write(data / "cells/b.npy", values)

    said = refused("evaluate", "--predictions", data / "cells", "--labels", data / "ids",
                   "--output", data / "out", "--instances", "ids")  # fmt: skip

    assert sentence in " ".join(said.split())
    assert list(_rows(data / "out/instance_scores.csv")) == ["a"]


def test_labels_without_an_instance_are_refused(data: Path, refused: Refused) -> None:
    for name in "ab":
        write(data / f"ids/{name}.npy", np.zeros((1, 1, 6), np.uint8))

    said = refused("evaluate", "--predictions", data / "cells", "--labels", data / "ids",
                   "--output", data / "out", "--instances", "ids")  # fmt: skip

    assert "must hold an instance to judge, found none" in " ".join(said.split())
    assert not (data / "out").exists()


def test_undeclared_label_values_are_named_with_their_file(data: Path, refused: Refused) -> None:
    said = refused("evaluate", "--predictions", data / "cells", "--labels", data / "ids",
                   "--output", data / "out", "--instances", "boundary", *CLASSES)  # fmt: skip

    assert f"{data / 'ids/a.npy'}: " in said.replace("\n", "")


def test_a_picture_of_each_case_is_drawn(data: Path, run: Run) -> None:
    for name in "ab":
        write(data / f"images/{name}.npy", np.arange(6, dtype=np.uint8).reshape(1, 1, 6))

    run("evaluate", "--predictions", data / "cells", "--labels", data / "ids", "--output",
        data / "out", "--instances", "ids", "--images", data / "images")  # fmt: skip

    assert sorted(path.name for path in (data / "out/pictures").glob("*.png")) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("shape", "sentence"), [(None, "holds no image of case b"), ((1, 1, 5), "found (1, 1, 5)")]
)
def test_an_image_that_does_not_fit_is_refused(
    shape: tuple[int, ...] | None, sentence: str, data: Path, refused: Refused
) -> None:
    write(data / "images/a.npy", np.zeros((1, 1, 6), np.uint8))
    if shape is not None:
        write(data / "images/b.npy", np.zeros(shape, np.uint8))

    said = refused("evaluate", "--predictions", data / "cells", "--labels", data / "ids",
                   "--output", data / "out", "--instances", "ids", "--images",
                   data / "images")  # fmt: skip

    assert sentence in " ".join(said.split())
    assert set(_rows(data / "out/instance_scores.csv")) == {"a", "b"}


@pytest.fixture
def nuclei(tmp_path: Path) -> Path:
    """Three objects, of which two touch: one is found, one is missed, one is invented."""
    ids = np.array([[[7, 7, 8, 8, 0, 0, 9, 0, 0, 0]]], np.uint16)
    found = np.array([[[3, 3, 0, 0, 0, 0, 4, 0, 5, 5]]], np.uint32)
    label = np.where(ids > 0, 1, 0).astype(np.uint8)
    label[..., -1] = 2
    for folder, array in {"found": found, "ids": ids, "labels": label}.items():
        write(tmp_path / folder / "a.npy", array)
    return tmp_path


def test_objects_are_scored_by_their_numbers_with_their_background(nuclei: Path, run: Run) -> None:
    run("evaluate", "--predictions", nuclei / "found", "--labels", nuclei / "ids", "--output",
        nuclei / "out", "--instances", "foreground")  # fmt: skip

    row = _rows(nuclei / "out/instance_scores.csv")["a"]
    assert (row["num_predicted"], row["num_true"]) == ("3", "3")
    assert float(row["f1"]) == pytest.approx(2 * 2 / 6, abs=1e-6)
    # judged 7: pairs (3,7)x2 (0,8)x2 (4,9) (5,0)x2: each segment of one is a segment of the other
    assert (row["voi"], row["rand_error"]) == ("0", "0")
    summary = json.loads((nuclei / "out/instance_summary.json").read_text())
    assert summary["truth"] == "foreground"


def test_objects_of_a_class_are_its_components(nuclei: Path, run: Run) -> None:
    run("evaluate", "--predictions", nuclei / "found", "--labels", nuclei / "labels", "--output",
        nuclei / "out", "--instances", "foreground", "--classes", "background=0", "nucleus=1",
        "--ignore", 2)  # fmt: skip

    row = _rows(nuclei / "out/instance_scores.csv")["a"]
    # the touching ones are one object of four voxels, of which two are found: not more than half
    assert (row["num_predicted"], row["num_true"]) == ("3", "2")
    assert float(row["f1"]) == pytest.approx(2 * 1 / 5, abs=1e-6)
    assert float(row["voi_split"]) > 0 and float(row["voi_merge"]) == 0
    assert list(row)[-3:] == ["f1", "num_predicted", "num_true"]


def test_a_volume_without_objects_is_judged(nuclei: Path, run: Run) -> None:
    write(nuclei / "ids/a.npy", np.zeros((1, 1, 10), np.uint16))
    run("evaluate", "--predictions", nuclei / "found", "--labels", nuclei / "ids", "--output",
        nuclei / "out", "--instances", "foreground")  # fmt: skip

    row = _rows(nuclei / "out/instance_scores.csv")["a"]
    assert (row["f1"], row["num_true"]) == ("0", "0")
    assert float(row["voi_split"]) == pytest.approx(1.52193, abs=1e-5)  # of 2, 1 and 2 voxels
