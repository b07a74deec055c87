"""Selection among configurations and their ensembles; the result is a file for `predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.errors import InputError, command
from vesuv.inference.members import differing_key
from vesuv.io.tables import Cell, read_json_or_none, write_csv, write_json
from vesuv.selection.calibration import calibrate_selection
from vesuv.selection.held_out import HeldOutRun, open_held_out, predict_held_out
from vesuv.selection.summary import nested_estimate, score_difference, scores_by_group
from vesuv.selection.systems import (
    Ensemble,
    System,
    nested_choices,
    possible_ensembles,
    predict_ensembles,
    rank_systems,
)
from vesuv.selection.validation import lock_runs, search_held_out
from vesuv.types import Say, ShowProgress, no_shown_progress, silent

BEST = Path("best.json")
_SCORES = ("dice", "gap", "leaderboard", "predicted_fraction", "labelled_fraction")

_CUT_KEYS = ("threshold", "postprocess", "classes")

RunsByConfiguration = dict[str, list[HeldOutRun]]
"""Name of a configuration -> its runs."""


@dataclass(frozen=True)
class Comparison:
    """Configurations and their ensembles, best first."""

    ranking: tuple[System, ...]

    def rows(self) -> list[dict[str, Cell]]:
        """Return a table with name, choice and scores of each system."""
        return [_row(system) for system in self.ranking]


def find_best(
    runs: Sequence[str | Path],
    output: str | Path = BEST,
    *,
    checkpoints: Sequence[str] | None = None,
    changes: Sequence[str] = (),
    say: Say = silent,
    show_progress: ShowProgress = no_shown_progress,
) -> Comparison:
    """Select for each configuration, then among configurations and ensembles, out of fold.

    Writes `output`, and the table as CSV beside it.

    Args:
        runs: Run folders of several configurations; runs in one folder belong to one configuration.
        output: File to write.
        checkpoints: Names of checkpoints to try; default: all that every run has.
        changes: `section.key=value` of selection, inference, runtime, data.root or data.store.
        say: Called with each message.
        show_progress: Shows the progress of prediction and search.

    Raises:
        InputError: Runs that cannot be used, or that hold out different cases.
    """
    output = Path(output)
    check_output(output)
    with lock_runs([Path(run) for run in runs]):
        return _compare(
            [Path(run) for run in runs], output, checkpoints, changes, say, show_progress
        )


def check_output(output: Path) -> None:
    """Refuse an output file of another ending, or one that find_best did not write.

    Raises:
        InputError: Names the file.
    """
    if output.suffix != ".json":
        raise InputError(f"--output: must end in .json, found {output}; best.json is usual")
    content = (read_json_or_none(output) or {}) if output.exists() else None
    table = output.with_suffix(".csv")
    if (content is None and table.exists()) or (content is not None and "members" not in content):
        raise InputError(
            f"--output: {table if content is None else output} was not written by "
            f"{command('find_best')}; give another name"
        )


def _compare(
    runs: Sequence[Path],
    output: Path,
    checkpoints: Sequence[str] | None,
    changes: Sequence[str],
    say: Say,
    show_progress: ShowProgress,
) -> Comparison:
    configurations = open_configurations(runs, changes)
    systems = _systems(configurations, checkpoints, say, show_progress)
    config = next(iter(configurations.values()))[0].config.selection
    ranking = rank_systems(systems, config)
    part_kind = ranking[0].result.problem.part_kind
    estimate = nested_estimate(nested_choices(systems, config), part_kind)
    _write(output, configurations, ranking, estimate)
    return Comparison(tuple(ranking))


def open_configurations(runs: Sequence[Path], changes: Sequence[str]) -> RunsByConfiguration:
    """Open the runs of each configuration with their held-out cases.

    Raises:
        InputError: No run, runs that cannot be used, or that hold out different cases.
    """
    if not runs:
        raise InputError("--run: needs at least one run folder, found none; name log/<config>/fold")
    grouped = _by_configuration(runs)
    configurations = {name: open_held_out(paths, changes) for name, paths in grouped.items()}
    _check_comparable(configurations)
    return configurations


def _by_configuration(runs: Sequence[Path]) -> dict[str, list[Path]]:
    """Group runs by parent folder: by its name, or by its path where two have the same name."""
    grouped: dict[Path, list[Path]] = {}
    for run in runs:
        grouped.setdefault(run.resolve().parent, []).append(run)
    names = [folder.name for folder in grouped]
    return {
        folder.name if names.count(folder.name) == 1 else str(folder): paths
        for folder, paths in grouped.items()
    }


def _check_comparable(configurations: RunsByConfiguration) -> None:
    """Refuse configurations with different held-out cases or different data."""
    (first, reference), *others = configurations.items()
    cases = _held_out_ids(reference)
    for name, runs in others:
        if _held_out_ids(runs) != cases:
            unmatched = ", ".join(sorted(_held_out_ids(runs) ^ cases)[:5])
            raise InputError(
                f"{name}: holds out other cases than {first} (only one of them: {unmatched}); name "
                "runs of the same folds of one split"
            )
        if runs[0].config.labels.targets != reference[0].config.labels.targets:
            raise InputError(
                f"{name}: has other classes or regions than {first}, so its mean Dice is of other "
                "things; compare them by evaluate"
            )
        if any(one.raw_fingerprints.isdisjoint(reference[0].raw_fingerprints) for one in runs):
            raise InputError(
                f"{name}: was trained on other files or label values than {first}; configurations "
                "are compared on one data set"
            )


def _held_out_ids(runs: Sequence[HeldOutRun]) -> set[str]:
    return {case.id for one in runs for case in one.cases}


def _systems(
    configurations: RunsByConfiguration,
    checkpoints: Sequence[str] | None,
    say: Say,
    show_progress: ShowProgress,
) -> list[System]:
    """Select for each configuration, then for the ensembles of the selected checkpoints."""
    systems: list[System] = []
    folds = next(iter(configurations.values()))  # common to all, so that names of parts agree
    for name, runs in configurations.items():
        predictions, _ = predict_held_out(runs, checkpoints, say, show_progress, prefix=f"{name}/")
        result = search_held_out(runs, predictions, show_progress, folds)
        systems.append(System(name, (name,), result))
    selected, ensembles = _selected_checkpoints(systems), _compatible_ensembles(configurations, say)
    ensemble_predictions = predict_ensembles(ensembles, configurations, selected, show_progress)
    for ensemble, mean in ensemble_predictions.items():
        result = search_held_out(configurations[ensemble[0]], [mean], show_progress, folds)
        systems.append(System(mean.name, ensemble, result))
    return systems


def _compatible_ensembles(configurations: RunsByConfiguration, say: Say) -> list[Ensemble]:
    """Return the ensembles whose networks can be averaged."""
    compatible = []
    for ensemble in possible_ensembles(list(configurations)):
        first, *others = (configurations[name][0].config for name in ensemble)
        keys = [key for key in (differing_key(first, other) for other in others) if key]
        if keys:
            say(f"{' + '.join(ensemble)}: differ in {keys[0]}, not averaged")
        else:
            compatible.append(ensemble)
    return compatible


def _selected_checkpoints(systems: Sequence[System]) -> dict[str, str]:
    """Return the selected checkpoint of each configuration."""
    return {
        system.name: system.chosen.checkpoint.rsplit("/", 1)[1]
        for system in systems
        if len(system.configurations) == 1
    }


def _write(
    output: Path,
    configurations: RunsByConfiguration,
    ranking: Sequence[System],
    estimate: dict[str, Any] | None,
) -> None:
    best, *others = ranking
    result, config = best.result, best.result.problem.config
    checkpoints = _selected_checkpoints(ranking)
    margin, second_scores = None, None
    if others:
        margin = {"over": others[0].name, **score_difference(best.chosen, others[0].chosen)}
        second_scores = others[0].result.scores_of(others[0].chosen)
    best_scores = result.scores_of(best.chosen)
    rows = [_row(system) for system in ranking]
    content = {
        "name": best.name,
        "members": [
            _member_record(one, checkpoints[name])
            for name in best.configurations
            for one in configurations[name]
        ],
        **{k: v for k, v in best.chosen.plain().items() if k in _CUT_KEYS},
        **_scores(best),
        "why": result.why,
        "objective": config.objective,
        "tolerance": config.tolerance,
        "band": config.band,
        "margin": margin,
        "groups": scores_by_group(result.problem.cases, best_scores, second_scores),
        "honest": estimate,
        "inference": configurations[best.configurations[0]][0].inference,
        "calibration": calibrate_selection(result).plain(),
        "table": rows,
    }
    write_json(output, content)
    write_csv(output.with_suffix(".csv"), rows)


def _member_record(one: HeldOutRun, checkpoint: str) -> dict[str, Any]:
    return {
        "run": one.run.path.resolve(),
        "checkpoint": checkpoint,
        "checkpoint_sha256": one.digest(checkpoint),
    }


def _row(system: System) -> dict[str, Cell]:
    result = system.result
    estimate = nested_estimate(result.nested, result.problem.part_kind) or {}
    return {
        "system": system.name,
        "chosen": str(system.chosen),
        **_scores(system),
        **{f"honest_{key}": value for key, value in estimate.items() if key in _SCORES},
    }


def _scores(system: System) -> dict[str, float]:
    return {key: value for key, value in system.chosen.plain().items() if key in _SCORES}
