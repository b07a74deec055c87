"""Prediction of files: masks in the format of their inputs, probabilities, submission."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vesuv.data.labels import decode
from vesuv.errors import InputError, InputErrors
from vesuv.inference.inputs import InputVolume
from vesuv.inference.members import ChosenMask, Member
from vesuv.inference.predictor import Predictor
from vesuv.inference.provenance import PROVENANCE, provenance
from vesuv.io.atomic import atomic_replace, catch_write_errors, temporary_folder
from vesuv.io.formats import volumes_in, write
from vesuv.io.grid import read_channels
from vesuv.io.places import check_no_links, contains
from vesuv.io.tables import read_json_or_none, write_json
from vesuv.types import ClassArray, Say, ShowProgress, no_shown_progress, silent

_PROBABILITIES = "probabilities"


@dataclass(frozen=True)
class FilePrediction:
    """Prediction of volumes into a folder.

    Args:
        members: Checkpoints, for provenance.json.
        mask: Threshold and post-processing, for provenance.json.
        predictor: Networks and settings.
        output: Folder for masks and provenance.json.
        probabilities: Write probabilities/<name> too, float32 in the input's format.
        submission: Zip file with <id>.tif of each volume, uint8, 1 on every foreground class.
        say: Called with each message.
        show_progress: Shows the progress of each volume.
    """

    members: Sequence[Member]
    mask: ChosenMask
    predictor: Predictor
    output: Path
    probabilities: bool = False
    submission: Path | None = None
    say: Say = silent
    show_progress: ShowProgress = no_shown_progress

    def run(self, volumes: Sequence[InputVolume]) -> list[Path]:
        """Predict each volume; volumes with faults are left out and reported at the end.

        Returns:
            Files of the masks.

        Raises:
            InputErrors: Some volumes have faults; the masks of all others are written.
        """
        if self.submission is not None:
            check_submission(self.submission)
        finished: list[InputVolume] = []
        faults: list[str] = []
        self._record(finished)
        with temporary_folder(self.output / "submission") as folder:
            submission = _Submission(folder, self.submission)
            for number, volume in enumerate(volumes, start=1):
                title = f"{number}/{len(volumes)} {volume.id}"
                try:
                    submission.add(volume.id, self._predict(volume, title))
                except InputError as fault:
                    faults.append(str(fault))
                    self.say(f"{title}: left out: {fault}")
                else:
                    finished.append(volume)
            if not faults:
                submission.finish()
            elif self.submission is not None:
                faults.append(f"--submission: {self.submission} not written, volumes are missing")
        self._record(finished)
        self.say(
            f"written: {len(finished)} of {len(volumes)} masks and {PROVENANCE} in {self.output}"
        )
        if faults:
            raise InputErrors(faults)
        return [self.output / volume.output_name for volume in finished]

    def _predict(self, volume: InputVolume, title: str) -> ClassArray:
        """Predict one volume, write its mask, and return its class indices."""
        start = time.monotonic()
        like, image = read_channels(volume.files)
        with self.show_progress(title, "windows") as progress:
            try:
                probs = torch.from_numpy(self.predictor.predict(image, like.spacing, progress))
            except InputError as fault:
                raise InputError(f"{volume.files[0]}: {fault}") from None
        classes = self.predictor.classes(probs)
        mask = decode(classes, self.predictor.config.labels)
        write(self.output / volume.output_name, mask, like)
        if self.probabilities:
            channels = probs[0] if len(probs) == 1 else probs
            write(self.output / _PROBABILITIES / volume.output_name, channels.numpy(), like)
        share = float(np.count_nonzero(classes)) / classes.size
        seconds = time.monotonic() - start
        self.say(f"{title}: {share:.2%} foreground, {seconds:.1f} s")
        return classes

    def _record(self, finished: Sequence[InputVolume]) -> None:
        inputs = [(volume.id, volume.files) for volume in finished]
        content = provenance(self.members, self.predictor, self.mask, inputs)
        write_json(self.output / PROVENANCE, content)


def check_output(source: Path, output: Path) -> None:
    """Refuse a folder whose volumes are not predictions.

    Masks have the names of their inputs, so they could overwrite other volumes.

    Args:
        source: Input volume, or folder of volumes.
        output: Folder for the masks.

    Raises:
        InputError: `output` holds the inputs or other volumes, or is a file.
    """
    folder = source if source.is_dir() else source.parent
    if output.exists() and not output.is_dir():
        raise InputError(f"--output: {output} is a file; name a folder")
    inputs = [folder, *(volumes_in(source) if source.is_dir() else [source])]
    if any(contains(output, path) for path in inputs):  # also where inputs are links into it
        raise InputError(f"--output: {output} holds the inputs; name another folder")
    check_no_links([output / _PROBABILITIES])
    folders = [path for path in (output, output / _PROBABILITIES) if path.is_dir()]
    if any(map(volumes_in, folders)) and not _is_own(output / PROVENANCE):
        raise InputError(
            f"--output: {output} holds volumes that were not predicted by vesuv (no {PROVENANCE} "
            "of it); name another folder"
        )


def check_submission(path: Path) -> None:
    """Refuse a submission that would replace another file.

    Raises:
        InputError: Its name does not end in .zip, or another file has it.
    """
    if path.suffix != ".zip":
        raise InputError(f"--submission: must end in .zip, found {path}; submission.zip is usual")
    if path.exists() and not zipfile.is_zipfile(path):
        raise InputError(f"--submission: {path} is no zip file; give another name")


def _is_own(path: Path) -> bool:
    """Return whether a file is a provenance.json of vesuv."""
    content = read_json_or_none(path) or {}
    return content.get("version") == 1 and "threshold" in content


class _Submission:
    """Zip file of <id>.tif files; without a target nothing is written."""

    def __init__(self, folder: Path, target: Path | None) -> None:
        self.folder = folder
        self.target = target

    def add(self, name: str, classes: ClassArray) -> None:
        """Add a volume with 1 on every foreground class."""
        if self.target is not None:
            write(self.folder / f"{name}.tif", (classes > 0).astype(np.uint8))

    def finish(self) -> None:
        """Write the zip, uncompressed because the TIFF files are compressed."""
        if self.target is None:
            return
        with (
            catch_write_errors(self.target),
            atomic_replace(self.target) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
        ):
            for file in sorted(self.folder.iterdir()):
                archive.write(file, file.name)
