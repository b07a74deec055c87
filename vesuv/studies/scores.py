"""Scores of a run: its validation cases, a selected threshold, and further cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vesuv.config.labels import LabelsConfig
from vesuv.data.labels import encode
from vesuv.errors import InputError
from vesuv.evaluation.class_scores import Row, score_row
from vesuv.evaluation.classes import Classes
from vesuv.evaluation.pairs import CaseFiles, find_pairs
from vesuv.evaluation.units import VOXEL
from vesuv.inference.chosen_mask import configured_mask_settings
from vesuv.inference.domain_shift import InputGrid
from vesuv.inference.members import open_member
from vesuv.inference.predictor import Predictor
from vesuv.io.formats import read
from vesuv.io.tables import mean
from vesuv.runs.folder import RunFolder
from vesuv.selection.held_out import HeldOutRun, open_held_out, predict_held_out
from vesuv.selection.summary import nested_estimate
from vesuv.selection.validation import validate_distribution
from vesuv.studies.records import Job
from vesuv.types import no_shown_progress, silent

HELD_OUT = "held_out/"
"""Prefix of columns of cases that no run trains on."""
SELECTED = "selected/"
"""Prefix of columns of masks with a selected threshold."""


def score_run(job: Job) -> tuple[Row, dict[str, Row]]:
    """Score a trained run with the threshold of its configuration.

    Where arms read labels differently, its validation cases are not scored: they are labelled as
    this arm reads them.

    Returns:
        Column -> mean over the cases, and the scores of each case.
    """
    (one,) = open_held_out([job.run])
    predictor = predictor_of(one.run, job.checkpoint)
    cases: dict[str, Row] = {}
    scores: Row = {}
    if job.labels is None:
        cases = _score_validation_cases(job, one, predictor)
        scores = _means(cases)
        if job.selection and len(one.cases) > 1:
            scores |= _score_selection(job)
    if job.held_out is not None:
        labels = job.labels or predictor.config.labels
        held_out = {
            f"{HELD_OUT}{files.id}": score_files(files, predictor, labels, job.measures)
            for files in _files(*job.held_out)
        }
        scores |= {f"{HELD_OUT}{column}": value for column, value in _means(held_out).items()}
        cases |= held_out
    return scores, cases


def predictor_of(run: RunFolder, checkpoint: str) -> Predictor:
    """Return what `predict` predicts with, and the threshold of the configuration."""
    member = open_member(run, checkpoint, None)
    return Predictor.of_members([member], configured_mask_settings(member.config))


def _score_validation_cases(job: Job, one: HeldOutRun, predictor: Predictor) -> dict[str, Row]:
    (predictions,), _ = predict_held_out([one], [job.checkpoint], silent, no_shown_progress)
    rows = {}
    for case in one.cases:
        mask = predictor.classes(predictions.probs(case), case.native_spacing)
        label = np.array(case.native_label)  # the stored one is read-only
        classes = Classes(mask, label, case.native_spacing, VOXEL, predictor.targets)
        rows[case.id] = score_row(classes, job.measures)
    return rows


def _score_selection(job: Job) -> Row:
    """Select the threshold without each part of the cases, and score that part."""
    validation = validate_distribution([job.run], checkpoints=[job.checkpoint])
    result = validation.result
    estimate = nested_estimate(result.nested, result.problem.part_kind)
    if estimate is None:
        return {}
    return {f"{SELECTED}dice": estimate["dice"], f"{SELECTED}fraction_error": estimate["gap"]}


def _files(images: Path, labels: Path) -> list[CaseFiles]:
    pairs, faults = find_pairs(images, labels)
    if faults:
        raise InputError(f"study.held_out: {faults[0]}")
    return pairs


def score_files(
    files: CaseFiles, predictor: Predictor, labels: LabelsConfig, measures: Sequence[str]
) -> Row:
    """Predict an image as `predict` does, and score it against its label's file."""
    image, label = read(files.prediction), read(files.label)
    grid = InputGrid(image.spacing, image.unit, image.direction)
    probs = predictor.predict_on_grid(image.channels, grid).probs
    mask = predictor.classes(probs, predictor.spacing_of(grid))
    labelled = encode(label.channels[0], labels)
    if labelled.shape != mask.shape:
        raise InputError(
            f"{files.label}: a label has the shape of its image {mask.shape}, found "
            f"{labelled.shape}; replace it"
        )
    classes = Classes(mask, labelled, image.spacing, VOXEL, predictor.targets)
    return score_row(classes, measures)


def _means(cases: Mapping[str, Row]) -> Row:
    columns = dict.fromkeys(column for row in cases.values() for column in row)
    return {column: mean([row[column] for row in cases.values()]) for column in columns}
