"""vesuv predict: masks of volumes."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from cyclopts import Parameter
from rich.console import Console

from vesuv.cli.blocks import (
    BlockGroup,
    BlockOptions,
    Ensemble,
    Outputs,
    block_prediction,
    check_for_zarr,
    is_zarr_output,
    run_or_plan,
)
from vesuv.cli.console import console
from vesuv.cli.networks import open_networks
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
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.chosen_mask import choose_mask
from vesuv.inference.files import FilePrediction, check_output
from vesuv.inference.inputs import InputVolume, find_inputs, left_out_note
from vesuv.inference.members import Member
from vesuv.inference.predictor import Predictor
from vesuv.inference.provenance import PROVENANCE
from vesuv.inference.repeat import RecordedPrediction, open_recorded
from vesuv.inference.training_cases import level_note, training_case_note


def predict(
    *,
    source: Annotated[str, Parameter("--input")],
    output: Path,
    run: Annotated[tuple[Path, ...] | None, several("--run")] = None,
    best: Path | None = None,
    model: Annotated[tuple[Path, ...] | None, several("--model")] = None,
    recorded: Annotated[Path | None, Parameter("--from")] = None,
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
    in_blocks: BlockGroup = None,
) -> None:
    """Predict volumes with a run or a bundle, or with several averaged (fold ensemble).

    Args:
        source: A volume, a folder of volumes, or the address of a Zarr (https://…, s3://…).
        output: Folder of masks and provenance.json, or one <name>.zarr, predicted block by block.
        run: Run folders, log/<config>/fold_<k> …
        best: best.json of find_best, in place of --run.
        model: Bundles of export, in place of --run …
        recorded: provenance.json of a prediction, to repeat it with its networks and settings.
        checkpoint: Checkpoints of each run, averaged … (default: the selected one).
        weights: Weight in the mean of each run or, by run, of each checkpoint … (default: equal,
            those of the bundle).
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
        in_blocks: Volumes of any size.
    """
    out, options = console(), in_blocks or BlockOptions()
    is_zarr = is_zarr_output(source, output)
    if is_zarr:
        check_for_zarr(submission)
    else:
        options.check_for_files()
        check_output(Path(source), output)
    if recorded is None:
        all_changes = with_option_changes(changes, overlap, views, device)
        members = open_networks(run, best, model, checkpoint, all_changes)
        mask = choose_mask(members, threshold, postprocess)
        predictor = Predictor.of_members(members, mask.settings, weights=weights)
        ensemble = Ensemble(members, mask, predictor, members[0].precision_note)
        outputs = Outputs(probabilities, calibrated, uncertainty)
        settings = options.settings(outputs, overwrite=overwrite)
    else:
        given = {"--run": run, "--best": best, "--model": model, "--checkpoint": checkpoint,
                 "--weights": weights, "--threshold": threshold, "--postprocess": postprocess,
                 "--probabilities": probabilities, "--calibrated": calibrated,
                 "--uncertainty": uncertainty, "--overlap": overlap, "--views": views,
                 "--device": device, "--set": changes, **options.settings_given()}  # fmt: skip
        repeated = _open_recorded(out, recorded, given)
        ensemble = Ensemble(repeated.members, repeated.mask, repeated.predictor)
        outputs = Outputs(repeated.probabilities, repeated.calibrated, repeated.uncertainty)
        settings = options.settings(outputs, overwrite=overwrite).repeating(repeated.blocks)
    torch.set_num_threads(ensemble.predictor.machine.threads)
    if is_zarr:
        _print_ensemble(out, ensemble, level_note(ensemble.members, options.level, [Path(source)]))
        in_zarr = block_prediction(out, ensemble, source, output, options, settings)
        run_or_plan(out, in_zarr, dry_run=dry_run, with_rates=options.plan)
        return
    num_channels = ensemble.predictor.num_channels
    volumes = find_inputs(Path(source), num_channels=num_channels, level=options.level)
    _print_ensemble(out, ensemble, left_out_note(Path(source)), *_notes(ensemble.members, volumes))
    prediction = _file_prediction(out, ensemble, output, submission, settings)
    if dry_run:
        _print_plan(out, prediction, volumes)
    else:
        prediction.run(volumes)


def _open_recorded(
    out: Console, path: Path, settings_given: Mapping[str, object]
) -> RecordedPrediction:
    """Open a recorded prediction, which no other settings may change."""
    for option, value in settings_given.items():
        if value not in (None, False, ()):
            raise InputError(f"{option}: --from repeats recorded settings; leave one of them out")
    recorded = open_recorded(path)
    for note in recorded.notes:
        out.print(note)
    return recorded


def _print_ensemble(out: Console, ensemble: Ensemble, *notes: str | None) -> None:
    members, mask, predictor = ensemble.members, ensemble.mask, ensemble.predictor
    for one, weight in zip(members, predictor.weights or (1.0,) * len(members), strict=True):
        more = ", trained on since it was selected" if one.is_outdated else ""
        more += f", weight {weight:g}" if predictor.weights else ""
        out.print(f"{one.folder}: {one.name}, epoch {one.checkpoint.epoch}{more}")
    out.print(f"{mask.threshold_reason}; {mask.chain_reason}")
    for note in filter(None, (*notes, ensemble.precision_note)):
        out.print(note)


def _notes(members: Sequence[Member], volumes: Sequence[InputVolume]) -> Iterator[str | None]:
    """What the volumes share with the training cases, and what not."""
    yield training_case_note(members, volumes)
    files = [file for volume in volumes for file in volume.files]
    yield level_note(members, volumes[0].level, files)


def _file_prediction(
    out: Console,
    ensemble: Ensemble,
    output: Path,
    submission: Path | None,
    settings: BlockSettings,
) -> FilePrediction:
    return FilePrediction(
        ensemble.members,
        ensemble.mask,
        ensemble.predictor,
        output,
        settings.keep_probabilities,
        submission,
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
        overwrite=settings.overwrite,
        uncertainty=settings.uncertainty,
        calibrated=settings.calibrated,
        command=shlex.join(sys.argv),
        blocks=settings,
    )


def _print_plan(out: Console, prediction: FilePrediction, volumes: Sequence[InputVolume]) -> None:
    done = prediction.check(volumes).done_before
    remaining = [volume for volume in volumes if volume.id not in done]
    for volume in remaining:
        out.print(f"would read: {', '.join(map(str, volume.files))}")
    files = [path for volume in remaining for path in prediction.output_files(volume)]
    files.append(prediction.output / PROVENANCE)
    for file in [*files, *([prediction.submission] if prediction.submission else [])]:
        out.print(f"would write: {file}")
