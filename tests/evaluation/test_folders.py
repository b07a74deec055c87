from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError, InputErrors
from vesuv.evaluation.folders import FolderScores, ScoreOptions, score_folders, write_scores
from vesuv.evaluation.pictures import PictureSource
from vesuv.io.formats import write

LABELS = LabelsConfig(classes={"background": 0, "foreground": 1}, ignore=2)

# 8 voxels each: (prediction, label); 2 is ignored
GOOD = ([1, 1, 0, 0, 0, 1, 0, 0], [1, 1, 0, 0, 2, 2, 0, 0])
POOR = ([1, 1, 1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0, 2, 2])
BLANK = ([0, 1, 0, 0, 0, 0, 0, 0], [2, 2, 2, 2, 2, 2, 2, 2])


def score(
    predictions: Path | Sequence[Path],
    labels: Path,
    *,
    output: Path | None = None,
    pictures: PictureSource | None = None,
    **options: Any,
) -> FolderScores:
    """Score, and write the files beside the predictions where no output is given."""
    folders = [predictions] if isinstance(predictions, Path) else predictions
    target = output or folders[0]
    how = ScoreOptions(**{"schema": LABELS, **options})
    scores = score_folders(folders, labels, target, how, pictures=pictures)
    write_scores(scores, target)
    return scores


