from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vesuv.cli.evaluate as verb
from vesuv.config import dump_config
from vesuv.errors import InputError, InputErrors
from vesuv.io.formats import Volume, write

WITH_HEADER = Volume(np.zeros((2, 2, 2)), (1.0, 1.0, 1.0), None, unit="µm")
# 8 voxels each: (prediction, label); 2 is ignored
GOOD = ([1, 1, 0, 0, 0, 1, 0, 0], [1, 1, 0, 0, 2, 2, 0, 0])
POOR = ([1, 1, 1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0, 2, 2])


def evaluate(predictions: tuple[Path, ...], labels: Path, **options: Any) -> dict[str, Any]:
    """Call the verb; return the summary that it wrote."""
    if not options.keys() & {"run", "config", "classes"}:
        options |= {"classes": ("background=0", "foreground=1"), "ignore": 2}
    verb.evaluate(predictions=predictions, labels=labels, **options)
    folder = options.get("output") or predictions[0]
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def _folders(tmp_path: Path, **cases) -> tuple[Path, Path]:
    predictions, labels = tmp_path / "predictions", tmp_path / "data" / "train_labels"
    for folder, part in ((predictions, 0), (labels, 1)):
        folder.mkdir(parents=True)
        for name, case in cases.items():
            if case[part] is not None:
                array = np.array(case[part], dtype=np.uint8).reshape(2, 2, -1)
                np.save(folder / f"{name}.npy", array)
    return predictions, labels


def test_cases_are_printed_worst_first_and_the_summary_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, labels = _folders(tmp_path, good=GOOD, poor=POOR)

    summary = evaluate((predictions,), labels)

    assert summary["mean"]["dice"] == pytest.approx((1 / 3 + 1) / 2)
    assert json.loads((predictions / "summary.json").read_text())["mean"] == summary["mean"]
    printed = capsys.readouterr().out
    assert printed.index("poor") < printed.index("good") < printed.index("mean of 2")
    assert f"written: {predictions / 'scores.csv'}, " in printed


def test_a_second_call_says_how_many_cases_were_scored_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=POOR)

    evaluate((predictions,), labels)
    assert "scored before" not in capsys.readouterr().out
    evaluate((predictions,), labels)

    assert "scored before: 2 cases" in capsys.readouterr().out


def test_label_values_come_from_the_run(make_run, tmp_path: Path) -> None:
    run = make_run(
        "run",
        labels__classes={"air": 5, "one": 6, "two": 7},
        labels__ignore=9,
        model__out_channels=3,
    )
    case = ([5, 6, 6, 7, 7, 7, 5, 5], [5, 6, 7, 7, 7, 9, 6, 5])
    predictions, labels = _folders(tmp_path, a=case)

    summary = evaluate((predictions,), labels, run=run.path)

    # class one: 1 hit, 2 predicted, 2 labelled; class two: 2 hits, 2 predicted, 3 labelled
    assert summary["classes"]["one"]["mean"]["dice"] == pytest.approx(2 / 4)
    assert summary["classes"]["two"]["mean"]["dice"] == pytest.approx(4 / 5)
    assert summary["mean"]["dice"] == pytest.approx((2 / 4 + 4 / 5) / 2)
    assert summary["labels"] == run.config.labels.model_dump(mode="json")


def test_label_values_come_from_one_place(make_run, tmp_path: Path) -> None:
    run = make_run("run")
    predictions, labels = _folders(tmp_path, a=GOOD)

    config = tmp_path / "config.yaml"
    config.write_text(dump_config(run.config))

    assert evaluate((predictions,), labels, config=config)["mean"]["dice"] == 1.0
    with pytest.raises(InputError, match=r"--run, --config: all name label values"):
        evaluate((predictions,), labels, run=run.path, config=config)


def test_labels_without_a_prediction_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=(None, POOR[1]))

    evaluate((predictions,), labels)

    assert "not counted, as without a prediction: 1 label\n" in capsys.readouterr().out


