"""vesuv instances: from boundary probabilities to cells."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter
from rich.console import Console

from vesuv.cli.console import console
from vesuv.cli.instance_choice import choose_instances
from vesuv.cli.instance_networks import NetworkOptions
from vesuv.cli.options import (
    Changes,
    Checkpoints,
    DryRun,
    Switch,
    several,
    with_option_changes,
)
from vesuv.cli.progress import progress_on
from vesuv.config.training import Views
from vesuv.errors import InputError
from vesuv.inference.instances.files import InstanceFiles
from vesuv.inference.instances.inputs import InstanceInput, find_instance_inputs
from vesuv.inference.instances.networks import is_outdated
from vesuv.inference.instances.parameters import InstanceSelection
from vesuv.inference.instances.sources import BoundarySource, NetworkSource, ProbabilitySource
from vesuv.inference.predictor import Predictor
from vesuv.inference.provenance import PROVENANCE
from vesuv.io.urls import check_no_url
from vesuv.selection.instances import TruthOptions


def instances(
    *,
    run: Annotated[tuple[Path, ...], several("--run")] = (),
    best: Path | None = None,
    model: Annotated[tuple[Path, ...], several("--model")] = (),
    source: Annotated[str | None, Parameter("--input")] = None,
    probabilities: str | None = None,
    output: Path | None = None,
    parameters: Path | None = None,
    boundary: str | None = None,
    foreground: str | None = None,
    labels: str | None = None,
    checkpoint: Checkpoints = None,
    level: int | None = None,
    anonymous: Switch = False,
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
    each run; with --best alone it writes best.instances.json. With --input or --probabilities it
    segments volumes with them.

    Args:
        run: Run folders, log/<config>/fold_<k> …; several are averaged.
        best: best.json of find_best, in place of --run.
        model: Bundles of export that predict --input, in place of --run; with --parameters.
        source: A volume, a folder of volumes, or the address of a Zarr (https://…, s3://…), whose
            boundary or foreground the runs predict.
        probabilities: A file, folder or address of its probabilities, in place of --input.
        output: Folder of the instances, one number a voxel, and of provenance.json.
        parameters: instances.json to segment with (default: that of --run or --best).
        boundary: Class that separates instances, for the choice (default: the only one).
        foreground: Class whose objects are the instances, in place of --boundary, for the choice.
        labels: Folder of volumes with the true number of each voxel's instance, by case, or address
            of one with <case>.zarr, for the choice (default: the components of the labels).
        checkpoint: Checkpoints to choose among …; with --input, the one to predict with.
        level: Level of OME-Zarr images, 0 is the finest.
        anonymous: Read from s3 without credentials.
        overlap: Share that windows overlap: --set inference.overlap=…
        views: Average none, mirror (8), all (48): --set inference.views=…
        device: auto, cpu, cuda or mps: --set runtime.device=…
        changes: Changes to the runs' configuration: section.key=value …
        blocks: Predict block by block also what fits into memory.
        overwrite: Replace instances of an earlier call.
        dry_run: Check everything, say what would be read and written, and write nothing.
    """
    out, options = console(), NetworkOptions(run, best, model, checkpoint)
    all_changes = with_option_changes(changes, overlap, views, device)
    path = source or probabilities
    if path is None:
        _refuse_given(
            {"--output": output, "--parameters": parameters, "--level": level},
            "segments volumes; name them with --input or --probabilities, or leave it out to "
            "choose parameters",
        )
        truth = TruthOptions(boundary, foreground, labels, anonymous)
        choose_instances(out, options, truth, all_changes, dry_run=dry_run)
        return
    _refuse_given(
        {"--boundary": boundary, "--foreground": foreground, "--labels": labels},
        "belongs to the choice of parameters; leave it out",
    )
    if source is not None and probabilities is not None:
        raise InputError("--probabilities: stands in place of --input; leave one out")
    options.check(predicts=source is not None)
    if output is None:
        raise InputError("--output: needs a folder for the instances; name one")
    check_no_url(output)
    selection = options.selection(parameters)
    boundaries: BoundarySource = ProbabilitySource(selection)
    if source is not None:
        boundaries = _networks(out, options, selection, all_changes, blocks=blocks)
    volumes = find_instance_inputs(
        path, num_channels=boundaries.num_channels, level=level or 0, anonymous=anonymous
    )
    out.print(f"parameters: {selection.parameters}")
    for sentence in boundaries.warnings(volumes):
        out.print(sentence)
    _segment(out, boundaries, volumes, output, overwrite=overwrite, dry_run=dry_run)


def _refuse_given(options: Mapping[str, object], rule: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise InputError(f"{option}: {rule}")


def _networks(
    out: Console,
    options: NetworkOptions,
    selection: InstanceSelection,
    changes: Sequence[str],
    *,
    blocks: bool,
) -> NetworkSource:
    members = options.open(selection, changes)
    predictor = Predictor.of_members(members)
    torch.set_num_threads(predictor.machine.threads)
    for one in members:
        note = (
            ", trained on since the parameters were chosen" if is_outdated(one, selection) else ""
        )
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
    out: Console,
    boundaries: BoundarySource,
    volumes: Sequence[InstanceInput],
    output: Path,
    *,
    overwrite: bool,
    dry_run: bool,
) -> None:
    files = InstanceFiles(
        boundaries,
        output,
        overwrite=overwrite,
        command=shlex.join(sys.argv),
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
    )
    if not dry_run:
        files.run(volumes)
        return
    files.check(volumes)
    for volume in volumes:
        out.print(f"would read: {', '.join(volume.source.files)}")
    for path in (*(files.file(volume) for volume in volumes), files.output / PROVENANCE):
        out.print(f"would write: {path}")
