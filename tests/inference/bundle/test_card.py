"""The model card says what is known, and says so where something is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vesuv.inference.bundle import model_card, training_facts
from vesuv.inference.bundle.facts import HonestEstimate, SelectionScores, TrainingFacts
from vesuv.inference.members import Member, open_members
from vesuv.runs.folder import RunFolder
from vesuv.transforms.normalize import Normalizer

RANGE = Normalizer(name="range", low=(50.0,), high=(180.0,), shift=(115.0,), scale=(65.0,))
IMAGES = {
    "spacing": {"low": [8, 8, 8], "median": [10, 8, 8], "high": [12, 8, 8]},
    "unit": "nm",
    "channels": [{"normalised": [-2, 2], "width": [120, 130], "minimum": [3, 7]}],
}
HONEST = {
    "left_out": "fold",
    "dice": 0.81,
    "rounds": [{"left_out": "0", "dice": 0.8}, {"left_out": "1", "dice": 0.82}],
}
SELECTED = {"dice": 0.9, "honest": HONEST}


def _select(run: RunFolder, **more: object) -> None:
    content = {"version": 1, "checkpoint": "best", "threshold": 0.45, **more}
    (run.path / "selected.json").write_text(json.dumps(content))


def _members(*runs: RunFolder) -> list[Member]:
    return open_members([run.path for run in runs])


def _facts(cases: list[str], fingerprint: str = "x", store: Path | None = None) -> dict[str, Any]:
    return {
        "train_cases": cases,
        "data_fingerprint": fingerprint,
        "store": None if store is None else str(store),
    }


def _section(card: str, title: str) -> str:
    return card.split(f"## {title}\n\n")[1].split("\n\n##")[0]


def test_training_cases_of_all_folds_are_counted_once(make_run) -> None:
    folds = [
        make_run("a", facts=_facts(["1", "2"])),
        make_run("b", facts=_facts(["2", "3"])),
        make_run("c", facts=_facts(["2"], fingerprint="other data")),
    ]

    assert training_facts(_members(*folds[:2])).num_cases == 3
    assert training_facts(_members(*folds)).num_cases == 4
    unknown = make_run("d")
    assert training_facts(_members(unknown)) == TrainingFacts()
    assert training_facts(_members(folds[0], unknown)).num_cases is None


def test_shapes_are_those_of_the_store_while_it_is_there(trained_run: RunFolder) -> None:
    members = _members(trained_run)

    facts = training_facts(members)

    assert (facts.num_cases, facts.shapes) == (2, ((32, 32, 32),) * 2)
    text = model_card(members, facts)
    assert "- Cases: 2\n- Shape of a case in voxels (z, y, x): 32 × 32 × 32\n" in text
    two = replace(facts, shapes=((32, 32, 32), (16, 64, 32)))
    assert "(z, y, x): 16 × 32 × 32 to 32 × 64 × 32\n" in model_card(members, two)


def test_scores_are_the_honest_ones_of_the_selection(make_run) -> None:
    folds = [make_run("a"), make_run("b")]
    for run in folds:
        _select(run, **SELECTED)

    facts = training_facts(_members(*folds))

    assert facts.scores == (
        SelectionScores(dice=0.9, honest=HonestEstimate.model_validate(HONEST)),
    )
    assert _section(model_card(_members(*folds), facts), "Scores") == (
        "- Dice 0.8100 (of the 2 parts 0.8000 to 0.8200): mean over held-out cases; the settings "
        "were chosen without the fold that they were measured on\n\n"
        "Each held-out case was predicted by the networks that did not train on it."
    )


def test_scores_of_networks_that_were_selected_apart_are_not_those_of_their_mean(make_run) -> None:
    runs = [make_run("a"), make_run("b")]
    _select(runs[0], **SELECTED)
    _select(runs[1], dice=0.7)

    card = model_card(_members(*runs), training_facts(_members(*runs)))

    lines = _section(card, "Scores").splitlines()
    assert lines[0] == "Of the networks one by one, not of their mean, which is not measured:"
    assert lines[2].startswith("- Dice 0.8100 (of the 2 parts")
    assert lines[3] == (
        "- Dice on cases that were not chosen on: not measured; on the held-out cases that the "
        "settings were chosen on: 0.7000, which is too high"
    )


def test_scores_that_do_not_tell_of_these_weights_are_left_out(make_run) -> None:
    run, other = make_run("a"), make_run("b")
    _select(run, checkpoint_sha256="0" * 64, **SELECTED)
    outdated = _members(run)
    assert training_facts(outdated).scores == ()
    assert _section(model_card(outdated, training_facts(outdated)), "Scores") == "Not measured."
    _select(run, **SELECTED)
    assert len(training_facts(_members(run)).scores) == 1
    assert training_facts(_members(run, other)).scores == ()  # nothing was selected for it


def test_scores_of_a_best_json_are_those_of_the_ensemble(make_run, tmp_path: Path) -> None:
    run = make_run("a")
    _select(run, dice=0.5)
    (tmp_path / "best.json").write_text(json.dumps(SELECTED))

    (scores,) = training_facts(_members(run), tmp_path / "best.json").scores

    assert scores.dice == 0.9


def test_images_settings_and_licence_are_stated(make_run) -> None:
    run = make_run("a", facts={"training_images": IMAGES}, normalizer=RANGE)
    steps = [{"name": "remove_small", "voxels": 30}]
    _select(run, postprocess=steps, calibration={"temperature": 1.25})

    card = model_card(_members(run), licence="CC BY 4.0 <http://x>")

    assert "| background | 0 |\n| sheet | 1 |" in card
    assert "- Spacing of the files (z, y, x): 10 × 8 × 8 nm, from 8 × 8 × 8 to 12 × 8 × 8\n" in card
    assert "smallest value of a case is 3 to 7; 99 % of a case's voxels span 120 to 130" in card
    assert "| a_best.safetensors | plain_unet | 16 × 16 × 16 | 3 | 1 |" in card
    assert "- Normalisation: clip to 50 to 180, subtract 115, divide by 65\n" in card
    assert "- Mask of sheet: threshold 0.45, remove small 30 voxels\n" in card
    assert "- Temperature of calibrated probabilities: 1.25\n" in card
    assert "- Predictions warn where the spacing differs more than 1.5 times" in card
    assert _section(card, "Licence") == r"CC BY 4.0 \<http://x>"


def test_what_is_not_known_is_said(make_run) -> None:
    card = model_card(_members(make_run("a")))

    assert "- Cases: not recorded\n" in card
    assert "- Spacing of the files (z, y, x): not recorded\n" in card
    unstated = make_run("b", facts={"training_images": {**IMAGES, "spacing": None}})
    card_of_unstated = model_card(_members(unstated), onnx=True)
    assert "- Spacing of the files (z, y, x): not stated in the files\n" in card_of_unstated
    assert "They compute in float32" in card_of_unstated and "float32" not in card
    assert "- Intensities of the files: not recorded" in card
    assert "- Normalisation: subtract the mean of the image, divide by the deviation of" in card
    assert "The training images are not recorded, so predictions give no warning" in card
    assert _section(card, "Licence") == "The author states none."
    assert _section(card, "Scores") == "Not measured."


@pytest.mark.parametrize("outputs", [2, 3])
def test_regions_and_several_classes_are_named(make_run, outputs: int) -> None:
    regions = {"labels__regions": {"both": ["a", "b"], "b": ["b"]}} if outputs == 2 else {}
    run = make_run(
        "r", labels__classes={"air": 0, "a": 1, "b": [3, 4]}, model__out_channels=outputs, **regions
    )

    card = model_card(_members(run))

    assert "| air | 0 |\n| a | 1 |\n| b | 3 |" in card
    named = "The networks predict regions, which may overlap: both (a, b); b (b)." in card
    assert named == (outputs == 2)
    expected = "- Mask of both: threshold 0.5\n" if outputs == 2 else "- Mask of a: the likeliest"
    assert expected in card
