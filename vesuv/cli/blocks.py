"""Options of predict for volumes of any size, and what they mean."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from cyclopts import Parameter
from rich.console import Console

from vesuv.cli.options import Switch
from vesuv.cli.progress import progress_on
from vesuv.errors import InputError
from vesuv.inference.blocks.estimate import estimate, measure_rates
from vesuv.inference.blocks.journal import Journal
from vesuv.inference.blocks.plan import BLOCK_EDGE, Part
from vesuv.inference.blocks.run import BlockPrediction
from vesuv.inference.blocks.settings import BlockSettings, Engine
from vesuv.inference.blocks.source import Source
from vesuv.inference.chosen_mask import ChosenMask
from vesuv.inference.domain_shift import shift_lines
from vesuv.inference.inputs import find_inputs
from vesuv.inference.members import Member
from vesuv.inference.predictor import Predictor
from vesuv.io.formats import suffix
from vesuv.io.urls import check_no_url, is_url


class Outputs(NamedTuple):
    """Whether this is written beside the mask."""

    probabilities: bool
    calibrated: bool
    uncertainty: bool


@Parameter(name="*")
@dataclass(frozen=True)
class BlockOptions:
    """Options for volumes of any size.

    Args:
        blocks: Predict block by block also what fits into memory.
        block_size: Edge of a block in voxels.
        level: Level of OME-Zarr images, 0 is the finest.
        anonymous: Read from s3 without credentials.
        statistics: Measure intensities on the full volume or on a regular sample (default: full up
            to 2^33 voxels).
        part: Predict a share i/n of the blocks; the part that ends last finishes the output.
        engine: local: this process; ray: workers of a Ray cluster.
        workers: Workers of --engine ray (default: one for each GPU or CPU).
        resume: Go on with an output that was begun, never begin one.
        plan: With --dry-run: blocks, bytes, hours and memory, from measured rates.
    """

    blocks: Switch = False
    block_size: int = BLOCK_EDGE
    level: int = 0
    anonymous: Switch = False
    statistics: Literal["full", "sample"] | None = None
    part: str | None = None
    engine: Engine = "local"
    workers: int | None = None
    resume: Switch = False
    plan: Switch = False

    def settings(self, outputs: Outputs, *, overwrite: bool) -> BlockSettings:
        """Return what the library needs.

        Raises:
            InputError: Options that exclude each other.
        """
        if self.resume and overwrite:
            raise InputError("--resume: goes on with an output, found --overwrite; leave one out")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"--workers: must be at least 1, found {self.workers}; correct it")
        return BlockSettings(
            block_size=self.block_size,
            coverage=self.statistics,
            part=Part() if self.part is None else Part.parse(self.part),
            engine=self.engine,
            workers=self.workers,
            keep_probabilities=outputs.probabilities or outputs.calibrated,
            calibrated=outputs.calibrated,
            uncertainty=outputs.uncertainty,
            overwrite=overwrite,
            always=self.blocks,
        )

    def settings_given(self) -> dict[str, object]:
        """Return the options that results depend on; of those not given None or False."""
        size = None if self.block_size == BLOCK_EDGE else self.block_size
        return {
            "--blocks": self.blocks,
            "--block-size": size,
            "--statistics": self.statistics,
        }

    def check_for_files(self) -> None:
        """Refuse options that need an output in Zarr.

        Raises:
            InputError: Names the first one.
        """
        given = {
            "--part": self.part is not None,
            "--engine": self.engine != "local",
            "--anonymous": self.anonymous,
            "--plan": self.plan,
            "--resume": self.resume,
        }
        for option, is_given in given.items():
            if is_given:
                raise InputError(
                    f"{option}: is for an output in Zarr; let --output end in .zarr, or leave it "
                    "out"
                )


@dataclass(frozen=True)
class Ensemble:
    """What predicts: checkpoints, threshold and post-processing, networks."""

    members: Sequence[Member]
    mask: ChosenMask
    predictor: Predictor
    precision_note: str | None = None
    """Message where the precision is not that of the selection."""


def is_zarr_output(source: str, output: Path) -> bool:
    """Return whether the output is one OME-Zarr image.

    Raises:
        InputError: The output is an address; or the input is, which has no other output.
    """
    check_no_url(output)
    if suffix(output) == ".zarr":
        return True
    if is_url(source):
        raise InputError(
            f"--output: must end in .zarr for the address {source:.200}, found {output}; name a "
            "Zarr folder"
        )
    return False


def block_prediction(
    out: Console, ensemble: Ensemble, source: str, output: Path, options: BlockOptions,
    settings: BlockSettings,
) -> BlockPrediction:  # fmt: skip
    """Return the prediction of one volume into an OME-Zarr image.

    Raises:
        InputError: Several volumes; or --resume without an output that was begun.
    """
    files: tuple[str, ...] = (source,)
    if not is_url(source):
        volumes = find_inputs(Path(source), num_channels=ensemble.predictor.num_channels)
        if len(volumes) > 1:
            raise InputError(
                f"--output: {output} is one image, found {len(volumes)} volumes in {source}; name "
                "a folder, or one volume"
            )
        files = tuple(map(str, volumes[0].files))
    if options.resume and not Journal.of(output).exists:
        raise InputError(f"--resume: {output} was not begun; leave --resume out")
    return BlockPrediction(
        ensemble.members,
        ensemble.mask,
        ensemble.predictor,
        Source(files, options.level, options.anonymous),
        output,
        settings,
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
        command=shlex.join(sys.argv),
    )


def run_or_plan(
    out: Console, prediction: BlockPrediction, *, dry_run: bool, with_rates: bool
) -> None:
    """Predict one volume into an OME-Zarr image, or print what would be done.

    Args:
        out: Where to.
        prediction: The prediction.
        dry_run: Write nothing.
        with_rates: Also print how long it would take.

    Raises:
        InputError: The plan is asked for in a run.
    """
    if dry_run:
        _print_plan(out, prediction, with_rates=with_rates)
        return
    if with_rates:
        raise InputError("--plan: says what a prediction takes without running it; add --dry-run")
    shifts = prediction.run()
    if prediction.input.has_place:
        out.print(
            f"note: {prediction.source.files[0]} states a place in space, OME-Zarr has none: the "
            "mask keeps the spacing; masks in a folder keep the place too"
        )
    for line in shift_lines({prediction.source.id: shifts}):
        out.print(line)


def check_for_zarr(submission: Path | None) -> None:
    """Refuse the option that an output in Zarr does not have.

    Raises:
        InputError: A submission is asked for.
    """
    if submission is not None:
        raise InputError(
            "--submission: is not written block by block; let --output name a folder, or leave it "
            "out"
        )


def _print_plan(out: Console, prediction: BlockPrediction, *, with_rates: bool) -> None:
    prediction.check()
    plan = prediction.plan
    out.print(f"would read: {', '.join(prediction.source.files)}")
    out.print(
        f"would write: {prediction.output}: {plan.num_blocks} blocks of {plan.block}³ voxels in "
        f"shards of {plan.shard}³"
    )
    if with_rates:
        for line in estimate(prediction, measure_rates(prediction)).lines():
            out.print(line)


BlockGroup = Annotated[BlockOptions | None, Parameter(name="*")]
