"""vesuv evaluate: predictions against labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from vesuv.cli.console import console
from vesuv.cli.options import Switch, several
from vesuv.cli.progress import shown_progress
from vesuv.cli.tables import rich_table
from vesuv.config import load_config
from vesuv.config.data import LabelsConfig
from vesuv.errors import InputError, InputErrors
from vesuv.evaluation.folders import (
    DEFAULT_LABELS,
    FolderScores,
    ScoreOptions,
    score_folders,
    write_scores,
)
from vesuv.evaluation.pictures import PictureSource
from vesuv.evaluation.score_tables import cases_table
from vesuv.report.figures import triptych
from vesuv.runs.folder import RunFolder

_CASES_SHOWN = 40
"""Cases that the printed table lists; scores.csv lists all."""
_FILE_WIDTH = 200
"""Width of tables that are printed to a file, in characters."""


def evaluate(
    *,
    predictions: Annotated[tuple[Path, ...], several("--predictions")],
    labels: Path,
    measures: Annotated[tuple[str, ...], several("--measures")] = (),
    leaderboard: Literal["exact", "bounds", "none"] = "none",
    ignored: Literal["background", "excluded"] = "background",
    run: Path | None = None,
    config: Path | None = None,
    groups: Path | None = None,
    images: Path | None = None,
    output: Path | None = None,
    require_dice: float | None = None,
    workers: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    overwrite: Switch = False,
) -> None:
    """Score predictions against labels, by case and group; compare folders of predictions.

    Writes scores.csv, worst case first, summary.json and summary.md; with several folders also
    comparison.csv. What an earlier call scored is taken from case_scores/ unless prediction, label
    or settings changed.

    Args:
        predictions: Folder of masks; more: compared with it.
        labels: Folder of labels, matched by name; more labels than predictions are fine.
        measures: Beside the overlap: surface_dice@1,2 hd95 assd cldice surface_cldice betti voi
            fraction …, or all.
        leaderboard: Leaderboard score: exact, bounds (cheaper in noise) or none.
        ignored: What ignored voxels are to leaderboard score, surface Dice and VOI.
        run: Run whose configuration names the label values.
        config: Configuration that names them; without either, 0 is background, 1 foreground and 2
            ignored.
        groups: CSV with columns id,scroll_id (default: the train.csv beside the labels).
        images: Folder of images: draws <id>.png, image | label | prediction, for each case.
        output: Folder of the results (default: the folder of predictions, if it is one).
        require_dice: Fail when the mean Dice of a folder is below this.
        workers: Processes (default: for the machine).
        overwrite: Score again what was scored before.
    """
    if output is None and len(predictions) > 1:
        raise InputError(
            f"--output: {len(predictions)} folders of predictions need one for the comparison; "
            "name it"
        )
    target = output or predictions[0]
    schema = _schema(run, config)
    options = ScoreOptions(schema, measures, leaderboard, ignored, groups, workers, overwrite)
    pictures = None if images is None else PictureSource(images, triptych)
    out = console()
    if not out.is_terminal:
        out.width = _FILE_WIDTH
    with shown_progress(out, "Scoring", "cases") as progress:
        scores = score_folders(
            predictions, labels, target, options, pictures=pictures, progress=progress
        )
    _show(out, scores, write_scores(scores, target))
    faults = [*scores.faults, *_below(scores.summaries, require_dice)]
    if faults:
        raise InputErrors(faults)


def _schema(run: Path | None, config: Path | None) -> LabelsConfig:
    if run is not None and config is not None:
        raise InputError("--run, --config: both name label values; give one of them")
    if run is not None:
        return RunFolder.open(run).config.labels
    return DEFAULT_LABELS if config is None else load_config(config).labels


def _show(out: Console, scores: FolderScores, files: Sequence[Path]) -> None:
    if scores.num_from_record:
        out.print(f"{scores.num_from_record} cases were scored before")
    for table in (cases_table(scores.cases, _CASES_SHOWN), *scores.tables):
        out.print(rich_table(table))
    for folder, summary in scores.summaries.items():
        number = summary["num_labels_without_prediction"]
        which = f" ({folder})" if len(scores.summaries) > 1 else ""
        if number:
            out.print(f"{number} labels without a prediction are not counted{which}")
    out.print(f"written: {', '.join(map(str, files))}")


def _below(summaries: Mapping[str, Mapping[str, Any]], required: float | None) -> list[str]:
    """Return a sentence for each folder whose mean Dice is below what is required."""
    if required is None:
        return []
    means = {folder: summary["mean"]["dice"] for folder, summary in summaries.items()}
    return [
        f"--require-dice: the mean Dice must be at least {required:g}, found {dice:.4f}"
        + (f" in {folder}" if len(means) > 1 else "")
        for folder, dice in means.items()
        if not dice >= required
    ]
