"""Scores of predicted volumes against labels: by case, by group, and one folder against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from vesuv.config import Config
from vesuv.config.data import LabelsConfig
from vesuv.data.layouts import read_groups
from vesuv.errors import InputError, InputErrors
from vesuv.evaluation.measures import Ignored, parse_measures
from vesuv.evaluation.pairs import Picture, by_id, find_pairs, name_folders
from vesuv.evaluation.report_table import for_terminal
from vesuv.evaluation.score_tables import cases_grid, comparison_grid, markdown, means_grid
from vesuv.evaluation.scoring import Scoring, Task, matrix_of, score_cases, values_of
from vesuv.evaluation.summary import (
    CaseScores,
    compare,
    comparison_rows,
    summarise,
    worst_first,
)
from vesuv.io.formats import volumes_in
from vesuv.io.tables import write_csv, write_json, write_text
from vesuv.runs.folder import RunFolder

_DEFAULT_LABELS = LabelsConfig(classes={"background": 0, "foreground": 1}, ignore=2)
"""Label values where neither a run nor a configuration says: those of the scroll data."""

_SHOWN = 40
"""Cases that the printed table holds; scores.csv holds all."""
_FILE_WIDTH = 200
"""Of tables printed to a file."""
_WORST = 10
"""Cases that summary.md holds."""
_RECORDS = "case_scores"
"""Folder of what is kept of each case."""


@dataclass(frozen=True)
class ScoreOptions:
    """What is computed beside the overlap, and how."""

    measures: Sequence[str] = ()
    """Names as `vesuv.evaluation.measures.CHOICES` lists them."""
    leaderboard: str = "none"
    """exact, bounds or none."""
    ignored: str = "background"
    """background or excluded: what ignored voxels are to leaderboard, surface Dice and VOI."""
    workers: int | None = None
    """Processes; chosen when left out."""
    overwrite: bool = False
    """Score again what has been scored."""


@dataclass(frozen=True)
class _Folder:
    """One folder of predictions, matched with the labels."""

    name: str
    tasks: tuple[Task, ...]
    num_left_out: int
    """Labels without a prediction."""


def evaluate(
    predictions: Path | Sequence[Path],
    labels: Path,
    options: ScoreOptions = ScoreOptions(),
    *,
    run: Path | None = None,
    config: Config | None = None,
    groups: Path | None = None,
    images: Path | None = None,
    output: Path | None = None,
    require_dice: float | None = None,
) -> dict[str, Any]:
    """Score every prediction against the label of its name; ignored voxels are not judged.

    Writes scores.csv, worst case first, summary.json and summary.md; with several folders also
    comparison.csv. What was scored in an earlier call is taken from case_scores/ unless prediction,
    label or settings changed.

    Args:
        predictions: Folder of masks, or several to compare with the first of them.
        labels: Folder of labels, in any format; more labels than predictions are fine.
        options: What is computed beside the overlap, and how.
        run: Run folder whose configuration names the label values.
        config: Configuration that names them; without either, 0 is background, 1 foreground and 2
            ignored.
        groups: CSV with columns id,scroll_id; the train.csv beside `labels` when left out.
        images: Folder of images: draws <id>.png, image | label | prediction, for each case.
        output: Folder for what is written; the folder of predictions when left out, if it is one.
        require_dice: Smallest mean Dice that is let pass, in each folder.

    Returns:
        The content of summary.json.

    Raises:
        InputError: Nothing to match, pairs that cannot be compared (all of them named), or a mean
            Dice below `require_dice`.
    """
    folders = [predictions] if isinstance(predictions, Path) else list(predictions)
    if output is None and len(folders) > 1:
        raise InputError(
            f"--output: {len(folders)} folders of predictions need one for the comparison; name it"
        )
    target = output or folders[0]
    scoring = _scoring(options, _schema(run, config))
    scrolls = _groups(groups, labels)
    matched, faults = _match(folders, labels, images, target)
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    found = _score(matched, scoring, scrolls, options.workers, console, faults)
    summary = _write(target, matched, found, scoring, faults, console)
    means = {name: part["mean"]["dice"] for name, part in _by_folder(summary, matched).items()}
    faults += _below(means, require_dice)
    if faults:
        raise InputErrors(faults)
    return summary


def _scoring(options: ScoreOptions, schema: LabelsConfig) -> Scoring:
    measures = parse_measures(options.measures, options.leaderboard)
    ignored: Ignored
    if options.ignored == "background":
        ignored = "background"
    elif options.ignored == "excluded":
        ignored = "excluded"
    else:
        raise InputError(
            f"--ignored: must be background or excluded; found {options.ignored!r}; excluded "
            "leaves unlabelled voxels out of surface Dice and VOI"
        )
    return Scoring(schema, measures, ignored, options.overwrite)


def _schema(run: Path | None, config: Config | None) -> LabelsConfig:
    if run is not None and config is not None:
        raise InputError("--run, --config: both name label values; give one of them")
    if run is not None:
        return RunFolder.open(run).config.labels
    return _DEFAULT_LABELS if config is None else config.labels


def _groups(given: Path | None, labels: Path) -> dict[str, str | None]:
    groups = read_groups(given or labels.parent / "train.csv")
    if groups is None and given is not None:
        raise InputError(f"--groups: {given} is not there; give a CSV with columns id,scroll_id")
    return groups or {}


def _match(
    predictions: Sequence[Path], labels: Path, images: Path | None, output: Path
) -> tuple[list[_Folder], list[str]]:
    """Plan each case's files; also return what has no label."""
    pictures = None if images is None else by_id(images)
    found: list[_Folder] = []
    faults: list[str] = []
    for name, folder in name_folders(predictions).items():
        part = name if len(predictions) > 1 else "."
        pairs, unmatched = find_pairs(folder, labels)
        faults += unmatched
        tasks = []
        for files in pairs:
            picture = None
            if images is not None and pictures is not None:
                image = pictures.get(files.id) or pictures.get(f"{files.id}_0000")
                picture = Picture(image, images, output / part / f"{files.id}.png")
            record = output / _RECORDS / part / f"{files.id}.json"
            tasks.append(Task(files, record, picture))
        found.append(_Folder(name, tuple(tasks), len(volumes_in(labels)) - len(pairs)))
    return found, faults


