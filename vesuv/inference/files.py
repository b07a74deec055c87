"""Masks of new volumes from one run or the mean of several, in each input's own form."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from torch import Tensor

from vesuv.cli.progress import windows_progress
from vesuv.config import Config
from vesuv.data.labels import decode
from vesuv.data.resample import resample_image, resample_probs
from vesuv.data.statistics import case_statistics
from vesuv.errors import InputError, InputErrors
from vesuv.inference.inputs import InputVolume, find_inputs, read_input
from vesuv.inference.masking import Masking, choose_masking
from vesuv.inference.masks import ClassArray
from vesuv.inference.predictor import (
    Member,
    Predictor,
    inference_settings,
    open_members,
    runtime_settings,
)
from vesuv.inference.provenance import PROVENANCE, provenance
from vesuv.inference.volume import Progress
from vesuv.io.formats import Volume, volumes_in, write
from vesuv.io.tables import write_json
from vesuv.runtime.machine import resolve
from vesuv.selection.best_file import open_best


@dataclass(frozen=True)
class PredictOptions:
    """What the command line may say; None leaves it to the runs."""

    best: Path | None = None
    """File of find_best that says everything in place of runs."""
    checkpoint: str | None = None
    """Name of the checkpoint to take from each run; None: the selected one, else the best."""
    threshold: float | None = None
    """Probability from which a voxel is foreground; None: the mean of the selected ones."""
    postprocess: str | None = None
    """"none" leaves post-processing out; None: as selected, else as configured."""
    probabilities: bool = False
    """Write probabilities/<name> as well, float32 in the input's format."""
    submission: Path | None = None
    """Zip of <id>.tif at its root, uint8, 1 on every foreground class."""
    mirror: bool | None = None
    """Instead of the first run's inference.mirror."""
    overlap: float | None = None
    """Instead of the first run's inference.overlap."""
    device: str | None = None
    """Instead of the first run's runtime.device."""


@dataclass
class _Job:
    """One prediction under way."""

    members: Sequence[Member]
    predictor: Predictor
    masking: Masking
    output: Path
    options: PredictOptions
    console: Console
    submission: _Submission
    done: list[InputVolume] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def config(self) -> Config:
        """The first run's; the others agree in what matters here."""
        return self.members[0].checkpoint.config


def predict(
    runs: Sequence[Path],
    source: Path,
    output: Path,
    options: PredictOptions = PredictOptions(),
) -> list[Path]:
    """Predict every volume of `source`; goes past those that cannot be, and names them at the end.

    Args:
        runs: Run folders; the probabilities of several are averaged. None with `options.best`.
        source: A volume, or a folder of volumes.
        output: Folder for masks and provenance.json.
        options: Changes to what the runs say.

    Returns:
        The masks.

    Raises:
        InputError: Runs that cannot be used, nothing to predict, or (at the end) bad volumes.
    """
    members = _members(runs, options)
    config = members[0].checkpoint.config
    volumes = find_inputs(source, channel_files=config.data.layout == "nnunet")
    _check_output(source, output)
    masking = choose_masking(members, options.threshold, options.postprocess)
    machine = resolve(runtime_settings(config.runtime, options.device))
    torch.set_num_threads(machine.threads)
    settings = inference_settings(config.inference, options.overlap, options.mirror)
    predictor = Predictor([member.checkpoint for member in members], settings, machine)
    console = Console(highlight=False, soft_wrap=True)
    _introduce(console, members, masking)
    with TemporaryDirectory(prefix="vesuv-") as folder:
        submission = _Submission(Path(folder), options.submission)
        job = _Job(members, predictor, masking, output, options, console, submission)
        write_json(output / PROVENANCE, _provenance(job))
        for number, volume in enumerate(volumes, start=1):
            _attempt(job, volume, f"{number}/{len(volumes)} {volume.id}")
        if not job.faults:
            submission.finish()
        elif options.submission is not None:
            job.faults.append(
                f"--submission: {options.submission} not written, volumes are missing"
            )
    write_json(output / PROVENANCE, _provenance(job))
    console.print(
        f"written: {len(job.done)} of {len(volumes)} masks and {PROVENANCE} in {output}",
        markup=False,
    )
    if job.faults:
        raise InputErrors(job.faults)
    return [output / volume.output_name for volume in job.done]


