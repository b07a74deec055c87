"""The best of several configurations and of their ensembles, as a file that `predict` takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vesuv.errors import InputError
from vesuv.inference.predictor import file_digest
from vesuv.io.tables import write_csv, write_json
from vesuv.selection.out_of_fold import (
    Fold,
    FoldOptions,
    common_checkpoints,
    distinct,
    open_folds,
    predicted,
)
from vesuv.selection.source import Source
from vesuv.selection.systems import System, average, ensembles, nested_rounds, rank_systems
from vesuv.selection.validation import choose
from vesuv.selection.verdict import by_group, difference, honest

BEST = Path("best.json")
_SCORES = ("dice", "gap", "leaderboard", "predicted_fraction", "labelled_fraction")


def find_best(
    runs: Sequence[Path], output: Path = BEST, options: FoldOptions | None = None
) -> Path:
    """Choose for each configuration, then among them and their ensembles, out of fold.

    Writes `output` and the table beside it, as CSV.

    Args:
        runs: Run folders of several configurations; those in one folder are one configuration's.
        output: File to write.
        options: Changes to what the runs say; None: no change.

    Returns:
        `output`.

    Raises:
        InputError: Runs that cannot be used, or that hold out different cases.
    """
    if not runs:
        raise InputError("--run: needs at least one run folder, found none; name log/<config>/fold")
    if output.suffix != ".json":
        raise InputError(f"--output: must end in .json, found {output}; best.json is usual")
    console = Console(highlight=False, soft_wrap=True)
    options = options or FoldOptions()
    folds = {name: open_folds(paths, options) for name, paths in _configurations(runs).items()}
    _check_comparable(folds)
    systems = _systems(folds, options, console)
    config = next(iter(folds.values()))[0].config.selection
    ranked = rank_systems(systems, config)
    _write(output, folds, ranked, honest(nested_rounds(systems, config), ranked[0].verdict.by))
    _show(console, ranked)
    console.print(f"written: {output}, {output.with_suffix('.csv')}", markup=False)
    return output


def _configurations(runs: Sequence[Path]) -> dict[str, list[Path]]:
    """Group runs by the folder that they lie in, named by what tells the folders apart."""
    grouped: dict[Path, list[Path]] = {}
    for run in runs:
        grouped.setdefault(run.resolve().parent, []).append(run)
    names = [folder.name for folder in grouped]
    return {
        folder.name if names.count(folder.name) == 1 else str(folder): paths
        for folder, paths in grouped.items()
    }


def _check_comparable(folds: dict[str, list[Fold]]) -> None:
    """Every configuration must have been judged on the same cases of the same data."""
    (first, reference), *others = folds.items()
    cases = {case.id for fold in reference for case in fold.cases}
    for name, found in others:
        there = {case.id for fold in found for case in fold.cases}
        if there != cases:
            odd = ", ".join(sorted(there ^ cases)[:5])
            raise InputError(
                f"{name}: holds out other cases than {first} (only one of them: {odd}); name runs "
                "of the same folds of one split"
            )
        if found[0].run.fingerprint != reference[0].run.fingerprint:
            raise InputError(
                f"{name}: was trained on data prepared otherwise than that of {first}; "
                "configurations are compared on one store"
            )


def _systems(folds: dict[str, list[Fold]], options: FoldOptions, console: Console) -> list[System]:
    """Choose for each configuration, then for the means of what was chosen."""
    systems: list[System] = []
    chosen: dict[str, Source] = {}
    for name, found in folds.items():
        names, _ = distinct(found, common_checkpoints(found, options.checkpoints), console)
        sources = [predicted(found, each, f"{name}/{each}", console) for each in names]
        verdict = choose(found, sources, console)
        systems.append(System(name, (name,), verdict))
        best = verdict.found.chosen.checkpoint
        chosen[name] = next(source for source in sources if source.name == best)
    for parts in ensembles(list(folds)):
        outputs = {folds[name][0].config.model.out_channels for name in parts}
        if len(outputs) > 1:
            console.print(f"{' + '.join(parts)}: outputs differ, not averaged", markup=False)
            continue
        source = average([chosen[name] for name in parts])
        verdict = choose(folds[parts[0]], [source], console)
        systems.append(System(" + ".join(parts), parts, verdict))
    return systems


def _write(
    output: Path,
    folds: dict[str, list[Fold]],
    ranked: Sequence[System],
    estimate: dict[str, Any] | None,
) -> None:
    best, *others = ranked
    verdict = best.verdict
    measured = verdict.found.of(best.chosen)
    second = others[0] if others else None
    rival = second.verdict.found.of(second.chosen) if second else None
    checkpoints = {
        system.name: system.chosen.checkpoint.rsplit("/", 1)[1]
        for system in ranked
        if len(system.parts) == 1
    }
    first = folds[best.parts[0]][0]
    content = {
        "name": best.name,
        "members": [
            _member(fold, checkpoints[name]) for name in best.parts for fold in folds[name]
        ],
        **{key: best.chosen.plain()[key] for key in ("threshold", "postprocess")},
        **_scores(best),
        "why": verdict.found.why,
        "objective": verdict.problem.config.objective,
        "tolerance": verdict.problem.config.tolerance,
        "band": verdict.problem.config.band,
        "margin": {"over": second.name, **difference(best.chosen, second.chosen)}
        if second
        else None,
        "groups": by_group(verdict.problem.cases, measured, rival),
        "honest": estimate,
        "inference": first.described,
        "table": [_row(system) for system in ranked],
    }
    write_csv(output.with_suffix(".csv"), [_row(system) for system in ranked])
    write_json(output, content)


def _member(fold: Fold, checkpoint: str) -> dict[str, Any]:
    return {
        "run": fold.run.path.resolve(),
        "checkpoint": checkpoint,
        "checkpoint_sha256": file_digest(fold.run.checkpoint(checkpoint)),
    }


def _row(system: System) -> dict[str, Any]:
    estimate = system.verdict.honest() or {}
    return {
        "system": system.name,
        "chosen": str(system.chosen),
        **_scores(system),
        **{f"honest_{key}": value for key, value in estimate.items() if key in _SCORES},
    }


def _scores(system: System) -> dict[str, float]:
    return {key: value for key, value in system.chosen.plain().items() if key in _SCORES}


def _show(console: Console, ranked: Sequence[System]) -> None:
    rows = [_row(system) for system in ranked]
    table = Table(title=f"{len(ranked[0].verdict.problem.cases)} held-out cases, best first")
    shown = [key for key in rows[0] if key not in ("predicted_fraction", "labelled_fraction")]
    for column in shown:
        table.add_column(column, justify="left" if column in ("system", "chosen") else "right")
    for row in rows:
        cells = [row[key] for key in shown]
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in cells))
    console.print(table)
    console.print(f"best: {ranked[0].name}: {ranked[0].verdict.found.why}", markup=False)