def draw_title(
    image: object, label: object, prediction: object, path: Path, title: str, names: object
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(title)


def _folders(tmp_path: Path, **cases) -> tuple[Path, Path]:
    predictions, labels = tmp_path / "predictions", tmp_path / "data" / "train_labels"
    for folder, part in ((predictions, 0), (labels, 1)):
        folder.mkdir(parents=True)
        for name, case in cases.items():
            if case[part] is not None:
                array = np.array(case[part], dtype=np.uint8).reshape(2, 2, -1)
                np.save(folder / f"{name}.npy", array)
    return predictions, labels


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_cases_are_scored_worst_first(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, good=GOOD, poor=POOR)

    scores = score(predictions, labels)
    summary = scores.summary

    rows = _rows(predictions / "scores.csv")
    assert [row["id"] for row in rows] == ["poor", "good"]
    # poor: 1 hit of 4 predicted and 2 labelled, over 6 judged voxels
    assert float(rows[0]["dice"]) == pytest.approx(2 / 6, abs=1e-6)
    assert float(rows[0]["precision"]) == 0.25
    assert float(rows[0]["recall"]) == 0.5
    assert float(rows[0]["predicted_fraction"]) == pytest.approx(4 / 6, abs=1e-6)
    assert rows[0]["judged_voxels"] == "6"
    assert float(rows[1]["dice"]) == 1.0
    assert summary["mean"]["dice"] == pytest.approx((1 / 3 + 1) / 2)
    assert summary["pooled"]["dice"] == pytest.approx(6 / 10)
    written = json.loads((predictions / "summary.json").read_text())
    assert written["version"] == 1
    assert written["mean"] == summary["mean"]
    assert [case.id for case in scores.cases] == ["poor", "good"]
    assert scores.faults == ()


def test_groups_come_from_the_train_csv_beside_the_labels(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=POOR, c=GOOD, d=GOOD)
    (tmp_path / "data" / "train.csv").write_text("id,scroll_id\na,s1\nb,s2\nc,s2\nz,s9\n")

    summary = score(predictions, labels, output=tmp_path / "scores").summary

    assert list(summary["groups"]) == ["s1", "s2"]
    assert summary["groups"]["s2"]["mean"]["dice"] == pytest.approx((1 / 3 + 1) / 2)
    assert summary["groups"]["s2"]["cases"] == 2
    groups = {row["id"]: row["group"] for row in _rows(tmp_path / "scores" / "scores.csv")}
    assert groups == {"a": "s1", "b": "s2", "c": "s2", "d": ""}


def test_groups_of_ones_own(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=POOR)
    (tmp_path / "own.csv").write_text("id,scroll_id\na,x\nb,y\n")

    summary = score(predictions, labels, groups=tmp_path / "own.csv").summary

    assert list(summary["groups"]) == ["x", "y"]
    with pytest.raises(InputError, match=r"--groups: .*absent\.csv is not there"):
        score(predictions, labels, groups=tmp_path / "absent.csv")


def test_a_case_without_a_judged_voxel_counts_in_no_mean(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, good=GOOD, blank=BLANK)

    summary = score(predictions, labels).summary

    assert summary["mean"]["dice"] == 1.0
    rows = _rows(predictions / "scores.csv")
    assert [(row["id"], row["dice"]) for row in rows] == [("good", "1"), ("blank", "")]
    assert (summary["cases"], summary["num_values"]["dice"]) == (2, 1)
    assert "mean of 1" in (predictions / "summary.md").read_text()


def test_the_mean_of_a_class_says_how_many_cases_hold_or_predict_it(tmp_path: Path) -> None:
    schema = LabelsConfig(classes={"air": 5, "one": 6, "two": 7})
    cases = {"a": ([5, 6, 7, 5], [5, 6, 6, 5]), "b": ([5, 6, 6, 5], [6, 6, 6, 5])}
    predictions, labels = _folders(tmp_path, **cases)

    summary = score(predictions, labels, schema=schema).summary

    counts = {name: part["num_values"]["dice"] for name, part in summary["classes"].items()}
    assert counts == {"one": 2, "two": 1}
    lines = (predictions / "summary.md").read_text().splitlines()
    cells = [line.split("|") for line in lines if "mean of" in line]
    assert [(row[1].strip(" *"), row[3].strip(" *")) for row in cells] == [
        ("mean of 2", "mean"),
        ("mean of 2", "one"),
        ("mean of 1", "two"),
    ]


def test_several_classes_are_scored_one_by_one(tmp_path: Path) -> None:
    schema = LabelsConfig(classes={"air": 5, "one": 6, "two": 7}, ignore=9)
    case = ([5, 6, 6, 7, 7, 7, 5, 5], [5, 6, 7, 7, 7, 9, 6, 5])
    predictions, labels = _folders(tmp_path, a=case)

    summary = score(predictions, labels, schema=schema).summary

    # class one: 1 hit, 2 predicted, 2 labelled; class two: 2 hits, 2 predicted, 3 labelled
    assert summary["classes"]["one"]["mean"]["dice"] == pytest.approx(2 / 4)
    assert summary["classes"]["two"]["mean"]["dice"] == pytest.approx(4 / 5)
    assert summary["mean"]["dice"] == pytest.approx((2 / 4 + 4 / 5) / 2)
    assert summary["labels"] == schema.model_dump(mode="json")


def test_formats_may_differ_between_prediction_and_label(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=POOR)
    mask = np.load(predictions / "a.npy")
    (predictions / "a.npy").unlink()
    nibabel.save(nibabel.Nifti1Image(mask.T, np.eye(4)), predictions / "a.nii.gz")

    assert score(predictions, labels).summary["mean"]["dice"] == pytest.approx(1 / 3)


def test_labels_without_a_prediction_are_not_counted(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=(None, POOR[1]))

    summary = score(predictions, labels).summary

    assert summary["num_cases"] == 1
    assert summary["num_labels_without_prediction"] == 1


def test_pairs_that_cannot_be_compared_are_all_named_and_the_rest_is_scored(
    tmp_path: Path,
) -> None:
    predictions, labels = _folders(
        tmp_path,
        good=GOOD,
        lonely=(GOOD[0], None),
        odd=([0, 1, 3, 0, 0, 0, 0, 0], GOOD[1]),
        shape=([0, 1, 0, 0], GOOD[1]),
        undecided=([2, 1, 0, 0, 2, 2, 0, 0], GOOD[1]),
    )
    np.save(predictions / "probs.npy", np.zeros((2, 2, 2, 2), dtype=np.uint8))
    np.save(labels / "probs.npy", np.zeros((2, 2, 2), dtype=np.uint8))

    scores = score(predictions, labels)

    faults = "\n".join(scores.faults)
    assert len(scores.faults) == 5
    assert scores.summary["faults"] == list(scores.faults)
    assert "lonely.npy: no label of this name in" in faults
    assert "odd.npy: label value 3 (12.50%" in faults
    assert "shape.npy: a prediction has its label's shape (2, 2, 2), found (2, 2, 1)" in faults
    assert "undecided.npy: a prediction names a class wherever the label does" in faults
    assert "probs.npy: classes are one channel, found 2" in faults
    assert [row["id"] for row in _rows(predictions / "scores.csv")] == ["good"]


def test_nothing_to_match_is_refused(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=(GOOD[0], None), b=(None, GOOD[1]))

    with pytest.raises(InputError, match=r"holds no label of the predictions' names, .* a\.npy"):
        score(predictions, labels)
    (predictions / "a.npy").unlink()
    with pytest.raises(InputError, match=r"--predictions: .* holds no volume"):
        score(predictions, labels)


def test_results_need_a_folder(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD)
    (tmp_path / "file").write_text("mine")

    with pytest.raises(InputError, match=r"--output: .*file is a file; name a folder"):
        score(predictions, labels, output=tmp_path / "file")


def test_two_predictions_of_one_name_are_refused(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD)
    (predictions / "a.tif").write_bytes(b"")

    with pytest.raises(InputError, match=r"has the same name; keep one of them"):
        score(predictions, labels)


def test_no_pair_left_means_no_scores(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=([3] * 8, GOOD[1]))

    with pytest.raises(InputErrors, match=r"a\.npy: label value 3"):
        score(predictions, labels)
    assert not (predictions / "scores.csv").exists()


def _images(tmp_path: Path, **shapes: tuple[int, int, int]) -> PictureSource:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, shape in shapes.items():
        np.save(folder / f"{name}.npy", np.zeros(shape))
    return PictureSource(folder, draw_title)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_each_case_is_drawn_by_the_callers_function(tmp_path: Path, workers: int) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=POOR)
    pictures = _images(tmp_path, a=(2, 2, 2), b_0000=(2, 2, 2))

    score(predictions, labels, pictures=pictures, output=tmp_path / "scores", workers=workers)

    assert (tmp_path / "scores/pictures/a.png").read_text() == "a: Dice 1.0000"
    assert (tmp_path / "scores/pictures/b.png").read_text() == "b: Dice 0.3333"


