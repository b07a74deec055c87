from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from vesuv.config.data import LabelsConfig
from vesuv.errors import InputError, InputErrors
from vesuv.evaluation.folders import ScoreOptions, evaluate

# 8 voxels each: (prediction, label); 2 is ignored
GOOD = ([1, 1, 0, 0, 0, 1, 0, 0], [1, 1, 0, 0, 2, 2, 0, 0])
POOR = ([1, 1, 1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0, 2, 2])
BLANK = ([0, 1, 0, 0, 0, 0, 0, 0], [2, 2, 2, 2, 2, 2, 2, 2])


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


def test_cases_are_scored_worst_first(tmp_path: Path, capsys) -> None:
    predictions, labels = _folders(tmp_path, good=GOOD, poor=POOR)

    summary = evaluate(predictions, labels)

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
    printed = capsys.readouterr().out
    assert printed.index("poor") < printed.index("good") < printed.index("mean of 2")


def test_groups_come_from_the_train_csv_beside_the_labels(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=POOR, c=GOOD, d=GOOD)
    (tmp_path / "data" / "train.csv").write_text("id,scroll_id\na,s1\nb,s2\nc,s2\nz,s9\n")

    summary = evaluate(predictions, labels, output=tmp_path / "scores")

    assert list(summary["groups"]) == ["s1", "s2"]
    assert summary["groups"]["s2"]["mean"]["dice"] == pytest.approx((1 / 3 + 1) / 2)
    assert summary["groups"]["s2"]["cases"] == 2
    groups = {row["id"]: row["group"] for row in _rows(tmp_path / "scores" / "scores.csv")}
    assert groups == {"a": "s1", "b": "s2", "c": "s2", "d": ""}


def test_groups_of_ones_own(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=POOR)
    (tmp_path / "own.csv").write_text("id,scroll_id\na,x\nb,y\n")

    summary = evaluate(predictions, labels, groups=tmp_path / "own.csv")

    assert list(summary["groups"]) == ["x", "y"]
    with pytest.raises(InputError, match=r"--groups: .*absent\.csv is not there"):
        evaluate(predictions, labels, groups=tmp_path / "absent.csv")


def test_a_case_without_a_judged_voxel_counts_in_no_mean(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, good=GOOD, blank=BLANK)

    summary = evaluate(predictions, labels)

    assert summary["mean"]["dice"] == 1.0
    rows = _rows(predictions / "scores.csv")
    assert [(row["id"], row["dice"]) for row in rows] == [("good", "1"), ("blank", "")]


def test_label_values_come_from_the_run(make_run, tmp_path: Path) -> None:
    run = make_run(
        "run",
        labels__classes={"air": 5, "one": 6, "two": 7},
        labels__ignore=9,
        model__out_channels=3,
    )
    case = ([5, 6, 6, 7, 7, 7, 5, 5], [5, 6, 7, 7, 7, 9, 6, 5])
    predictions, labels = _folders(tmp_path, a=case)

    summary = evaluate(predictions, labels, run=run.path)

    # class one: 1 hit, 2 predicted, 2 labelled; class two: 2 hits, 2 predicted, 3 labelled
    assert summary["classes"]["one"]["mean"]["dice"] == pytest.approx(2 / 4)
    assert summary["classes"]["two"]["mean"]["dice"] == pytest.approx(4 / 5)
    assert summary["mean"]["dice"] == pytest.approx((2 / 4 + 4 / 5) / 2)
    assert summary["labels"] == LabelsConfig(
        classes={"air": 5, "one": 6, "two": 7}, ignore=9
    ).model_dump(mode="json")


def test_label_values_come_from_one_place(make_run, tmp_path: Path) -> None:
    run = make_run("run")
    predictions, labels = _folders(tmp_path, a=GOOD)

    assert evaluate(predictions, labels, config=run.config)["mean"]["dice"] == 1.0
    with pytest.raises(InputError, match=r"--run, --config: both name label values"):
        evaluate(predictions, labels, run=run.path, config=run.config)


def test_formats_may_differ_between_prediction_and_label(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=POOR)
    mask = np.load(predictions / "a.npy")
    (predictions / "a.npy").unlink()
    nibabel.save(nibabel.Nifti1Image(mask.T, np.eye(4)), predictions / "a.nii.gz")

    assert evaluate(predictions, labels)["mean"]["dice"] == pytest.approx(1 / 3)


def test_labels_without_a_prediction_are_told_and_not_counted(tmp_path: Path, capsys) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=(None, POOR[1]))

    summary = evaluate(predictions, labels)

    assert summary["num_cases"] == 1
    assert summary["num_labels_without_prediction"] == 1
    assert "1 labels without a prediction are not counted" in capsys.readouterr().out


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

    with pytest.raises(InputErrors) as caught:
        evaluate(predictions, labels)

    faults = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 5
    assert "lonely.npy: no label of this name in" in faults
    assert "odd.npy: label value 3 (12.50%" in faults
    assert "shape.npy: a prediction has its label's shape (2, 2, 2), found (2, 2, 1)" in faults
    assert "undecided.npy: a prediction names a class wherever the label does" in faults
    assert "probs.npy: classes are one channel, found 2" in faults
    assert [row["id"] for row in _rows(predictions / "scores.csv")] == ["good"]


def test_nothing_to_match_is_refused(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=(GOOD[0], None), b=(None, GOOD[1]))

    with pytest.raises(InputError, match=r"holds no label of the predictions' names, .* a\.npy"):
        evaluate(predictions, labels)
    (predictions / "a.npy").unlink()
    with pytest.raises(InputError, match=r"--predictions: .* holds no volume"):
        evaluate(predictions, labels)


