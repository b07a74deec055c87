"""The one place that chooses checkpoint, cut and post-processing: on whole held-out volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.errors import InputError
from vesuv.io.tables import write_json
from vesuv.report.page import write_page
from vesuv.runs.folder import RunFolder
from vesuv.selection.held_out import (
    HeldOutRun,
    common_checkpoints,
    open_held_out,
    predict_held_out,
    without_twins,
)
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.selection.report import write_report
from vesuv.selection.search import SearchProblem, search
from vesuv.selection.verdict import Verdict, left_out
from vesuv.types import Say, ShowProgress, no_shown_progress, silent


@dataclass(frozen=True)
class Validation:
    """What was selected for some runs, and where it is written."""

    verdict: Verdict
    runs: tuple[RunFolder, ...]
    """Each has the choice in its selected.json."""
    folder: Path
    """Where the tables and figures lie."""


def validate_distribution(
    runs: Sequence[str | Path],
    *,
    checkpoints: Sequence[str] | None = None,
    changes: Sequence[str] = (),
    say: Say = silent,
    show_progress: ShowProgress = no_shown_progress,
) -> Validation:
    """Search checkpoints, cuts and post-processing on the runs' held-out cases, and select.

    Masks are made as `predict` makes them, on the files' own grids, and compared with the files'
    own labels. Writes cases.csv, summary.json, histogram.png, curves.png and calibration.png into
    the run's distribution/, selected.json into the run, and its page anew. For several folds the
    choice is joint: the tables lie in distribution/ of their common folder, and every run gets the
    choice.

    Args:
        runs: A run folder, or those of several folds of one configuration.
        checkpoints: Names of checkpoints to try; every one that all runs have when left out.
        changes: `section.key=value` of selection, inference, runtime, data.root or data.store.
        say: Told what happens.
        show_progress: Told how far the work is.

    Raises:
        InputError: No run, no such checkpoint, no validation cases, runs that are not folds of one
            configuration, or other data than trained on.
    """
    paths = [Path(run) for run in runs]
    folder = _folder(paths)
    opened = open_held_out(paths, changes)
    names, twins = without_twins(opened, common_checkpoints(opened, checkpoints), say)
    predictions = [predict_held_out(opened, name, name, say, show_progress) for name in names]
    verdict = choose(opened, predictions, show_progress)
    facts = {
        "runs": [one.run.path for one in opened],
        "folds": [one.run.facts.fold for one in opened],
        "same_weights": twins,
        "probabilities": [path for one in predictions for path in one.folders],
    }
    _write(folder, opened, verdict, facts)
    return Validation(verdict, tuple(one.run for one in opened), folder)


def choose(
    runs: Sequence[HeldOutRun],
    predictions: Sequence[OofPredictions],
    show_progress: ShowProgress,
    folds: Sequence[HeldOutRun] = (),
) -> Verdict:
    """Search on the held-out cases of all runs.

    Args:
        runs: Runs of one configuration.
        predictions: Of their held-out cases.
        show_progress: Told how far the search is.
        folds: Runs whose held-out cases the honest estimate leaves out together; `runs` when left
            out.
    """
    config = runs[0].config
    cases = sorted((case for one in runs for case in one.cases), key=lambda case: case.id)
    by, parts = left_out(cases, [[case.id for case in one.cases] for one in folds or runs])
    problem = SearchProblem(
        predictions=predictions,
        cases=cases,
        num_classes=config.labels.num_classes,
        config=config.selection,
        default_chain=config.inference.postprocess,
        parts=parts,
    )
    with show_progress("search", "cases") as progress:
        return Verdict(problem, search(problem, progress), by)


def _folder(runs: Sequence[Path]) -> Path:
    """Where the tables lie: in the run, or in the folder that all runs lie in."""
    if not runs:
        raise InputError("--run: needs at least one run folder, found none; name log/<config>/fold")
    if len(runs) == 1:
        return RunFolder(runs[0]).distribution
    parents = {run.resolve().parent for run in runs}
    if len(parents) > 1:
        raise InputError(
            f"--run: folds of one configuration lie in one folder, found {len(parents)}: "
            f"{', '.join(sorted(map(str, parents)))}; find_best compares configurations"
        )
    return runs[0].parent / "distribution"


def _write(
    folder: Path, runs: Sequence[HeldOutRun], verdict: Verdict, facts: dict[str, Any]
) -> None:
    """Write the tables first and every run's selected.json last; then the pages that show it."""
    chosen = verdict.plain()
    contents = [
        {
            **chosen,
            "runs": facts["runs"],
            "checkpoint_sha256": one.digest(chosen["checkpoint"]),
            "inference": one.inference,
        }
        for one in runs
    ]
    write_report(folder, verdict, {**facts, "selected": contents[0]})
    for one, content in zip(runs, contents, strict=True):
        write_json(one.run.selected_file, content)
    for one in runs:
        write_page(one.run.path)