def _members(runs: Sequence[Path], options: PredictOptions) -> list[Member]:
    if options.best is None:
        return open_members(runs, options.checkpoint)
    if runs or options.checkpoint is not None:
        raise InputError(
            "--best: says which runs and checkpoints, found --run or --checkpoint as well; leave "
            "them out"
        )
    return open_best(options.best)


def _check_output(source: Path, output: Path) -> None:
    """Masks take their inputs' names: never write over volumes that were not predicted."""
    folder = source if source.is_dir() else source.parent
    if output.exists() and not output.is_dir():
        raise InputError(f"--output: {output} is a file; name a folder")
    if output.resolve() == folder.resolve():
        raise InputError(f"--output: {output} holds the inputs; name another folder")
    if output.is_dir() and volumes_in(output) and not (output / PROVENANCE).is_file():
        raise InputError(
            f"--output: {output} holds volumes that were not predicted by vesuv (no {PROVENANCE}); "
            "name another folder"
        )


def _introduce(console: Console, members: Sequence[Member], masking: Masking) -> None:
    for member in members:
        epoch = member.checkpoint.epoch
        console.print(f"{member.run.path}: {member.name}, epoch {epoch}", markup=False)
        if member.outdated:
            console.print(
                f"{member.run.path}: {member.name} was trained on after it was selected; "
                "validate_distribution.py selects anew",
                markup=False,
            )
    console.print(masking.why, markup=False)
    console.print(masking.chain_why, markup=False)


def _attempt(job: _Job, volume: InputVolume, title: str) -> None:
    """Predict one volume; a fault of its files is kept for the end."""
    start = time.monotonic()
    try:
        like, image = read_input(volume, job.config.model.in_channels)
        with windows_progress(job.console, title) as progress:
            probs = _probabilities(job, volume, like, image, progress)
        classes = job.masking(probs)
        write(job.output / volume.output_name, decode(classes, job.config.labels), like)
        if job.options.probabilities:
            whole = probs[0] if len(probs) == 1 else probs
            write(job.output / "probabilities" / volume.output_name, whole.numpy(), like)
        job.submission.add(volume.id, classes)
    except InputError as fault:
        job.faults.append(str(fault))
        job.console.print(f"{title}: left out: {fault}", markup=False)
        return
    job.done.append(volume)
    share = float(np.count_nonzero(classes)) / classes.size
    seconds = time.monotonic() - start
    job.console.print(f"{title}: {share:.2%} foreground, {seconds:.1f} s", markup=False)


def _probabilities(
    job: _Job, volume: InputVolume, like: Volume, image: npt.NDArray[Any], progress: Progress
) -> Tensor:
    """Return probabilities on the input's own grid; statistics first, as when training."""
    try:
        statistics = case_statistics(image, None)
    except InputError as fault:
        raise InputError(f"{volume.files[0]}: {fault}") from None
    target = job.config.data.spacing
    if target is not None:
        image = resample_image(image, like.spacing, target)
    return resample_probs(job.predictor(image, statistics, progress), like.shape)


def _provenance(job: _Job) -> dict[str, Any]:
    return provenance(
        job.members,
        job.predictor,
        job.masking,
        [(volume.id, volume.files) for volume in job.done],
    )


class _Submission:
    """<id>.tif files gathered into a zip; nothing at all without a target."""

    def __init__(self, folder: Path, target: Path | None) -> None:
        self.folder = folder
        self.target = target

    def add(self, name: str, classes: ClassArray) -> None:
        """Keep one volume, foreground 1."""
        if self.target is not None:
            write(self.folder / f"{name}.tif", (classes > 0).astype(np.uint8))

    def finish(self) -> None:
        """Write the zip under another name, then rename; the TIFFs are compressed already."""
        if self.target is None:
            return
        partial = self.target.with_name(f"{self.target.name}.partial")
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
                for file in sorted(self.folder.iterdir()):
                    archive.write(file, file.name)
            partial.replace(self.target)
        except OSError as fault:
            reason = fault.strerror
            raise InputError(f"--submission: {self.target} cannot be written ({reason})") from None