def _score(
    folders: Sequence[_Folder],
    scoring: Scoring,
    groups: Mapping[str, str | None],
    workers: int | None,
    console: Console,
    faults: list[str],
) -> list[CaseScores]:
    """Score all cases, worst first; what is wrong with others is added to `faults`."""
    tasks = [(folder.name, task) for folder in folders for task in folder.tasks]
    outcomes = score_cases([task for _, task in tasks], scoring, workers, console)
    found = []
    for (name, task), outcome in zip(tasks, outcomes, strict=True):
        faults += [fault for fault in outcome.faults if fault not in faults]
        if outcome.record is not None:
            case = task.files.id
            values = values_of(outcome.record, scoring)
            matrix = matrix_of(outcome.record)
            found.append(CaseScores(case, groups.get(case), name, matrix, values))
    if {case.predictions for case in found} != {folder.name for folder in folders}:
        raise InputErrors(faults)
    return worst_first(found)


def _summaries(
    folders: Sequence[_Folder], cases: Mapping[str, Sequence[CaseScores]], schema: LabelsConfig
) -> dict[str, dict[str, Any]]:
    return {
        one.name: {
            "num_cases": len(cases[one.name]),
            "num_labels_without_prediction": one.num_left_out,
            **summarise(cases[one.name], schema),
        }
        for one in folders
    }


def _write(
    target: Path,
    folders: Sequence[_Folder],
    found: Sequence[CaseScores],
    scoring: Scoring,
    faults: Sequence[str],
    console: Console,
) -> dict[str, Any]:
    """Write and print everything; return the summary."""
    cases = {one.name: [case for case in found if case.predictions == one.name] for one in folders}
    summaries = _summaries(folders, cases, scoring.schema)
    first, *others = cases
    comparisons = {name: compare(cases[first], cases[name]) for name in others}
    rows = comparison_rows(first, comparisons)
    summary = {
        "labels": scoring.schema.model_dump(mode="json"),
        "measures": scoring.measures,
        "ignored": scoring.ignored,
        "faults": faults,
        **({"predictions": summaries, "comparisons": rows} if others else summaries[first]),
    }
    lines = [
        {"predictions": one.predictions, **one.row()} if others else one.row() for one in found
    ]
    write_csv(target / "scores.csv", lines)
    write_json(target / "summary.json", summary)
    if others:
        write_csv(target / "comparison.csv", rows)
    grids = [means_grid(summaries), *([comparison_grid(first, comparisons)] if others else [])]
    facts = [f"{name}: {len(part)} cases" for name, part in cases.items()]
    text = markdown([*grids, cases_grid(found, _WORST)], facts, faults)
    write_text(target / "summary.md", text)
    for grid in (cases_grid(found, _SHOWN), *grids):
        console.print(for_terminal(grid))
    names = ["scores.csv", "summary.json", "summary.md", *(["comparison.csv"] if others else [])]
    _tell(console, folders, [target / name for name in names])
    return summary


def _tell(console: Console, folders: Sequence[_Folder], written: Sequence[Path]) -> None:
    for folder in folders:
        if folder.num_left_out:
            which = f" ({folder.name})" if len(folders) > 1 else ""
            told = f"{folder.num_left_out} labels without a prediction are not counted{which}"
            console.print(told, markup=False)
    console.print(f"written: {', '.join(map(str, written))}", markup=False)


def _by_folder(summary: Mapping[str, Any], folders: Sequence[_Folder]) -> dict[str, Any]:
    """Return the part of a summary that belongs to each folder."""
    return summary["predictions"] if len(folders) > 1 else {folders[0].name: summary}


def _below(means: Mapping[str, float], required: float | None) -> list[str]:
    if required is None:
        return []
    return [
        f"--require-dice: the mean Dice must be at least {required:g}, found {dice:.4f}"
        + (f" in {name}" if len(means) > 1 else "")
        for name, dice in means.items()
        if not dice >= required
    ]