def test_pairs_that_cannot_be_compared_are_named_after_the_rest_is_written(tmp_path: Path) -> None:
    predictions, labels = _folders(
        tmp_path, good=GOOD, lonely=(GOOD[0], None), odd=([3] * 8, GOOD[1])
    )

    with pytest.raises(InputErrors) as caught:
        evaluate((predictions,), labels)

    first, second = caught.value.faults
    assert "lonely.npy: no label of this name in" in first
    assert "odd.npy: label value 3" in second
    assert (predictions / "scores.csv").read_text().count("\n") == 2


def test_a_long_table_is_cut_and_the_file_is_not(tmp_path: Path, capsys) -> None:
    predictions, labels = _folders(tmp_path, **{f"case{number:02d}": GOOD for number in range(43)})

    evaluate((predictions,), labels)

    printed = capsys.readouterr().out
    assert "3 better" in printed
    assert "case41" not in printed
    assert (predictions / "scores.csv").read_text().count("case") == 43


def test_each_case_is_drawn_beside_its_scores(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD, b=POOR)
    images = tmp_path / "images"
    images.mkdir()
    np.save(images / "a.npy", np.arange(8, dtype=np.float32).reshape(2, 2, 2))
    np.save(images / "b_0000.npy", np.arange(8, dtype=np.float32).reshape(2, 2, 2))

    evaluate((predictions,), labels, images=images, output=tmp_path / "scores")

    pictures = sorted((tmp_path / "scores/pictures").glob("*.png"))
    assert [path.name for path in pictures] == ["a.png", "b.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_a_required_dice_that_is_missed_fails_after_everything_is_written(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=POOR)

    assert evaluate((predictions,), labels, require_dice=0.3)["num_cases"] == 1
    with pytest.raises(InputError, match=r"--require-dice: .* at least 0\.8, found 0\.3333"):
        evaluate((predictions,), labels, require_dice=0.8)
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


def test_a_comparison_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders, labels = _sets(tmp_path, 6)

    evaluate(folders, labels, measures=["voi"], output=tmp_path / "out")

    assert "Differences from one" in capsys.readouterr().out
    assert (tmp_path / "out" / "comparison.csv").is_file()


def test_a_comparison_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders, labels = _sets(tmp_path, 1)

    with pytest.raises(InputError, match=r"--output: 2 folders of predictions need one"):
        evaluate(folders, labels)
    with pytest.raises(InputErrors, match=r"at least 0\.9, found 0\.8889 in two"):
        evaluate(folders, labels, output=tmp_path / "out", require_dice=0.9)


def _record(folder: Path, classes: dict[str, int], ignore: int | None) -> None:
    """Write what a prediction writes of its label values."""
    record = {"labels": {"classes": classes, "ignore": ignore}}
    (folder / "provenance.json").write_text(json.dumps(record))


def test_label_values_come_from_the_record_beside_the_predictions(tmp_path: Path) -> None:
    # class two is labelled and never predicted
    predictions, labels = _folders(tmp_path, a=([0, 1, 1, 1, 0, 0, 0, 0], [0, 1, 1, 2, 2, 0, 0, 0]))
    _record(predictions, {"background": 0, "one": 1, "two": 2}, None)

    verb.evaluate(predictions=(predictions,), labels=labels)

    summary = json.loads((predictions / "summary.json").read_text())
    assert summary["mean"]["dice"] == pytest.approx((2 * 2 / 5 + 0) / 2)
    assert summary["classes"]["two"]["mean"]["dice"] == 0.0


def test_label_values_are_never_guessed(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD)
    sentence = r"predictions has no provenance\.json that names label values; give --run, --config,"

    with pytest.raises(InputError, match=sentence):
        verb.evaluate(predictions=(predictions,), labels=labels)
    with pytest.raises(InputError, match="absent: no such folder"):
        verb.evaluate(predictions=(tmp_path / "absent",), labels=labels)
    (predictions / "provenance.json").write_text("{}")
    with pytest.raises(InputError, match=sentence):
        verb.evaluate(predictions=(predictions,), labels=labels)
    assert not (predictions / "scores.csv").exists()


def test_a_record_and_the_call_must_agree(make_run, tmp_path: Path) -> None:
    run = make_run("run")  # 0, 1, and 2 for ignored voxels
    predictions, labels = _folders(tmp_path, a=GOOD)
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(run.config))
    words = ("background=0", "sheet=1")
    _record(predictions, {"background": 0, "sheet": 1, "edge": 2}, None)

    for option, value in (("run", run.path), ("config", config), ("classes", words)):
        with pytest.raises(
            InputError, match=rf"^--{option}.*: must have the label values of .*provenance\.json"
        ):
            evaluate((predictions,), labels, **{option: value})
    _record(predictions, {"background": 0, "sheet": 1}, 2)
    assert evaluate((predictions,), labels, run=run.path)["mean"]["dice"] == 1.0


