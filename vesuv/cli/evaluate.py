"""vesuv evaluate: predictions against labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from vesuv.cli.console import console
from vesuv.cli.instance_scores import evaluate_instances
from vesuv.cli.options import DryRun, Switch, named_labels, several
from vesuv.cli.progress import shown_progress
from vesuv.cli.tables import rich_table
from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError, InputErrors
from vesuv.evaluation.folders import (
    FolderScores,
    ScoreOptions,
    planned_cases,
    score_folders,
    write_scores,
)
from vesuv.evaluation.label_values import common_labels
from vesuv.evaluation.pairs import CaseFiles
from vesuv.evaluation.pictures import PictureSource
from vesuv.evaluation.score_tables import cases_table
from vesuv.inference.provenance import PROVENANCE, predicted_labels
from vesuv.io.formats import suffix, volumes_in
from vesuv.io.printable import number_of
from vesuv.report.figures import triptych

_MAX_TABLE_CASES = 40
"""Largest number of cases in the printed table; scores.csv lists all."""


def evaluate(
    *,
    predictions: Annotated[tuple[Path, ...], several("--predictions")],
    labels: Path,
    measures: Annotated[tuple[str, ...], several("--measures")] = (),
    leaderboard: Literal["exact", "bounds", "none"] = "none",
    ignored_voxels: Literal["background", "excluded"] = "background",
    run: Path | None = None,
    config: Path | None = None,
    classes: Annotated[tuple[str, ...], several("--classes")] = (),
    ignore: int | None = None,
    groups: Path | None = None,
    images: Path | None = None,
    instances: Literal["boundary", "foreground", "ids"] | None = None,
    output: Path | None = None,
    require_dice: float | None = None,
    workers: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    overwrite: Switch = False,
    dry_run: DryRun = False,
) -> None:
    """Score predictions against labels, by case and group; compare folders of predictions.

    Writes scores.csv, worst case first, summary.json and summary.md; with several folders also
    comparison.csv. Scores of earlier calls are taken from case_scores/ unless prediction, label or
    settings have changed.

    Args:
        predictions: Folder of masks; more: compared with it.
        labels: Folder of labels, matched by name, or of OME-Zarr images that hold their label;
            more labels than predictions are fine.
        measures: Beside the overlap: surface_dice@1,2 (tolerances in the files' unit; in voxels:
            surface_dice@1vox) hd95 assd cldice surface_cldice betti voi fraction …, or all; curve
            for images of curves that run down, as on logs; cells between boundaries.
        leaderboard: Leaderboard score: exact, bounds (cheaper in noise) or none.
        ignored_voxels: What ignored voxels are to leaderboard score, surface Dice and VOI.
        run: Run whose configuration names the label values, where no provenance.json beside the
            predictions does.
        config: Configuration that names them.
        classes: Label values as name=value, the background first: background=0 sheet=1.
        ignore: With --classes, label value of voxels that are not judged.
        groups: CSV with columns id,scroll_id (default: the train.csv beside the labels).
        images: Folder of images: draws pictures/<id>.png, image | label | prediction, for each
            case.
        instances: The predictions are instances, and the labels hold the boundary of cells
            (boundary: a class that is named as above), their numbers (ids; 0 is not judged), or
            objects (foreground: a class that is named, else numbers; 0 is background).
        output: Folder of the results (default: the folder of predictions, if it is one).
        require_dice: Fail when the mean Dice of a folder is below this.
        workers: Processes (default: for the machine).
        overwrite: Score again what was scored before.
        dry_run: Check everything, say what would be read and written, and write nothing.
    """
    target = output or _only_folder(predictions)
    if instances is not None:
        others = {
            "--measures": measures,
            "--leaderboard": leaderboard != "none",
            "--groups": groups,
            "--require-dice": require_dice is not None,
        }
        named = list(named_labels(run, config, classes, ignore).values())
        evaluate_instances(
            predictions,
            labels,
            target,
            instances,
            named,
            others,
            images=images,
            dry_run=dry_run,
        )
        return
    schema = _labels(predictions, named_labels(run, config, classes, ignore))
    options = ScoreOptions(
        schema, measures, leaderboard, ignored_voxels, groups, workers, overwrite
    )
    pictures = None if images is None else PictureSource(images, triptych)
    out = console()
    if dry_run:
        _print_plan(out, planned_cases(predictions, labels, target, options, pictures), target)
        return
    with shown_progress(out, "Scoring", "cases") as progress:
        scores = score_folders(
            predictions, labels, target, options, pictures=pictures, progress=progress
        )
    _show(out, scores, write_scores(scores, target))
    faults = [*scores.faults, *_low_scores(scores.summaries, require_dice)]
    if faults:
        raise InputErrors(faults)


def _only_folder(predictions: Sequence[Path]) -> Path:
    """Return the folder of predictions, which holds the results unless --output names another."""
    if len(predictions) > 1:
        raise InputError(
            f"--output: {len(predictions)} folders of predictions need one for the comparison; "
            "name it"
        )
    return predictions[0]


def _print_plan(out: Console, cases: Sequence[CaseFiles], target: Path) -> None:
    for case in cases:
        out.print(f"would read: {case.prediction}, {case.label}")
    out.print(f"would write: {target}")


def _labels(predictions: Sequence[Path], named: Mapping[str, LabelsConfig]) -> LabelsConfig:
    """Return the label values that the call and each folder's provenance.json agree on."""
    recorded = {folder: _recorded_labels(folder) for folder in predictions}
    for folder, records in recorded.items():
        if not records and not named:
            raise InputError(
                f"--predictions: {folder} has no {PROVENANCE} that names label values; give --run, "
                "--config, or --classes background=0 NAME=VALUE … and, where voxels are not "
                "judged, --ignore VALUE"
            )
    files = {file: labels for records in recorded.values() for file, labels in records.items()}
    return common_labels({**files, **named})


def _recorded_labels(folder: Path) -> dict[str, LabelsConfig]:
    """Return provenance.json -> label values: of a folder of masks, and of OME-Zarr masks in it."""
    if suffix(folder) == ".zarr":
        raise InputError(f"--predictions: {folder} is one volume; name the folder that it lies in")
    places = [folder, *(path for path in volumes_in(folder) if path.is_dir())]
    records = {str(place / PROVENANCE): predicted_labels(place) for place in places}
    return {file: labels for file, labels in records.items() if labels is not None}


def _show(out: Console, scores: FolderScores, files: Sequence[Path]) -> None:
    if scores.num_from_record:
        out.print(f"scored before: {number_of(scores.num_from_record, 'case')}")
    for table in (cases_table(scores.cases, _MAX_TABLE_CASES), *scores.tables):
        out.print(rich_table(table))
    for folder, summary in scores.summaries.items():
        number = summary["num_labels_without_prediction"]
        which = f" ({folder})" if len(scores.summaries) > 1 else ""
        if number:
            labels = number_of(number, "label")
            out.print(f"not counted, as without a prediction: {labels}{which}")
    out.print(f"written: {', '.join(map(str, files))}")


def _low_scores(summaries: Mapping[str, Mapping[str, Any]], required: float | None) -> list[str]:
    """Return a sentence for each folder whose mean Dice is below the required one."""
    if required is None:
        return []
    means = {folder: summary["mean"]["dice"] for folder, summary in summaries.items()}
    return [
        f"--require-dice: the mean Dice must be at least {required:g}, found {dice:.4f}"
        + (f" in {folder}" if len(means) > 1 else "")
        for folder, dice in means.items()
        if not dice >= required
    ]