def test_two_predictions_of_one_name_are_refused(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD)
    (predictions / "a.tif").write_bytes(b"")

    with pytest.raises(InputError, match=r"has the same name; keep one of them"):
        evaluate(predictions, labels)


def test_no_pair_left_means_no_scores(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=([3] * 8, GOOD[1]))

    with pytest.raises(InputErrors, match=r"a\.npy: label value 3"):
        evaluate(predictions, labels)
    assert not (predictions / "scores.csv").exists()


def test_a_long_table_is_cut_and_the_file_is_not(tmp_path: Path, capsys) -> None:
    predictions, labels = _folders(tmp_path, **{f"case{number:02d}": GOOD for number in range(43)})

    evaluate(predictions, labels)

    printed = capsys.readouterr().out
    assert "3 better" in printed
    assert "case41" not in printed
    assert len(_rows(predictions / "scores.csv")) == 43


def test_each_case_is_drawn_beside_its_scores(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=POOR)
    images = tmp_path / "images"
    images.mkdir()
    np.save(images / "a.npy", np.arange(8, dtype=np.float32).reshape(2, 2, 2))
    np.save(images / "b_0000.npy", np.arange(8, dtype=np.float32).reshape(2, 2, 2))

    evaluate(predictions, labels, images=images, output=tmp_path / "scores")

    pictures = sorted((tmp_path / "scores").glob("*.png"))
    assert [path.name for path in pictures] == ["a.png", "b.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_images_that_do_not_fit_are_named_and_the_scores_stay(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=POOR)
    images = tmp_path / "images"
    images.mkdir()
    np.save(images / "a.npy", np.zeros((2, 2, 3)))

    with pytest.raises(InputErrors) as caught:
        evaluate(predictions, labels, images=images)

    first, second = caught.value.faults
    assert "a.npy: an image has its label's shape (2, 2, 2), found (2, 2, 3)" in first
    assert second == f"--images: {images} holds no image of case b; add it"
    assert len(_rows(predictions / "scores.csv")) == 2


def test_a_required_dice_that_is_missed_fails_after_everything_is_written(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=POOR)

    assert evaluate(predictions, labels, require_dice=0.3)["num_cases"] == 1
    with pytest.raises(InputError, match=r"--require-dice: .* at least 0\.8, found 0\.3333"):
        evaluate(predictions, labels, require_dice=0.8)
    assert (predictions / "summary.json").is_file()


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


def test_folders_are_compared_case_by_case_with_the_first(tmp_path: Path, capsys) -> None:
    folders, labels = _sets(tmp_path, 6)

    summary = evaluate(folders, labels, ScoreOptions(["voi"]), output=tmp_path / "out")

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
    assert "Differences from one" in capsys.readouterr().out


def test_a_difference_over_few_cases_is_not_tested(tmp_path: Path) -> None:
    folders, labels = _sets(tmp_path, 3)
    (folders[1] / "case2.npy").unlink()

    summary = evaluate(folders, labels, output=tmp_path / "out")

    dice = summary["comparisons"][0]
    assert (dice["measure"], dice["num_pairs"]) == ("dice", 2)
    assert np.isnan(dice["p_value"])
    assert dice["note"] == "too few for a test: 2 cases differ, it needs 6"
    assert summary["predictions"]["two"]["num_labels_without_prediction"] == 1


def test_a_comparison_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders, labels = _sets(tmp_path, 1)

    with pytest.raises(InputError, match=r"--output: 2 folders of predictions need one"):
        evaluate(folders, labels)
    with pytest.raises(InputErrors, match=r"at least 0\.9, found 0\.8889 in two"):
        evaluate(folders, labels, output=tmp_path / "out", require_dice=0.9)


def test_means_come_with_an_interval(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=GOOD, c=GOOD)

    summary = evaluate(predictions, labels)

    assert tuple(summary["interval"]["dice"]) == (1.0, 1.0)
    assert "95% from" in (predictions / "summary.md").read_text()


def test_the_leaderboard_score_orders_the_cases(tmp_path: Path) -> None:
    folders, labels = _sets(tmp_path, 2)
    options = ScoreOptions(["surface_dice@1", "betti"], leaderboard="exact", workers=1)

    summary = evaluate(folders[1], labels, options)

    rows = _rows(folders[1] / "scores.csv")
    found = [float(row["leaderboard"]) for row in rows]
    assert found == sorted(found)
    assert {"surface_dice@1", "components_error"} <= summary["mean"].keys()
    assert summary["measures"] == ("leaderboard:exact", "surface_dice@1", "betti")


def test_ignored_is_one_of_two_things(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD)

    assert evaluate(predictions, labels, ScoreOptions(ignored="excluded"))["ignored"] == "excluded"
    with pytest.raises(InputError, match=r"--ignored: must be background or excluded; found 'x'"):
        evaluate(predictions, labels, ScoreOptions(ignored="x"))


def test_a_picture_that_is_there_is_not_drawn_again(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD)
    images = tmp_path / "images"
    images.mkdir()
    np.save(images / "a.npy", np.zeros((2, 2, 2)))
    evaluate(predictions, labels, images=images)
    picture = predictions / "a.png"

    picture.write_bytes(b"mine")
    evaluate(predictions, labels, images=images)
    assert picture.read_bytes() == b"mine"
    picture.unlink()
    evaluate(predictions, labels, images=images)
    assert picture.read_bytes().startswith(b"\x89PNG")