def test_records_of_several_folders_must_agree(tmp_path: Path) -> None:
    folders, labels = _sets(tmp_path, 1)
    for folder, ignore in zip(folders, (None, 2), strict=True):
        _record(folder, {"background": 0, "sheet": 1}, ignore)

    with pytest.raises(InputError, match=r"two/prov.*: must have the label values of .*one/prov"):
        verb.evaluate(predictions=tuple(folders), labels=labels, output=tmp_path / "out")
    (folders[1] / "provenance.json").unlink()
    with pytest.raises(InputError, match=r"two has no provenance\.json"):
        verb.evaluate(predictions=tuple(folders), labels=labels, output=tmp_path / "out")


def test_an_ignore_value_without_classes_is_refused(make_run, tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=GOOD)
    run = make_run("run")

    with pytest.raises(InputError, match=r"--ignore: belongs to --classes"):
        evaluate((predictions,), labels, run=run.path, ignore=2)


def test_several_classes_are_printed_one_by_one(tmp_path: Path, capsys) -> None:
    case = ([0, 6, 6, 7, 7, 7, 0, 0], [0, 6, 7, 7, 7, 9, 6, 0])
    predictions, labels = _folders(tmp_path, a=case)
    words = ("background=0", "bone=6", "vessel=7")

    evaluate((predictions,), labels, classes=words, ignore=9, measures=("hd95",))

    printed = capsys.readouterr().out
    assert "hd95[voxel]" in printed
    (bone,) = (line for line in printed.splitlines() if "bone" in line and " a " in line)
    assert "0.5000" in bone


def test_label_values_come_from_the_record_inside_a_prediction_in_zarr(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=(None, GOOD[1]), b=POOR)
    write(predictions / "a.zarr", np.array(GOOD[0], np.uint8).reshape(2, 2, -1), WITH_HEADER)
    _record(predictions / "a.zarr", {"background": 0, "sheet": 1}, 2)

    verb.evaluate(predictions=(predictions,), labels=labels)

    summary = json.loads((predictions / "summary.json").read_text())
    assert summary["mean"]["dice"] == pytest.approx((1 / 3 + 1) / 2)
    _record(predictions, {"background": 0, "sheet": 1}, None)
    with pytest.raises(InputError, match=r"a\.zarr/provenance\.json: must have the label values"):
        verb.evaluate(predictions=(predictions,), labels=labels)
    with pytest.raises(InputError, match=r"a\.zarr is one volume; name the folder that it lies"):
        verb.evaluate(predictions=(predictions / "a.zarr",), labels=labels)


def test_labels_inside_ome_zarr_images_are_found(tmp_path: Path) -> None:
    predictions, labels = _folders(tmp_path, a=(GOOD[0], None))
    label = np.array(GOOD[1], np.uint8).reshape(2, 2, -1)
    write(labels / "a.zarr", label * 100, WITH_HEADER)
    write(labels / "a.zarr/labels/sheets.zarr", label, WITH_HEADER)
    (labels / "a.zarr/labels/sheets.zarr").rename(labels / "a.zarr/labels/sheets")

    assert evaluate((predictions,), labels)["mean"]["dice"] == 1.0
    (labels / "a.zarr/labels/older").mkdir()
    (labels / "a.zarr/labels/older/zarr.json").write_text("{}")
    with pytest.raises(InputError, match=r"a\.zarr must hold one label, found older, sheets; copy"):
        evaluate((predictions,), labels, overwrite=True)
