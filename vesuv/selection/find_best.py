"""The best of several configurations and of their ensembles, as a file that `predict` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.errors import InputError
from vesuv.inference.members import differing_key
from vesuv.io.tables import Cell, write_csv, write_json
from vesuv.selection.held_out import (
    HeldOutRun,
    common_checkpoints,
    open_held_out,
    predict_held_out,
    without_twins,
)
from vesuv.selection.systems import (
    Names,
    System,
    ensembles,
    nested_choices,
    predict_ensembles,
    rank_systems,
)
from vesuv.selection.validation import choose
from vesuv.selection.verdict import by_group, difference, honest
from vesuv.types import Say, ShowProgress, no_shown_progress, silent

BEST = Path("best.json")
_SCORES = ("dice", "gap", "leaderboard", "predicted_fraction", "labelled_fraction")

Runs = dict[str, list[HeldOutRun]]
"""Configuration -> its runs."""


@dataclass(frozen=True)
class Comparison:
    """Configurations and their ensembles, best first."""

    ranking: tuple[System, ...]

    def rows(self) -> list[dict[str, Cell]]:
        """Return a table: a system's name, what was chosen for it, and its scores."""
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
    """Choose for each configuration, then among them and their ensembles, out of fold.

    Writes `output` and the table beside it, as CSV.

    Args:
        runs: Run folders of several configurations; those in one folder are one configuration's.
        output: File to write.
        checkpoints: Names of checkpoints to try; every one that all runs have when left out.
        changes: `section.key=value` of selection, inference, runtime, data.root or data.store.
        say: Told what happens.
        show_progress: Told how far the work is.

    Raises:
        InputError: Runs that cannot be used, or that hold out different cases.
    """
    if not runs:
        raise InputError("--run: needs at least one run folder, found none; name log/<config>/fold")
    output = Path(output)
    if output.suffix != ".json":
        raise InputError(f"--output: must end in .json, found {output}; best.json is usual")
    grouped = _by_configuration([Path(run) for run in runs])
    configurations = {name: open_held_out(paths, changes) for name, paths in grouped.items()}
    _check_comparable(configurations)
    systems = _systems(configurations, checkpoints, say, show_progress)
    config = next(iter(configurations.values()))[0].config.selection
    ranking = rank_systems(systems, config)
    estimate = honest(nested_choices(systems, config), ranking[0].verdict.by)
    _write(output, configurations, ranking, estimate)
    return Comparison(tuple(ranking))


def _by_configuration(runs: Sequence[Path]) -> dict[str, list[Path]]:
    """Group runs by the folder that they lie in, named by what tells the folders apart."""
    grouped: dict[Path, list[Path]] = {}
    for run in runs:
        grouped.setdefault(run.resolve().parent, []).append(run)
    names = [folder.name for folder in grouped]
    return {
        folder.name if names.count(folder.name) == 1 else str(folder): paths
        for folder, paths in grouped.items()
    }


def _check_comparable(configurations: Runs) -> None:
    """Every configuration must have been judged on the same cases of the same data."""
    (first, reference), *others = configurations.items()
    cases = _held_out_ids(reference)
    for name, runs in others:
        if _held_out_ids(runs) != cases:
            odd = ", ".join(sorted(_held_out_ids(runs) ^ cases)[:5])
            raise InputError(
                f"{name}: holds out other cases than {first} (only one of them: {odd}); name runs "
                "of the same folds of one split"
            )
        if any(one.raw_data != reference[0].raw_data for one in runs):
            raise InputError(
                f"{name}: was trained on other files or label values than {first}; configurations "
                "are compared on one data set"
            )


def _held_out_ids(runs: Sequence[HeldOutRun]) -> set[str]:
    return {case.id for one in runs for case in one.cases}


def _systems(
    configurations: Runs,
    checkpoints: Sequence[str] | None,
    say: Say,
    show_progress: ShowProgress,
) -> list[System]:
    """Choose for each configuration, then for the means of what was chosen."""
    systems: list[System] = []
    folds = next(iter(configurations.values()))  # the same for all, so that parts have one name
    for name, runs in configurations.items():
        names, _ = without_twins(runs, common_checkpoints(runs, checkpoints), say)
        predictions = [
            predict_held_out(runs, one, f"{name}/{one}", say, show_progress) for one in names
        ]
        systems.append(System(name, (name,), choose(runs, predictions, show_progress, folds)))
    subsets = _averaged(configurations, say)
    predicted = predict_ensembles(subsets, configurations, _checkpoints(systems), show_progress)
    for subset, of_subset in predicted.items():
        verdict = choose(configurations[subset[0]], [of_subset], show_progress, folds)
        systems.append(System(of_subset.name, subset, verdict))
    return systems


def _averaged(configurations: Runs, say: Say) -> list[Names]:
    """Return the ensembles whose networks can be averaged."""
    subsets = []
    for subset in ensembles(list(configurations)):
        first, *others = (configurations[name][0].config for name in subset)
        keys = [key for key in (differing_key(first, other) for other in others) if key]
        if keys:
            say(f"{' + '.join(subset)}: differ in {keys[0]}, not averaged")
        else:
            subsets.append(subset)
    return subsets


def _checkpoints(systems: Sequence[System]) -> dict[str, str]:
    """Return the checkpoint that was chosen for each configuration."""
    return {
        system.name: system.chosen.checkpoint.rsplit("/", 1)[1]
        for system in systems
        if len(system.configurations) == 1
    }


def _write(
    output: Path,
    configurations: Runs,
    ranking: Sequence[System],
    estimate: dict[str, Any] | None,
) -> None:
    best, *others = ranking
    verdict, config = best.verdict, best.verdict.problem.config
    checkpoints = _checkpoints(ranking)
    margin = None
    rival = None
    if others:
        margin = {"over": others[0].name, **difference(best.chosen, others[0].chosen)}
        rival = others[0].verdict.result.scores_of(others[0].chosen)
    scores = verdict.result.scores_of(best.chosen)
    rows = [_row(system) for system in ranking]
    content = {
        "name": best.name,
        "members": [
            _member(one, checkpoints[name])
            for name in best.configurations
            for one in configurations[name]
        ],
        **{key: best.chosen.plain()[key] for key in ("threshold", "postprocess")},
        **_scores(best),
        "why": verdict.result.why,
        "objective": config.objective,
        "tolerance": config.tolerance,
        "band": config.band,
        "margin": margin,
        "groups": by_group(verdict.problem.cases, scores, rival),
        "honest": estimate,
        "inference": configurations[best.configurations[0]][0].inference,
        "table": rows,
    }
    write_csv(output.with_suffix(".csv"), rows)
    write_json(output, content)


def _member(one: HeldOutRun, checkpoint: str) -> dict[str, Any]:
    return {
        "run": one.run.path.resolve(),
        "checkpoint": checkpoint,
        "checkpoint_sha256": one.digest(checkpoint),
    }


def _row(system: System) -> dict[str, Cell]:
    estimate = system.verdict.honest() or {}
    return {
        "system": system.name,
        "chosen": str(system.chosen),
        **_scores(system),
        **{f"honest_{key}": value for key, value in estimate.items() if key in _SCORES},
    }


def _scores(system: System) -> dict[str, float]:
    return {key: value for key, value in system.chosen.plain().items() if key in _SCORES}
