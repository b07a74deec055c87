"""Prediction of files: masks in the format of their inputs, probabilities, submission."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vesuv.data.labels import decode
from vesuv.errors import InputError, InputErrors
from vesuv.inference.blocks.file_output import (
    block_folder,
    predict_to_files,
    settings_for_files,
)
from vesuv.inference.blocks.run import BlockPrediction
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.chosen_mask import ChosenMask
from vesuv.inference.domain_shift import DomainShift, InputGrid, shift_lines
from vesuv.inference.inputs import InputVolume
from vesuv.inference.members import Member
from vesuv.inference.prediction import Prediction
from vesuv.inference.prediction_record import (
    PROBABILITIES,
    UNCERTAINTY,
    PredictionRecord,
    open_record,
    output_files,
)
from vesuv.inference.predictor import Predictor
from vesuv.inference.provenance import PROVENANCE, provenance
from vesuv.inference.submission import check_submission, write_submission
from vesuv.io.formats import suffix, volumes_in, write
from vesuv.io.places import check_no_links, contains
from vesuv.io.tables import read_json_or_none
from vesuv.types import Array, ClassArray, Say, ShowProgress, no_shown_progress, silent


@dataclass(frozen=True)
class FilePrediction:
    """Prediction of volumes into a folder.

    Args:
        members: Checkpoints, for provenance.json.
        mask: Threshold and post-processing, for provenance.json.
        predictor: Networks and settings.
        output: Folder for masks and provenance.json.
        probabilities: Write probabilities/<name> too, float32 in the input's format.
        uncertainty: Write uncertainty/<name> too, float32 in the input's format, see
            `Predictor.uncertainty`.
        calibrated: The probabilities are calibrated, see `vesuv.inference.temperature`; masks are
            made of the others.
        submission: Zip file with <id>.tif of each volume, uint8, 1 on every foreground class.
        say: Called with each message.
        show_progress: Shows the progress of each volume.
        overwrite: Replace masks, probabilities and submission of earlier predictions.
        command: The command that is called, for provenance.json.
        blocks: How large volumes are predicted in blocks.
    """

    members: Sequence[Member]
    mask: ChosenMask
    predictor: Predictor
    output: Path
    probabilities: bool = False
    submission: Path | None = None
    say: Say = silent
    show_progress: ShowProgress = no_shown_progress
    overwrite: bool = False
    uncertainty: bool = False
    calibrated: bool = False
    command: str | None = None
    blocks: BlockSettings = field(default_factory=BlockSettings)

    def check(self, volumes: Sequence[InputVolume]) -> PredictionRecord:
        """Check that no file is replaced that this call may not replace; nothing is written.

        Returns:
            Record of this prediction, with the volumes that an earlier call has finished.

        Raises:
            InputError: Names the first such file, and what to do. Or uncertainty or calibrated
                probabilities are asked for that the networks do not give.
        """
        if self.uncertainty:
            self.predictor.ensemble.check_has_several_predictions()
        if self.calibrated:
            self.predictor.check_can_calibrate()
        if self.submission is not None:
            check_submission(self.submission)
        settings = {
            **provenance(
                self.members,
                self.predictor,
                self.mask,
                probabilities=self.probabilities,
                uncertainty=self.uncertainty,
                calibrated=self.calibrated,
            ),
            "blocks": self.blocks.record(),
        }
        return open_record(
            self.output,
            settings,
            volumes,
            submission=self.submission,
            command=self.command,
            overwrite=self.overwrite,
        )

    def output_files(self, volume: InputVolume) -> list[Path]:
        """Return the files that are written for a volume, the mask first."""
        return output_files(
            self.output,
            volume,
            probabilities=self.probabilities,
            uncertainty=self.uncertainty,
        )

    def run(self, volumes: Sequence[InputVolume]) -> list[Path]:
        """Predict each volume; volumes with faults are left out and reported at the end.

        A prediction that was interrupted goes on with the volumes that it has not finished.

        Returns:
            Files of the masks.

        Raises:
            InputErrors: Some volumes have faults; the masks of all others are written. Or files
                would be replaced, see `check`; nothing is written.
        """
        record = self.check(volumes)
        done = record.done_before
        if done:
            self.say(
                f"{len(done)} of {len(volumes)} volumes were predicted before; left as they are"
            )
        faults: list[str] = []
        shifts: dict[str, list[DomainShift]] = {}
        record.write()
        for number, volume in enumerate(volumes, start=1):
            if volume.id in done:
                continue
            title = f"{number}/{len(volumes)} {volume.id}"
            try:
                if self.blocks.always or volume.source.is_large():
                    shifts[volume.id] = self._predict_in_blocks(volume, title)
                else:
                    shifts[volume.id] = self._predict(volume, title)
            except InputError as fault:
                faults.append(str(fault))
                self.say(f"{title}: left out: {fault}")
            else:
                record.finish(volume, shifts[volume.id])
        finished = [volume for volume in volumes if volume.id in record.finished]
        masks = [self.output / volume.output_name for volume in finished]
        if self.submission is not None and faults:
            faults.append(f"--submission: {self.submission} not written, volumes are missing")
        elif self.submission is not None:
            background = self.predictor.config.labels.values()[0][1][0]
            write_submission(self.submission, masks, background, self.output)
        for line in shift_lines(shifts):
            self.say(line)
        self.say(
            f"written: {len(masks) - len(done)} of {len(volumes)} masks and {PROVENANCE} in "
            f"{self.output}"
        )
        if faults:
            raise InputErrors(faults)
        return masks

    def _predict(self, volume: InputVolume, title: str) -> list[DomainShift]:
        """Predict one volume, write its mask, and return how it differs from training."""
        start = time.monotonic()
        like, image = volume.source.read()
        grid = InputGrid(like.spacing, like.unit, like.direction)
        with self.show_progress(title, "windows") as progress:
            try:
                prediction = self.predictor.predict_on_grid(
                    image, grid, progress, uncertainty=self.uncertainty
                )
            except InputError as fault:
                raise InputError(f"{volume.files[0]}: {fault}") from None
        classes = self.predictor.classes(prediction.probs, self.predictor.spacing_of(grid))
        for file, array in zip(
            self.output_files(volume), self._arrays(prediction, classes), strict=True
        ):
            write(file, array, like)
        share = float(np.count_nonzero(classes)) / classes.size
        seconds = time.monotonic() - start
        self.say(f"{title}: {share:.2%} foreground, {seconds:.1f} s{_views(prediction)}")
        return prediction.shifts

    def _predict_in_blocks(self, volume: InputVolume, title: str) -> list[DomainShift]:
        """Predict one volume block by block, and write its mask slab by slab."""
        files = self.output_files(volume)
        start = time.monotonic()
        prediction = BlockPrediction(
            self.members,
            self.mask,
            self.predictor,
            volume.source,
            block_folder(files[0]),
            settings_for_files(
                self.blocks, probabilities=self.probabilities, uncertainty=self.uncertainty
            ),
            self.say,
            self.show_progress,
        )
        shifts = predict_to_files(prediction, files, calibrated=self.calibrated)
        self.say(f"{title}: {time.monotonic() - start:.1f} s, in blocks")
        return shifts

    def _arrays(self, prediction: Prediction, classes: ClassArray) -> Iterator[Array]:
        """Yield what is written for a volume, in the order of `output_files`."""
        yield decode(classes, self.predictor.config.labels)
        if self.probabilities:
            probs = prediction.probs
            probs = self.predictor.calibrate(probs) if self.calibrated else probs
            yield (probs[0] if len(probs) == 1 else probs).numpy()
        if prediction.uncertainty is not None:
            yield prediction.uncertainty.numpy()


def _views(prediction: Prediction) -> str:
    """Return how many views were averaged, as the end of a sentence; empty without views."""
    counts = sorted(set(prediction.num_views))
    return "" if counts == [1] else f", {' or '.join(map(str, counts))} views of each window"


def check_output(source: Path, output: Path) -> None:
    """Refuse a folder whose volumes are not predictions.

    Masks have the names of their inputs, so they could overwrite other volumes.

    Args:
        source: Input volume, or folder of volumes.
        output: Folder for the masks.

    Raises:
        InputError: `output` holds the inputs or other volumes, or is a file or named as one.
    """
    folder = source if source.is_dir() else source.parent
    if output.exists() and not output.is_dir():
        raise InputError(f"--output: {output} is a file; name a folder")
    if suffix(output) and not output.exists():
        raise InputError(
            f"--output: masks are written into a folder, found the file name {output}; name a "
            "folder"
        )
    inputs = [folder, *(volumes_in(source) if source.is_dir() else [source])]
    if any(contains(output, path) for path in inputs):  # also where inputs are links into it
        raise InputError(f"--output: {output} holds the inputs; name another folder")
    below = [output / PROBABILITIES, output / UNCERTAINTY]
    check_no_links(below)
    folders = [path for path in (output, *below) if path.is_dir()]
    if any(map(volumes_in, folders)) and not _is_own(output / PROVENANCE):
        raise InputError(
            f"--output: {output} holds volumes that were not predicted by vesuv (no {PROVENANCE} "
            "of it); name another folder"
        )


def _is_own(path: Path) -> bool:
    """Return whether a file is a provenance.json of vesuv."""
    content = read_json_or_none(path) or {}
    return content.get("version") == 1 and "threshold" in content