def test_images_that_do_not_fit_are_named_and_the_scores_stay(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=POOR)
    pictures = _images(tmp_path, a=(2, 2, 3))

    first, second = score(predictions, labels, pictures=pictures).faults

    assert "a.npy: an image has its label's shape (2, 2, 2), found (2, 2, 3)" in first
    assert second == f"--images: {pictures.images} holds no image of case b; add it"
    assert len(_rows(predictions / "scores.csv")) == 2


def test_pictures_beside_masks_are_not_taken_for_masks(tmp_path: Path) -> None:
    masks, labels = tmp_path / "masks", tmp_path / "labels"
    for folder in (masks, labels):
        write(folder / "a.png", np.ones((1, 2, 2), np.uint8))
    pictures = _images(tmp_path, a=(1, 2, 2))

    for _ in range(2):
        assert not score(masks, labels, pictures=pictures, overwrite=True).faults
    assert (masks / "pictures/a.png").read_text() == "a: Dice 1.0000"


def _sets(tmp_path: Path, num_cases: int) -> tuple[list[Path], Path]:
    """Two folders of predictions: the second misses one more voxel of every label."""
    labels = tmp_path / "labels"
    folders = [tmp_path / "one", tmp_path / "two"]
    for number in range(num_cases):
        label = np.zeros((4, 4, 4), dtype=np.uint8)
        label.flat[: 10 + number] = 1
        for folder, missed in zip((labels, *folders), (0, 1, 2), strict=True):
            folder.mkdir(exist_ok=True)
            mask = label.copy()
            mask.flat[:missed] = 0
            np.save(folder / f"case{number}.npy", mask)
    return folders, labels


def test_folders_are_compared_case_by_case_with_the_first(tmp_path: Path) -> None:
    folders, labels = _sets(tmp_path, 6)

    summary = score(folders, labels, measures=["voi"], output=tmp_path / "out").summary

    first, second = (summary["predictions"][name]["mean"]["dice"] for name in ("one", "two"))
    # missing m of n voxels: 2 (n - m) / (2 n - m)
    expected = [np.mean([2 * (n - m) / (2 * n - m) for n in range(10, 16)]) for m in (1, 2)]
    assert (first, second) == pytest.approx(tuple(expected))
    dice = next(
        row for row in _rows(tmp_path / "out" / "comparison.csv") if row["measure"] == "dice"
    )
    assert (dice["predictions"], dice["against"], dice["verdict"]) == ("two", "one", "worse")
    assert float(dice["difference"]) == pytest.approx(second - first, rel=1e-5)
    assert float(dice["p_value"]) == pytest.approx(2 / 2**6)
    assert float(dice["low"]) < second - first < float(dice["high"]) < 0
    assert {row["predictions"] for row in _rows(tmp_path / "out" / "scores.csv")} == {"one", "two"}
    text = (tmp_path / "out" / "summary.md").read_text()
    assert "Differences from one" in text
    assert "p = 0.031, n = 6" in text


