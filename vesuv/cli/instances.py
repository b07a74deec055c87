"""vesuv instances: from boundary probabilities to cells."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from cyclopts import Parameter
from rich.console import Console

from vesuv.cli.console import console
from vesuv.cli.dry_run import print_selection_plan
from vesuv.cli.options import (
    Changes,
    Checkpoints,
    DryRun,
    Switch,
    several,
    use_threads,
    with_option_changes,
)
from vesuv.cli.progress import progress_on
from vesuv.config.training import Views
from vesuv.errors import InputError, command
from vesuv.inference.inputs import InputVolume, find_inputs
from vesuv.inference.instances.files import InstanceFiles
from vesuv.inference.instances.networks import (
    is_outdated,
    open_boundary_bundles,
    open_boundary_members,
)
from vesuv.inference.instances.parameters import (
    InstanceSelection,
    read_selection,
    selection_of_runs,
)
from vesuv.inference.instances.sources import BoundarySource, NetworkSource, ProbabilitySource
from vesuv.inference.members import Member
from vesuv.inference.predictor import Predictor
from vesuv.inference.provenance import PROVENANCE
from vesuv.runs.folder import RunFolder
from vesuv.selection.held_out import open_held_out
from vesuv.selection.instances import (
    InstanceChoice,
    check_instances_file,
    kind_of,
    select_instances,
)


def instances(
    *,
    run: Annotated[tuple[Path, ...], several("--run")] = (),
    model: Annotated[tuple[Path, ...], several("--model")] = (),
    source: Annotated[Path | None, Parameter("--input")] = None,
    probabilities: Path | None = None,
    output: Path | None = None,
    parameters: Path | None = None,
    boundary: str | None = None,
    foreground: str | None = None,
    labels: Path | None = None,
    checkpoint: Checkpoints = None,
    overlap: str | None = None,
    views: Views | None = None,
    device: str | None = None,
    changes: Changes = (),
    blocks: Switch = False,
    overwrite: Switch = False,
    dry_run: DryRun = False,
) -> None:
    """Segment cells between membranes, or touching objects such as nuclei.

    With --run alone it chooses the parameters on held-out volumes and writes instances.json into
    each run. With --input or --probabilities it segments volumes with them.

    Args:
        run: Run folders, log/<config>/fold_<k> …; several are averaged.
        model: Bundles of export that predict --input, in place of --run; with --parameters.
        source: A volume or a folder of volumes, whose boundary or foreground the runs predict.
        probabilities: A file or folder of its probabilities, in place of --input.
        output: Folder of the instances, one number a voxel, and of provenance.json.
        parameters: instances.json to segment with (default: that of the runs).
        boundary: Class that separates instances, for the choice (default: the only one).
        foreground: Class whose objects are the instances, in place of --boundary, for the choice.
        labels: Folder of volumes with the true number of each voxel's instance, by case, for the
            choice (default: the components of the labels).
        checkpoint: Checkpoints to choose among …; with --input, the one to predict with.
        overlap: Share that windows overlap: --set inference.overlap=…
        views: Average none, mirror (8), all (48): --set inference.views=…
        device: auto, cpu, cuda or mps: --set runtime.device=…
        changes: Changes to the runs' configuration: section.key=value …
        blocks: Predict block by block also what fits into memory.
        overwrite: Replace instances of an earlier call.
        dry_run: Check everything, say what would be read and written, and write nothing.
    """
    out = console()
    all_changes = with_option_changes(changes, overlap, views, device)
    if source is None and probabilities is None:
        _refuse_given(
            {"--output": output, "--parameters": parameters},
            "segments volumes; name them with --input or --probabilities, or leave it out to "
            "choose parameters",
        )
        truth = _Truth(boundary, foreground, labels)
        _choose(out, run, truth, checkpoint, all_changes, dry_run=dry_run)
        return
    _refuse_given(
        {"--boundary": boundary, "--foreground": foreground, "--labels": labels},
        "belongs to the choice of parameters; leave it out",
    )
    _check_options(source, probabilities, run, model, checkpoint)
    if output is None:
        raise InputError("--output: needs a folder for the instances; name one")
    selection = _selection(run, model, parameters)
    volumes = find_inputs(source or probabilities or Path(), channel_files=False)
    boundaries: BoundarySource = ProbabilitySource(selection)
    if source is not None:
        members = _members(run, model, selection, checkpoint, all_changes)
        boundaries = _networks(out, members, selection, blocks=blocks)
        volumes = find_inputs(source, channel_files=boundaries.predictor.num_channels > 1)
    files = InstanceFiles(
        boundaries,
        selection,
        output,
        overwrite=overwrite,
        command=shlex.join(sys.argv),
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
    )
    out.print(f"parameters: {selection.parameters}")
    _segment(out, files, volumes, dry_run=dry_run)


class _Truth(NamedTuple):
    """Where the true instances of the choice come from."""

    boundary: str | None
    foreground: str | None
    labels: Path | None


def _choose(
    out: Console,
    runs: Sequence[Path],
    truth: _Truth,
    checkpoints: Sequence[str] | None,
    changes: Sequence[str],
    *,
    dry_run: bool,
) -> None:
    if not runs:
        raise InputError("--run: needs at least one run folder, found none; name log/<config>/fold")
    if dry_run:
        for run in runs:
            check_instances_file(RunFolder(run).instances_file)
        opened = open_held_out(runs, changes)
        kind_of(opened, truth.boundary, truth.foreground)
        outputs = [one.run.instances_file for one in opened]
        print_selection_plan(out, opened, checkpoints, outputs)
        return
    use_threads(runs, changes)
    choice = select_instances(
        runs,
        boundary=truth.boundary,
        foreground=truth.foreground,
        labels=truth.labels,
        checkpoints=checkpoints,
        changes=changes,
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
    )
    for sentence in _sentences(choice):
        out.print(sentence)
    out.print(f"written: {', '.join(str(one.instances_file) for one in choice.runs)}")
    words = ("--run", *(one.path for one in choice.runs), "--input", "...", "--output", "...")
    out.print(f"next: {command('instances', *words)}")


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


def _refuse_given(options: Mapping[str, object], rule: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise InputError(f"{option}: {rule}")


def _check_options(
    source: Path | None,
    probabilities: Path | None,
    runs: Sequence[Path],
    bundles: Sequence[Path],
    checkpoints: Sequence[str] | None,
) -> None:
    """Refuse options that exclude each other.

    Raises:
        InputError: Names one of them.
    """
    if source is not None and probabilities is not None:
        raise InputError("--probabilities: stands in place of --input; leave one out")
    if bundles and (runs or checkpoints or source is None):
        raise InputError(
            "--model: names the networks that predict --input; leave --run and --checkpoint out"
        )
    if not runs and not bundles and source is not None:
        raise InputError(
            "--run: --input needs the runs that predict it; name log/<config>/fold_<k>"
        )
    if checkpoints and (probabilities is not None or len(checkpoints) > 1):
        raise InputError("--checkpoint: names the one that predicts --input; leave others out")


def _selection(
    runs: Sequence[Path], bundles: Sequence[Path], parameters: Path | None
) -> InstanceSelection:
    if parameters is not None:
        return read_selection(parameters)
    if bundles:
        raise InputError("--parameters: --model needs an instances.json of its networks; name one")
    return selection_of_runs(runs)


def _members(
    runs: Sequence[Path],
    bundles: Sequence[Path],
    selection: InstanceSelection,
    checkpoints: Sequence[str] | None,
    changes: Sequence[str],
) -> list[Member]:
    if bundles:
        return open_boundary_bundles(bundles, selection, changes)
    name = checkpoints[0] if checkpoints else None
    return open_boundary_members(runs, selection, name, changes)


def _networks(
    out: Console,
    members: Sequence[Member],
    selection: InstanceSelection,
    *,
    blocks: bool,
) -> NetworkSource:
    predictor = Predictor.of_members(members)
    torch.set_num_threads(predictor.machine.threads)
    for one in members:
        note = ", trained on since the parameters were chosen" if is_outdated(one) else ""
        out.print(f"{one.folder}: {one.name}, epoch {one.checkpoint.epoch}{note}")
    if members[0].precision_note is not None:
        out.print(members[0].precision_note)
    return NetworkSource(
        members,
        predictor,
        selection,
        always_blocks=blocks,
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
    )


def _segment(
    out: Console, files: InstanceFiles, volumes: Sequence[InputVolume], *, dry_run: bool
) -> None:
    if not dry_run:
        files.run(volumes)
        return
    files.check(volumes)
    for volume in volumes:
        out.print(f"would read: {', '.join(map(str, volume.files))}")
    for path in (*(files.file(volume) for volume in volumes), files.output / PROVENANCE):
        out.print(f"would write: {path}")
