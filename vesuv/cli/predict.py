"""vesuv predict: masks of volumes."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from cyclopts import Parameter
from rich.console import Console

from vesuv.cli.console import console
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
from vesuv.inference.best_file import open_best
from vesuv.inference.chosen_mask import choose_mask
from vesuv.inference.files import FilePrediction, check_output
from vesuv.inference.inputs import InputVolume, find_inputs
from vesuv.inference.members import Member, open_members
from vesuv.inference.predictor import Predictor
from vesuv.inference.provenance import PROVENANCE


def predict(
    *,
    source: Annotated[Path, Parameter("--input")],
    output: Path,
    run: Annotated[tuple[Path, ...] | None, several("--run")] = None,
    best: Path | None = None,
    checkpoint: Checkpoints = None,
    weights: Annotated[tuple[float, ...] | None, several("--weights")] = None,
    threshold: float | None = None,
    postprocess: Literal["none"] | None = None,
    probabilities: Switch = False,
    calibrated: Switch = False,
    uncertainty: Switch = False,
    submission: Path | None = None,
    overlap: str | None = None,
    views: Views | None = None,
    device: str | None = None,
    changes: Changes = (),
    overwrite: Switch = False,
    dry_run: DryRun = False,
) -> None:
    """Predict volumes with one run, or with several averaged (fold ensemble).

    Args:
        source: A volume, or a folder of volumes.
        output: Folder of masks and provenance.json.
        run: Run folders, log/<config>/fold_<k> …
        best: best.json of find_best, in place of --run.
        checkpoint: Checkpoints of each run, averaged … (default: the selected one).
        weights: Weight in the mean of each run or, by run, of each checkpoint … (default: equal).
        threshold: Threshold, of every class (default: the selected ones).
        postprocess: none: leave post-processing out (default: as selected).
        probabilities: Write probabilities as well.
        calibrated: Write calibrated probabilities, with the selected temperature.
        uncertainty: Write the disagreement of networks and views, mutual information in bits.
        submission: Write a submission.zip of uint8 <id>.tif masks.
        overlap: Share that windows overlap (default: as selected): --set inference.overlap=…
        views: Average none, mirror (8), all (48) (default: as selected): --set inference.views=…
        device: auto, cpu, cuda or mps: --set runtime.device=…
        changes: Changes to the runs' configuration: section.key=value …
        overwrite: Replace masks of an earlier prediction. Without it, a prediction that was
            interrupted goes on, and existing files are never replaced.
        dry_run: Check everything, say what would be read and written, and write nothing.
    """
    out = console()
    all_changes = with_option_changes(changes, overlap, views, device)
    members = _members(run, best, checkpoint, all_changes)
    mask = choose_mask(members, threshold, postprocess)
    check_output(source, output)
    channel_files = members[0].config.model.in_channels > 1
    volumes = find_inputs(source, channel_files=channel_files)
    predictor = Predictor.of_members(members, mask.settings, weights=weights)
    torch.set_num_threads(predictor.machine.threads)
    for one in members:
        note = ", trained on since it was selected" if one.is_outdated else ""
        out.print(f"{one.run.path}: {one.name}, epoch {one.checkpoint.epoch}{note}")
    out.print(f"{mask.threshold_reason}; {mask.chain_reason}")
    if members[0].precision_note is not None:
        out.print(members[0].precision_note)
    prediction = FilePrediction(
        members,
        mask,
        predictor,
        output,
        probabilities or calibrated,
        submission,
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
        overwrite=overwrite,
        uncertainty=uncertainty,
        calibrated=calibrated,
        command=shlex.join(sys.argv),
    )
    if dry_run:
        _print_plan(out, prediction, volumes)
        return
    prediction.run(volumes)


def _print_plan(out: Console, prediction: FilePrediction, volumes: Sequence[InputVolume]) -> None:
    done = prediction.check(volumes).done_before
    remaining = [volume for volume in volumes if volume.id not in done]
    for volume in remaining:
        out.print(f"would read: {', '.join(map(str, volume.files))}")
    files = [path for volume in remaining for path in prediction.output_files(volume)]
    files.append(prediction.output / PROVENANCE)
    for file in [*files, *([prediction.submission] if prediction.submission else [])]:
        out.print(f"would write: {file}")


def _members(
    runs: tuple[Path, ...] | None,
    best: Path | None,
    checkpoints: tuple[str, ...] | None,
    changes: list[str],
) -> list[Member]:
    if best is None:
        return open_members(runs or (), checkpoints, changes)
    for word, value in {"--run": runs, "--checkpoint": checkpoints}.items():
        if value is not None:
            raise InputError(f"{word}: --best names runs and checkpoints itself; leave one out")
    return open_best(best, changes)