def test_a_difference_over_few_cases_is_not_tested(tmp_path: Path) -> None:
    folders, labels = _sets(tmp_path, 3)
    (folders[1] / "case2.npy").unlink()

    summary = score(folders, labels, output=tmp_path / "out").summary

    dice = summary["comparisons"][0]
    assert (dice["measure"], dice["num_pairs"]) == ("dice", 2)
    assert np.isnan(dice["p_value"])
    assert dice["note"] == "too few for a test: 2 cases differ, it needs 6"
    assert summary["predictions"]["two"]["num_labels_without_prediction"] == 1


def test_means_come_with_an_interval(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=GOOD, c=GOOD)

    summary = score(predictions, labels).summary

    assert tuple(summary["interval"]["dice"]) == (1.0, 1.0)
    assert "95% from" in (predictions / "summary.md").read_text()


def test_the_leaderboard_score_orders_the_cases(tmp_path: Path) -> None:
    folders, labels = _sets(tmp_path, 2)

    measures = ["surface_dice@1", "betti"]
    scores = score(folders[1], labels, measures=measures, leaderboard="exact", workers=1)
    summary = scores.summary

    rows = _rows(folders[1] / "scores.csv")
    found = [float(row["leaderboard"]) for row in rows]
    assert found == sorted(found)
    assert {"surface_dice@1[voxel]", "components_error"} <= summary["mean"].keys()
    assert summary["measures"] == ("leaderboard:exact", "surface_dice@1", "betti")


def test_ignored_is_one_of_two_things(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD)

    assert score(predictions, labels, ignored_voxels="excluded").summary["ignored"] == "excluded"
    with pytest.raises(
        InputError, match=r"--ignored-voxels: must be background or excluded; found 'x'"
    ):
        score(predictions, labels, ignored_voxels="x")


def test_a_picture_that_is_there_is_not_drawn_again(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD)
    pictures = _images(tmp_path, a=(2, 2, 2))
    score(predictions, labels, pictures=pictures)
    picture = predictions / "pictures/a.png"

    picture.write_text("mine")
    score(predictions, labels, pictures=pictures)
    assert picture.read_text() == "mine"
    picture.unlink()
    score(predictions, labels, pictures=pictures)
    assert picture.read_text() == "a: Dice 1.0000"


def _save_nifti(path: Path, mask: np.ndarray, spacing: float, origin: float) -> None:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = origin
    nibabel.save(nibabel.Nifti1Image(mask.T, affine), path)


@pytest.mark.parametrize(
    ("spacing", "origin", "aspect"), [(2.0, 0.0, "spacing"), (1.0, 7.0, "origin")]
)
def test_a_prediction_on_another_grid_than_its_label_is_refused(
    tmp_path: Path, spacing: float, origin: float, aspect: str
) -> None:
    predictions, labels = tmp_path / "predictions", tmp_path / "labels"
    mask = np.ones((2, 2, 2), np.uint8)
    for folder in (predictions, labels):
        folder.mkdir()
        _save_nifti(folder / "a.nii.gz", mask, 1.0, 0.0)
    _save_nifti(labels / "b.nii.gz", mask, 1.0, 0.0)
    _save_nifti(predictions / "b.nii.gz", mask, spacing, origin)

    scores = score(predictions, labels)

    assert [case.id for case in scores.cases] == ["a"]
    (fault,) = scores.faults
    assert fault.startswith(f"{predictions / 'b.nii.gz'}: ")
    assert aspect in fault and str(labels / "b.nii.gz") in fault


def test_progress_counts_the_cases_without_a_record(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=POOR)
    calls: list[tuple[int, int]] = []

    first, again = (
        score_folders(
            [predictions],
            labels,
            tmp_path,
            ScoreOptions(LABELS),
            progress=lambda *c: calls.append(c),
        )
        for _ in range(2)
    )

    assert calls == [(1, 2), (2, 2)]
    assert (first.num_from_record, again.num_from_record) == (0, 2)


def test_overlap_scores_may_be_named_but_are_there_once(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD)

    assert score(predictions, labels, measures=["dice", "voi"]).summary["measures"] == ("voi",)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--predictions: needs a folder of masks, found none"):
        score_folders([], tmp_path / "labels", tmp_path / "out", ScoreOptions(LABELS))


def test_nothing_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD)

    score(predictions, labels)

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
