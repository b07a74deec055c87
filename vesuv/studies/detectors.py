"""Studies of detectors of curves (`task: curves`): what differs from those of segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vesuv.config import Config, load_config
from vesuv.config.load import is_of_curves
from vesuv.curves.config import CurvesConfig, load_curves_config
from vesuv.curves.train import fold_logs
from vesuv.curves.validation import MEASURE
from vesuv.errors import InputError
from vesuv.evaluation.measure import Column
from vesuv.runs.history import Metrics
from vesuv.studies.study_file import Study
from vesuv.training.run_length import num_epochs

StudyConfig = Config | CurvesConfig
"""Configuration of an arm: its type says what is trained."""

_VALIDATION = "val/"
_FIT = f"train/{MEASURE}"
COLUMNS: Mapping[str, Column] = {
    column.name: column
    for column in (
        Column("f1@2", "higher", headline=True),
        Column("f1@1", "higher", headline=True),
        Column("f1_all@2", "higher", headline=True),
        Column("precision@2", "higher", headline=True),
        Column("recall@2", "higher", headline=True),
        Column("dip_within_3", "higher", headline=True),
        Column("azimuth_within_15", "higher", headline=True),
        Column("false_per_strip", "lower", headline=True),
        Column("best_threshold", headline=True),
        Column(MEASURE, "higher", headline=True),
        Column(_FIT, "higher", headline=True),
        Column("precision@1", "higher"),
        Column("recall@1", "higher"),
        Column("f1_all@1", "higher"),
    )
}
"""Scores of a detector in the order of tables; the first one is compared first."""
JUDGED = "logs of the validation wells"
"""What validation curves are measured on."""
EACH_RUN = "Each run, all picks of its validation wells together"
SENTENCES = (
    "Scores are those of all picks on whole logs of the validation wells together, kind right, at "
    "picking.threshold, checkpoint {checkpoints}, in the last epoch.",
    f"{MEASURE}: F1 at the threshold that is best on these wells, which is slightly too high; "
    f"{_FIT}: the same on the training wells; ↓: lower is better.",
)


def load_study_config(base: Path, changes: Sequence[str]) -> StudyConfig:
    """Read the configuration of an arm, of the kind that its base has.

    Raises:
        InputError: The file or a change is wrong.
    """
    if is_of_curves(base):
        return load_curves_config(base, changes)
    return load_config(base, changes)


def study_faults(study: Study) -> list[str]:
    """Return a sentence for each setting of a study that detectors of curves do not have."""
    settings, faults = study.settings, []
    if settings.budget.steps is None:
        faults.append(
            "budget: of detectors of curves is in steps, found minutes; give budget.steps"
        )
    if settings.held_out is not None:
        faults.append("held_out: is for volumes, and the base is of curves; leave it out")
    if "measures" in settings.score.model_fields_set:
        faults.append(
            "score.measures: are those of volumes, and the base is of curves, whose scores are all "
            "reported; leave it out"
        )
    return [f"{study.path}: study.{fault}" for fault in faults]


def validated_checkpoint(config: CurvesConfig, name: str) -> str:
    """Return the name of the weights that the last validation scores.

    Raises:
        InputError: The study asks for others.
    """
    validated = "last" if config.averaging.ema is None else "ema"
    if name not in ("auto", validated):
        raise InputError(
            f"study.score.checkpoint: must be auto, or {validated}, which validation scores, found "
            f"{name}"
        )
    return validated


def check_logs(study: Study, config: CurvesConfig) -> None:
    """Read the logs, and check the folds.

    Raises:
        InputError: The logs cannot be read, or have no such fold.
    """
    for fold in study.settings.folds:
        if fold >= config.logs.folds:
            raise InputError(
                f"{study.path}: study.folds: the logs have folds 0 to {config.logs.folds - 1}, "
                f"found {fold}; leave it out"
            )
        fold_logs(config, fold)


def length_changes(config: CurvesConfig, num_steps: int) -> list[str]:
    """Return the changes that make a run of (almost) this many steps.

    Warm-up and the epochs between validations keep their share of the run.
    """
    epochs = num_epochs(config.train.steps_per_epoch, num_steps)
    scale = epochs / config.train.epochs
    warmup = config.scheduler.warmup_epochs
    return [
        f"train.epochs={epochs}",
        f"train.steps_per_epoch={num_steps // epochs}",
        f"train.validate_every={max(1, round(config.train.validate_every * scale))}",
        f"scheduler.warmup_epochs={max(1, round(warmup * scale)) if warmup else 0}",
    ]


def last_scores(metrics: Metrics) -> dict[str, float]:
    """Return the scores of the last validation, those of `COLUMNS` first."""
    row = metrics.rows[-1]
    scores = {
        name.removeprefix(_VALIDATION): value
        for name, value in row.items()
        if name.startswith(_VALIDATION) or name == _FIT
    }
    return {name: scores[name] for name in (*COLUMNS, *scores) if name in scores}
