"""The page of a run with several foreground classes."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from tests.report.conftest import NOW, MakeRun, section, words, write_slices
from vesuv.report.page import write_page
from vesuv.report.pictures import class_colours, read_slices

NAMES = np.array(["background", "sheet", "<b>", "ink"])
DICE = {"sheet": 0.9, "<b>": 0.25}
"""Last Dice of the classes that are there; ink is neither labelled nor predicted."""
# Columns 0 to 5: right, background as sheet, sheet as background, sheet as <b>, right, ignored.
LABEL = np.array([[[1, 0, 1, 1, 2, 255]]], np.uint8)
PREDICTED = np.array([[[1, 1, 0, 2, 2, 1]]], np.uint8)


@pytest.fixture
def run(make_run: MakeRun) -> Path:
    """A run with the classes of `NAMES`."""
    folder = make_run(2)
    config = (folder / "config.yaml").read_text()
    config = config.replace("surface: 1}", "sheet: 1, '<b>': 3, ink: 4}")
    (folder / "config.yaml").write_text(config + "model: {out_channels: 4}\n")
    write_rows(folder / "metrics.csv")
    write_slices(
        folder,
        image=np.zeros((1, 1, 6), np.uint8),
        label=np.zeros((1, 1, 6), np.uint8),
        probability=np.full((1, 1, 6), 255, np.uint8),
        label_classes=LABEL,
        predicted_classes=PREDICTED,
        class_names=NAMES,
    )
    return folder


def write_rows(path: Path) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for epoch, row in enumerate(rows):
        for name in NAMES[1:]:
            scores = {score: DICE.get(name) for score in ("dice", "precision", "recall")}
            fractions = dict.fromkeys(("predicted_fraction", "labelled_fraction"), 0.125)
            for score, value in {**scores, **fractions}.items():
                row[f"val/{score}[{name}]"] = "" if value is None else str(value)
        if epoch:
            row["val/full_dice"] = "0.5"
            row["val/full_dice[sheet]"] = "0.75"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows)


def test_each_class_has_a_row_and_lines(run: Path) -> None:
    text = words(section(run, "classes"))

    assert "Validation tiles at the best epoch, 1; whole volumes at epoch 1." in text
    assert "sheet 0.9000 0.9000 0.9000 12.5 % 12.5 % 0.7500" in text
    assert "<b> 0.2500 0.2500 0.2500 12.5 % 12.5 % –" in text
    assert "ink – not there – – 12.5 % 12.5 % –" in text
    assert "Dice by class epoch 1 Of the validation tiles. sheet 0.9000 <b> 0.2500 " in text
    assert "Dice by class, whole volumes epoch 1" in text
    assert "sheet, predicted 12.5 % sheet, labelled 12.5 %" in text
    assert "<td>&lt;b&gt;</td>" in section(run, "classes")


def test_two_classes_have_no_such_section_and_no_means(make_run: MakeRun) -> None:
    run = make_run()

    assert section(run, "classes") == ""
    page = words(write_page(run, now=NOW).read_text(encoding="utf-8"))
    assert not re.search(r"any class|mean dice|wrong class", page, re.IGNORECASE)


def test_scores_are_called_means_and_foreground_any_class(run: Path) -> None:
    page = words(write_page(run, now=NOW).read_text(encoding="utf-8"))

    for phrase in (
        "best mean dice",
        "mean precision",
        "Measure: mean dice",
        "Any class: predicted against labelled",
        "Predicted probability of any class against background",
        "labelled as any class",
        "Fraction of any class by tile",
        "Group Tiles Mean Dice",
        "Post-processing Mean Dice",
    ):
        assert phrase in page, phrase
    assert "Foreground" not in page


def test_another_foreground_class_is_an_error_with_a_colour_of_its_own(run: Path) -> None:
    (slice_,) = read_slices(run / "slices.npz")

    assert {name: np.flatnonzero(mask).tolist() for name, mask in slice_.errors.items()} == {
        "true_positive": [0, 4],
        "false_positive": [1],
        "false_negative": [2],
        "wrong_class": [3],
    }
    text = words(section(run, "slices"))
    # sheet: 1 of 2 predicted and 3 labelled; <b>: 1 of 2 predicted and 1 labelled
    assert (
        "mean Dice 0.533 (sheet 0.400, <b> 0.667): 2 true positive, 1 false positive, "
        "1 false negative, 1 wrong class voxels; 83.3 % of the slice is valid"
    ) in text
    assert "another foreground class (wrong class)" in text


def test_label_and_prediction_are_coloured_by_class_with_a_legend(run: Path) -> None:
    page = section(run, "slices")

    legend = re.findall(r'background:(#\w{6})"></i>(\S+)</li>', page)
    assert [name for _, name in legend[:4]] == ["background", "sheet", "&lt;b&gt;", "ink"]
    assert [colour for colour, _ in legend[1:4]] == class_colours(3)
    assert re.findall(r"<span>(.*?)</span>", page) == [
        "image", "label", "prediction", "any class", "errors",
    ]  # fmt: skip
    assert len(set(class_colours(18))) == 18


@pytest.mark.parametrize(
    "change",
    [
        {"class_names": np.array(["background", "sheet", "<b>"])[:2]},
        {"label_classes": LABEL.astype(np.float32)},
        {"predicted_classes": PREDICTED[:, :, :3]},
        {"predicted_classes": PREDICTED + 7},
    ],
)
def test_class_indices_that_cannot_be_shown_leave_any_class(
    run: Path, change: dict[str, object]
) -> None:
    shape = (1, 1, 6)
    stored = {"label_classes": LABEL, "predicted_classes": PREDICTED, "class_names": NAMES}
    pictures = dict.fromkeys(("image", "label", "probability"), np.full(shape, 255, np.uint8))
    write_slices(run, **{**pictures, **stored, **change})

    text = words(section(run, "slices"))

    assert "any class against background, from probability 0.5 on" in text
    assert "overlap of any class 1.000: 6 true positive" in text
    assert "Dice" not in text


def test_overlapping_regions_are_named_as_regions(make_run: MakeRun) -> None:
    run = make_run(2)
    config = (run / "config.yaml").read_text()
    regions = "surface: 1, core: 3}, regions: {whole: [surface, core], inner: [core]}"
    config = config.replace("surface: 1}", regions)
    (run / "config.yaml").write_text(config + "model: {out_channels: 2}\n")
    rows = "epoch,val/dice,val/labelled_fraction[whole],val/dice[whole],val/dice[inner]\n"
    (run / "metrics.csv").write_text(f"{rows}0,0.6,0.1,0.8,0.4\n")

    page, curves = section(run, "classes"), words(section(run, "curves"))

    assert "<h2>Regions</h2>" in page and "Dice by region" in page
    assert re.search(r'<td>whole</td>\s*<td class="n">0\.8000</td>', page)
    assert "Measures are means over the foreground regions that are labelled" in curves
    assert "Measure: mean dice" in curves
