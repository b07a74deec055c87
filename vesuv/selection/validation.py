"""The one place that chooses checkpoint, cut and post-processing: on whole held-out volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vesuv.cli.progress import cases_progress
from vesuv.errors import InputError
from vesuv.inference.predictor import file_digest
from vesuv.io.tables import write_json
from vesuv.runs.folder import Selected
from vesuv.selection.out_of_fold import (
    Fold,
    FoldOptions,
    common_checkpoints,
    distinct,
    open_folds,
    predicted,
)
from vesuv.selection.report import show, write_report
from vesuv.selection.search import Problem, search
from vesuv.selection.source import Source
from vesuv.selection.verdict import Verdict, left_out


def validate_distribution(
    *runs: Path,
    checkpoints: Sequence[str] | None = None,
    overlap: float | None = None,
    mirror: bool | None = None,
    device: str | None = None,
    changes: Sequence[str] = (),
) -> Selected:
    """Search checkpoints, cuts and post-processing on the runs' held-out cases, and select.

    Writes distribution/{cases.csv,summary.json,histogram.png,curves.png,calibration.png} and
    selected.json into the run. For several folds the choice is joint: the table lies in
    distribution/ of their common folder, and every run gets the choice.

    Args:
        runs: A run folder, or those of several folds of one configuration.
        checkpoints: Names of checkpoints to try; every one that all runs have when left out.
        overlap: Instead of inference.overlap.
        mirror: Instead of inference.mirror.
        device: Instead of runtime.device.
        changes: Changes to the runs' configurations, key=value.

    Returns:
        The choice as the first run keeps it.

    Raises:
        InputError: No run, no such checkpoint, no validation cases, runs that are not folds of one
            configuration, or other data than trained on.
    """
    console = Console(highlight=False, soft_wrap=True)
    folder = _folder(runs)
    options = FoldOptions(checkpoints, overlap, mirror, device, tuple(changes))
    folds = open_folds(runs, options)
    names, twins = distinct(folds, common_checkpoints(folds, checkpoints), console)
    sources = [predicted(folds, name, name, console) for name in names]
    verdict = choose(folds, sources, console)
    facts = {
        "runs": [fold.run.path for fold in folds],
        "folds": [fold.run.fold for fold in folds],
        "same_weights": twins,
        "probabilities": [path for source in sources for path in source.folders],
    }
    selected = _write(folder, folds, verdict, facts)
    show(console, verdict, f"{len(verdict.problem.cases)} held-out cases, whole volumes")
    written = ", ".join(str(fold.run.path / "selected.json") for fold in folds)
    console.print(f"written: {written}; {folder}", markup=False)
    return selected


def choose(folds: Sequence[Fold], sources: Sequence[Source], console: Console) -> Verdict:
    """Search on the held-out cases of all folds."""
    config = folds[0].config
    cases = [case for fold in folds for case in fold.cases]
    by, parts = left_out(cases, [[case.id for case in fold.cases] for fold in folds])
    problem = Problem(
        sources=sources,
        cases=cases,
        num_classes=config.labels.num_classes,
        config=config.selection,
        default_chain=config.inference.postprocess,
        parts=parts,
    )
    with cases_progress(console, "search") as tell:
        return Verdict(problem, search(problem, tell), by)


def _folder(runs: Sequence[Path]) -> Path:
    """Where the table lies: in the run, or in the folder that all runs lie in."""
    if not runs:
        raise InputError("--run: needs at least one run folder, found none; name log/<config>/fold")
    if len(runs) == 1:
        return runs[0] / "distribution"
    parents = {run.resolve().parent for run in runs}
    if len(parents) > 1:
        raise InputError(
            f"--run: folds of one configuration lie in one folder, found {len(parents)}: "
            f"{', '.join(sorted(map(str, parents)))}; find_best compares configurations"
        )
    return runs[0].parent / "distribution"


def _write(
    folder: Path, folds: Sequence[Fold], verdict: Verdict, facts: dict[str, object]
) -> Selected:
    """Write the table first and every run's selected.json last."""
    chosen = verdict.plain()
    content = []
    for fold in folds:
        inference = {**fold.settings.model_dump(mode="json"), **fold.described}
        content.append(
            {
                **chosen,
                "runs": facts["runs"],
                "checkpoint_sha256": file_digest(fold.run.checkpoint(chosen["checkpoint"])),
                "inference": inference,
            }
        )
    write_report(folder, verdict, {**facts, "selected": content[0]})
    for fold, said in zip(folds, content, strict=True):
        write_json(fold.run.path / "selected.json", said)
    selected = folds[0].run.selected()
    assert selected is not None
    return selected
