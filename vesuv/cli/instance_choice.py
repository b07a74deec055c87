"""What instances does without volumes: choose parameters on held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vesuv.cli.dry_run import print_selection_plan
from vesuv.cli.instance_networks import NetworkOptions
from vesuv.cli.options import use_threads
from vesuv.cli.progress import progress_on
from vesuv.errors import InputError, command
from vesuv.inference.best_file import read_best
from vesuv.runs.folder import RunFolder
from vesuv.selection.best_ensemble import BestEnsemble
from vesuv.selection.held_out import open_held_out
from vesuv.selection.instances import (
    InstanceChoice,
    TruthOptions,
    check_instances_file,
    kind_of,
    select_instances,
)


def choose_instances(
    out: Console,
    networks: NetworkOptions,
    truth: TruthOptions,
    changes: Sequence[str],
    *,
    dry_run: bool,
) -> None:
    """Choose parameters, write them into each run or beside best.json, and print the choice.

    Raises:
        InputError: No run, or see `select_instances`.
    """
    networks.check_best()
    best, runs = networks.best, networks.runs
    if best is not None:
        runs = [Path(one.run) for one in read_best(best).members]
    if not runs:
        raise InputError("--run: needs at least one run folder, found none; name log/<config>/fold")
    if dry_run:
        _print_plan(out, networks, truth, changes)
        return
    use_threads(runs, changes)
    choice = select_instances(
        runs if best is None else (),
        best=best,
        **truth._asdict(),
        checkpoints=networks.checkpoints,
        changes=changes,
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
    )
    for sentence in _sentences(choice):
        out.print(sentence)
    out.print(f"written: {', '.join(map(str, choice.files))}")
    named = ("--run", *runs) if best is None else ("--best", best)
    out.print(f"next: {command('instances', *named, '--input', '...', '--output', '...')}")


def _print_plan(
    out: Console, networks: NetworkOptions, truth: TruthOptions, changes: Sequence[str]
) -> None:
    if networks.best is not None:
        ensemble = BestEnsemble.open(networks.best, changes)
        check_instances_file(ensemble.instances_file)
        kind_of(ensemble.runs, truth.boundary, truth.foreground)
        for name, opened in ensemble.configurations.items():
            print_selection_plan(out, opened, [ensemble.checkpoints[name]], ())
        out.print(f"would write: {ensemble.instances_file}")
        return
    for run in networks.runs:
        check_instances_file(RunFolder(run).instances_file)
    opened = open_held_out(networks.runs, changes)
    kind_of(opened, truth.boundary, truth.foreground)
    outputs = [one.run.instances_file for one in opened]
    print_selection_plan(out, opened, networks.checkpoints, outputs)


def _sentences(choice: InstanceChoice) -> list[str]:
    """Return the choice and its honest estimate as sentences."""
    num = len(choice.search.cases)
    sentences = [
        f"chosen {choice.chosen}: the lowest VOI, {_scores(choice.scores)}, of "
        f"{len(choice.search.scores)} choices on {num} held-out case{'s' * (num > 1)}"
    ]
    if choice.honest_scores is not None:
        sentences.append(
            f"honest estimate, chosen without and scored on each {choice.part_kind} in turn: "
            f"{_scores(choice.honest_scores)}"
        )
    return sentences


def _scores(scores: dict[str, float]) -> str:
    f1 = f", F1 of objects {scores['f1']:.3f}" if "f1" in scores else ""
    return (
        f"{scores['voi']:.3f} bits (split {scores['voi_split']:.3f}, merge "
        f"{scores['voi_merge']:.3f}), adapted Rand error {scores['rand_error']:.4f}{f1}"
    )
