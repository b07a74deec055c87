from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import nibabel
import numpy as np
import pytest

from vesuv.config.labels import LabelsConfig
from vesuv.evaluation import evaluate
from vesuv.evaluation.distances import surface_distances
from vesuv.evaluation.folders import FolderScores, ScoreOptions, score_folders, write_scores

LABELS = LabelsConfig(classes={"air": 5, "bone": 6, "vessel": 7, "mm": 8}, ignore=9)
MEASURES = ("hd95", "cldice", "surface_dice@1", "voi")


def volume(*values: int) -> np.ndarray:
    return np.array(values, np.uint8).reshape(2, 2, -1)


# bone: 1 hit of 2 predicted and 2 labelled voxels; vessel: 2 of 2 and 3; mm: nowhere; 7 judged
PREDICTION = volume(5, 6, 6, 7, 7, 7, 5, 5)
LABEL = volume(5, 6, 7, 7, 7, 9, 6, 5)


def score(folder: Path, *cases: tuple[np.ndarray, np.ndarray]) -> FolderScores:
    for number, case in enumerate(cases):
        for name, array in zip(("predictions", "labels"), case, strict=True):
            (folder / name).mkdir(exist_ok=True)
            np.save(folder / name / f"{number}.npy", array)
    options = ScoreOptions(LABELS, MEASURES, workers=1)
    scores = score_folders([folder / "predictions"], folder / "labels", folder / "out", options)
    write_scores(scores, folder / "out")
    return scores


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "out/scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_class_has_its_columns_beside_the_mean(tmp_path: Path) -> None:
    score(tmp_path, (PREDICTION, LABEL))

    (row,) = rows(tmp_path)
    expected = {
        "dice": (2 / 4 + 4 / 5) / 2,
        "dice[bone]": 2 / 4,
        "dice[vessel]": 4 / 5,
        "precision[bone]": 1 / 2,
        "precision[vessel]": 1,
        "recall[bone]": 1 / 2,
        "recall[vessel]": 2 / 3,
        "predicted_fraction[bone]": 2 / 7,
        "labelled_fraction[vessel]": 3 / 7,
        "predicted_fraction": 4 / 7,
        "predicted_fraction[mm]": 0,
    }
    assert {name: float(row[name]) for name in expected} == pytest.approx(expected, abs=1e-6)
    assert row["dice[mm]"] == row["recall[mm]"] == row["hd95[voxel][mm]"] == ""


def test_measures_compare_a_class_with_the_same_class(tmp_path: Path) -> None:
    score(tmp_path, (PREDICTION, LABEL))

    (row,) = rows(tmp_path)
    judged = np.where(LABEL == 9, 5, PREDICTION)
    by_hand = [surface_distances(judged == value, value == LABEL).hd95 for value in (6, 7)]
    assert float(row["hd95[voxel][bone]"]) == pytest.approx(by_hand[0], abs=1e-5)
    assert float(row["hd95[voxel][vessel]"]) == pytest.approx(by_hand[1], abs=1e-5)
    assert float(row["hd95[voxel]"]) == pytest.approx(np.mean(by_hand), abs=1e-5)
    assert by_hand[0] != by_hand[1]


def test_the_summary_has_means_by_class_and_names_no_class_in_the_others(tmp_path: Path) -> None:
    other = volume(5, 5, 5, 5, 5, 5, 5, 6)
    (tmp_path / "train.csv").write_text("id,scroll_id\n0,s\n1,s\n")

    summary = score(tmp_path, (PREDICTION, LABEL), (other, other)).summary

    # the second case holds bone alone, and all of it is found
    assert summary["mean"]["dice"] == pytest.approx(((0.5 + 0.8) / 2 + 1) / 2)
    assert summary["classes"]["bone"]["mean"]["dice"] == pytest.approx((0.5 + 1) / 2)
    assert summary["classes"]["vessel"]["mean"]["dice"] == pytest.approx(0.8)
    assert summary["classes"]["bone"]["pooled"]["dice"] == pytest.approx(4 / 6)
    assert summary["groups"]["s"]["classes"] == summary["classes"]
    assert not [name for name in summary["mean"] if "bone" in name or "vessel" in name]
    assert "hd95[voxel]" in summary["mean"] and "hd95[voxel]" in summary["classes"]["mm"]["mean"]
    written = json.loads((tmp_path / "out/summary.json").read_text())
    assert written["classes"]["mm"]["mean"]["dice"] is None


