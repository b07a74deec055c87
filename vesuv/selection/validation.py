"""Selection of checkpoint, threshold and post-processing on held-out volumes: the one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.errors import InputError, command
from vesuv.io.atomic import catch_write_errors
from vesuv.io.places import check_no_links
from vesuv.io.tables import read_json_or_none, write_json
from vesuv.report.page import write_page
from vesuv.runs.folder import RunFolder
from vesuv.selection.calibration import Calibration, calibrate_selection
from vesuv.selection.class_search import search_classes
from vesuv.selection.held_out import HeldOutRun, open_held_out, predict_held_out
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.selection.report import write_report
from vesuv.selection.search import SearchProblem, SearchResult, search
from vesuv.selection.summary import nested_parts, selection_summary
from vesuv.types import Say, ShowProgress, no_shown_progress, silent


@dataclass(frozen=True)
class Validation:
    """The selection for some runs, and its files."""

    result: SearchResult
    runs: tuple[RunFolder, ...]
    """Runs whose selected.json holds the choice."""
    folder: Path
    """Folder of the tables and figures."""
    calibration: Calibration
    """Temperature of calibrated probabilities."""


def validate_distribution(
    runs: Sequence[str | Path],
    *,
    checkpoints: Sequence[str] | None = None,
    changes: Sequence[str] = (),
    say: Say = silent,
    show_progress: ShowProgress = no_shown_progress,
) -> Validation:
    """Select checkpoint, threshold and post-processing on the held-out cases of runs.

    Masks are made as `predict` makes them, on the files' own grids, and compared with the files'
    own labels. Writes cases.csv, summary.json, histogram.png, curves.png and calibration.png into
    distribution/ of the run, selected.json into the run, and updates its page. Several folds get
    one joint choice: their tables lie in distribution/ of their common folder, and each run gets
    the choice.

    Args:
        runs: A run folder, or the run folders of several folds of one configuration.
        checkpoints: Names of checkpoints to try; default: all that every run has.
        changes: `section.key=value` of selection, inference, runtime, data.root or data.store.
        say: Called with each message.
        show_progress: Shows the progress of prediction and search.

    Raises:
        InputError: No run, no such checkpoint, no validation cases, runs that are not folds of one
            configuration, or other data than in training.
    """
    paths = [Path(run) for run in runs]
    folder = summary_folder(paths)
    with lock_runs(paths):
        return _validate(paths, folder, checkpoints, changes, say, show_progress)


def _validate(
    paths: Sequence[Path],
    folder: Path,
    checkpoints: Sequence[str] | None,
    changes: Sequence[str],
    say: Say,
    show_progress: ShowProgress,
) -> Validation:
    check_summary_folder(folder)
    opened = open_held_out(paths, changes)
    predictions, equal_weights = predict_held_out(opened, checkpoints, say, show_progress)
    result = search_held_out(opened, predictions, show_progress)
    facts = {
        "runs": [one.run.path for one in opened],
        "folds": [one.run.facts.fold for one in opened],
        "same_weights": equal_weights,
        "probabilities": [path for one in predictions for path in one.folders],
    }
    calibration = calibrate_selection(result)
    _write(folder, opened, result, calibration, facts)
    return Validation(result, tuple(one.run for one in opened), folder, calibration)


@contextmanager
def lock_runs(runs: Sequence[Path]) -> Iterator[None]:
    """Keep other processes from selecting for the same runs, and from replacing them meanwhile.

    Raises:
        InputError: No run, links in its folder, or another process selects for it.
    """
    folders = [RunFolder.open(run) for run in {run.resolve(): run for run in runs}.values()]
    with ExitStack() as locks:
        for run in sorted(folders, key=lambda run: run.path.resolve()):
            run.check_no_links()
            locks.enter_context(run.selection_lock())
        yield


def check_summary_folder(folder: Path) -> None:
    """Refuse a distribution/ that is a link, or whose summary.json is not of a selection.

    Raises:
        InputError: It is.
    """
    file = folder / "summary.json"
    check_no_links([folder])
    if file.exists() and "selected" not in (read_json_or_none(file) or {}):
        raise InputError(
            f"{file}: was not written by {command('validate_distribution')}; move it elsewhere"
        )


def search_held_out(
    runs: Sequence[HeldOutRun],
    predictions: Sequence[OofPredictions],
    show_progress: ShowProgress,
    folds: Sequence[HeldOutRun] = (),
) -> SearchResult:
    """Search on the held-out cases of all runs.

    Args:
        runs: Runs of one configuration.
        predictions: Predictions of their held-out cases.
        show_progress: Shows the progress of the search.
        folds: Runs whose held-out cases nested selection leaves out together; default: `runs`.
    """
    config = runs[0].config
    cases = sorted((case for one in runs for case in one.cases), key=lambda case: case.id)
    kind, parts = nested_parts(cases, [[case.id for case in one.cases] for one in folds or runs])
    problem = SearchProblem(
        predictions=predictions,
        cases=cases,
        targets=config.labels.targets,
        config=config.selection,
        default_chain=config.inference.postprocess,
        part_kind=kind,
        parts=parts,
    )
    with show_progress("search", "cases") as progress:
        find = search_classes if problem.targets.has_several else search
        return find(problem, progress)


def summary_folder(runs: Sequence[Path]) -> Path:
    """Return the folder of the tables: in the run, or beside several runs.

    Raises:
        InputError: No run, or runs in several folders.
    """
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
    folder: Path,
    runs: Sequence[HeldOutRun],
    result: SearchResult,
    calibration: Calibration,
    facts: dict[str, Any],
) -> None:
    """Write the tables, then every run's selected.json, then the pages that show it."""
    summary = selection_summary(result)
    contents = [
        {
            **summary,
            "runs": facts["runs"],
            "checkpoint_sha256": one.digest(result.chosen.checkpoint),
            "inference": one.inference,
            "calibration": calibration.plain(),
        }
        for one in runs
    ]
    write_report(folder, result, calibration.before, {**facts, "selected": contents[0]})
    for one, content in zip(runs, contents, strict=True):
        write_json(one.run.selected_file, content)
    for one in runs:
        with catch_write_errors(one.run.page):
            write_page(one.run.path)