def test_tables_have_a_line_for_each_class(tmp_path: Path) -> None:
    score(tmp_path, (PREDICTION, LABEL))

    lines = (tmp_path / "out/summary.md").read_text().splitlines()
    cases = [line.split(" | ") for line in lines if line.startswith("| 0 |")]
    assert [(cells[2], cells[3]) for cells in cases] == [
        ("mean", "0.6500"), ("bone", "0.5000"), ("vessel", "0.8000"), ("mm", "–"),
    ]  # fmt: skip


def test_where_no_class_is_there_the_mean_is_that_of_empty_masks(tmp_path: Path) -> None:
    air, ignored = volume(*[5] * 8), volume(*[9] * 8)

    score(tmp_path, (air, air), (air, ignored))

    agreeing, unjudged = rows(tmp_path)
    assert (agreeing["dice"], agreeing["hd95[voxel]"], agreeing["cldice"]) == ("1", "0", "1")
    assert agreeing["dice[bone]"] == agreeing["cldice[bone]"] == ""
    assert unjudged["dice"] == unjudged["cldice"] == ""


def test_arrays_have_a_column_a_label_value() -> None:
    prediction, label = (np.where(part == 5, 0, part) for part in (PREDICTION, LABEL))

    scores = evaluate(prediction, label, ["recall", "cldice"], ignore=9)

    assert list(scores) == [
        "recall", "recall[6]", "recall[7]", "cldice", "cldice[6]", "cldice[7]",
    ]  # fmt: skip
    assert scores["recall[7]"] == pytest.approx(2 / 3)
    assert scores["cldice"] == pytest.approx((scores["cldice[6]"] + scores["cldice[7]"]) / 2)
    assert not math.isnan(scores["cldice[6]"])


def save(path: Path, mask: np.ndarray, edges: tuple[float, ...], unit: str | None) -> None:
    path.parent.mkdir(exist_ok=True)
    image = nibabel.Nifti1Image(mask.T.astype(np.uint8), np.diag([*edges[::-1], 1.0]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)


def test_lengths_are_in_the_unit_of_the_first_case(tmp_path: Path) -> None:
    prediction, label = np.zeros((2, 9, 9, 9), bool)
    prediction[2], label[4] = True, True
    cases = {"a": ((3.0, 1.0, 1.0), "mm"), "b": ((3000.0, 1000.0, 1000.0), "micron")}
    for name, (edges, unit) in cases.items():
        save(tmp_path / "predictions" / f"{name}.nii", prediction, edges, unit)
        save(tmp_path / "labels" / f"{name}.nii", label, edges, unit)
    options = ScoreOptions(
        LabelsConfig(classes={"background": 0, "plane": 1}),
        ("hd95", "assd", "surface_dice@3", "surface_dice@1vox", "surface_dice@1"),
        workers=1,
    )

    scores = score_folders([tmp_path / "predictions"], tmp_path / "labels", tmp_path, options)

    write_scores(scores, tmp_path)
    assert scores.summary["unit"] == "mm"
    for case in scores.cases:
        assert case.scores["hd95[mm]"] == case.scores["assd[mm]"] == pytest.approx(6.0)
        # the facing sides are one voxel, 3 mm, apart, the others three voxels
        assert case.scores["surface_dice@3[mm]"] == pytest.approx(0.5)
        assert case.scores["surface_dice@1vox"] == pytest.approx(0.5)
        assert case.scores["surface_dice@1[mm]"] == 0.0
    header = (tmp_path / "scores.csv").read_text().splitlines()[0].split(",")
    assert {"hd95[mm]", "assd[mm]", "surface_dice@3[mm]", "surface_dice@1vox"} <= set(header)
    assert "SD@3[mm]" in scores.tables[0].short_header


def test_a_case_without_a_unit_is_refused_among_others_unless_no_length_is_measured(
    tmp_path: Path,
) -> None:
    mask = np.ones((3, 3, 3), bool)
    for folder in ("predictions", "labels"):
        save(tmp_path / folder / "a.nii", mask, (1.0, 1.0, 1.0), "mm")
        np.save(tmp_path / folder / "b.npy", mask)
    labels = LabelsConfig(classes={"background": 0, "block": 1})

    def faults(*measures: str) -> tuple[str, ...]:
        folder = [tmp_path / "predictions"]
        options = ScoreOptions(labels, measures, workers=1)
        return score_folders(folder, tmp_path / "labels", tmp_path, options).faults

    assert faults("surface_dice@1vox", "cldice") == ()
    (fault,) = faults("hd95")
    assert "b.npy: lengths of all cases must have one unit, found voxel and" in fault
