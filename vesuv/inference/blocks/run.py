"""Prediction of one volume of any size into an OME-Zarr image."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from vesuv.errors import InputError
from vesuv.inference.blocks.arrays import MASK_LEVEL, written_by_blocks
from vesuv.inference.blocks.blending import OnWindows, count_windows
from vesuv.inference.blocks.input import BlockInput
from vesuv.inference.blocks.journal import BlockRecord, Journal, OnRecord
from vesuv.inference.blocks.output import BlockOutput
from vesuv.inference.blocks.plan import BlockPlan, block_name
from vesuv.inference.blocks.postprocessing import write_mask
from vesuv.inference.blocks.records import checked_records, rate_line
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.blocks.source import Source
from vesuv.inference.blocks.statistics import ImageStatistics
from vesuv.inference.blocks.target import check_target, clear_target
from vesuv.inference.blocks.work import BlockWork
from vesuv.inference.chosen_mask import ChosenMask
from vesuv.inference.compilation import CompileChoice, choose
from vesuv.inference.domain_shift import DomainShift
from vesuv.inference.engines.local import predict_blocks
from vesuv.inference.members import Member
from vesuv.inference.postprocess.blockwise import Block
from vesuv.inference.predictor import Predictor
from vesuv.inference.provenance import PROVENANCE, provenance
from vesuv.inference.uncertainty import largest_uncertainty
from vesuv.io.tables import write_json
from vesuv.types import Say, ShowProgress, no_shown_progress, silent


@dataclass(frozen=True)
class BlockPrediction:
    """Prediction of one volume in blocks.

    Args:
        members: Checkpoints, for the record.
        mask: Threshold and post-processing.
        predictor: Networks and settings.
        source: The volume.
        output: Folder of the OME-Zarr image.
        settings: Blocks, statistics, engine.
        command: The command that is called, for provenance.json.
        say: Called with each message.
        show_progress: Shows the progress.
    """

    members: Sequence[Member]
    mask: ChosenMask
    predictor: Predictor
    source: Source
    output: Path
    settings: BlockSettings = field(default_factory=BlockSettings)
    say: Say = silent
    show_progress: ShowProgress = no_shown_progress
    command: str | None = None

    @cached_property
    def input(self) -> BlockInput:
        return BlockInput(self.predictor, self.source)

    @cached_property
    def plan(self) -> BlockPlan:
        return BlockPlan.of(self.input.volume.shape, self.settings.block_size)

    @property
    def largest_uncertainty(self) -> float:
        """Bits that the greatest value of the array of uncertainty stands for."""
        return largest_uncertainty(
            self.predictor.config.model.out_channels, overlap=self.predictor.targets.overlap
        )

    @property
    def has_chain(self) -> bool:
        """Whether the mask of a block depends on other blocks."""
        return any(cut.chain for cut in self.mask.settings.cuts)

    def check(self) -> dict[str, Any]:
        """Check input and output; nothing is written.

        Returns:
            What the output's record says of the job.

        Raises:
            InputError: The input cannot be used, or the output not be written. Or uncertainty or
                calibrated probabilities are asked for that the networks do not give.
        """
        if self.settings.uncertainty:
            self.predictor.ensemble.check_has_several_predictions()
        if self.settings.calibrated:
            self.predictor.check_can_calibrate()
        job = {
            "settings": self._provenance(),
            "input": self.source.record(self.input.volume),
            "blocks": {
                "size": self.plan.block,
                "shard": self.plan.shard,
                "chunk": self.plan.chunk,
                "statistics": self.input.coverage(self.settings.coverage),
            },
        }
        if self.settings.overwrite and self.settings.part.count > 1:
            raise InputError(
                "--part: parts of one output never replace it, found --overwrite; remove the "
                "output, and leave --overwrite out"
            )
        check_target(self.output, self.source, job, overwrite=self.settings.overwrite)
        return job

    def run(self) -> list[DomainShift]:
        """Predict the blocks that are missing; the call that writes the last one finishes.

        Returns:
            How the volume differs from those of training.

        Raises:
            InputError: See `check`; or a block cannot be read, predicted or written. What is
                written stays, and the same call goes on.
        """
        job = self.check()
        if self.settings.overwrite:
            clear_target(self.output)
        journal = Journal.of(self.output)
        with journal.lock(self.say):
            statistics = self._start(journal, job)
        self.say(str(statistics))
        choice = CompileChoice.from_json(journal.job().get("compile"))
        if choice.compiled:
            self.say(f"networks are compiled: {choice.reason}")
        work = self._work(statistics, choice)
        if journal.is_finished:
            self.say(f"{self.output} was predicted before; left as it is")
        else:
            self._predict_missing(work, journal)
        return self.input.shifts(statistics)

    def _start(self, journal: Journal, job: dict[str, Any]) -> ImageStatistics:
        """Return the statistics of an earlier call, or measure them and create the output.

        Raises:
            InputError: The earlier call is another prediction, or the volume has faults.
        """
        if journal.exists:  # perhaps since `check`, by another part
            check_target(self.output, self.source, job, overwrite=False)
            return ImageStatistics.from_json(journal.job()["statistics"])
        with self.show_progress(f"{self.source.id}, intensities", "parts") as progress:
            statistics = self.input.measure(job["blocks"]["statistics"], progress)
        work = self._work(statistics)
        choice = self._choose_compile(work)
        work.output.create({MASK_LEVEL, *work.arrays})
        journal.start({**job, "statistics": statistics.to_json(), "compile": asdict(choice)})
        return statistics

    def _choose_compile(self, work: BlockWork) -> CompileChoice:
        """Compile the networks if that is set, or measured to be faster on one window."""
        setting, predictor = self.predictor.inference.compile, self.predictor
        if setting == "auto" and not self.settings.records_choices:
            setting = "off"
        first, size = predictor.networks[0], predictor.inference.batch_size
        window = first.config.window_size(predictor.inference)
        shape = (size, predictor.num_channels, *window)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        num_windows = sum(work.computer.num_windows(block.region) for block in self.plan.blocks)
        num_batches = num_windows * max(predictor.ensemble.num_views(self.input.spacing)) / size
        machine = predictor.machine
        batch = noise.to(machine.device)
        return choose(setting, first.network, machine, batch, num_batches)

    def _work(self, statistics: ImageStatistics, choice: CompileChoice | None = None) -> BlockWork:
        targets = self.predictor.targets
        has_softmax = self.predictor.config.model.out_channels > 1 and not targets.overlap
        labels = self.predictor.config.labels
        channels = list(labels.classes) if has_softmax else list(targets.names)
        return BlockWork(
            self.predictor,
            self.source,
            self.input.grids,
            statistics,
            self.input.spacing,
            BlockOutput(self.output, self.plan, labels, tuple(channels), targets.overlap),
            self.arrays,
            self.settings.calibrated,
            choice is not None and choice.compiled,
        )

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arrays that blocks are written to."""
        return written_by_blocks(self.settings, has_chain=self.has_chain)

    def _provenance(self) -> dict[str, Any]:
        return provenance(
            self.members,
            self.predictor,
            self.mask,
            probabilities=self.settings.keep_probabilities,
            uncertainty=self.settings.uncertainty,
            calibrated=self.settings.calibrated,
        )

    def _predict_missing(self, work: BlockWork, journal: Journal) -> None:
        own = self.settings.part.of(self.plan.blocks)
        records = checked_records(work, journal, own, self.say)
        missing = [block for block in own if block_name(block) not in records]
        if records:
            self.say(f"{len(records)} of {len(own)} blocks were predicted before")
        start = time.monotonic()
        written: list[BlockRecord] = []
        total = sum(work.computer.num_windows(block.region) for block in missing)
        with self.show_progress(f"{self.source.id}, {len(missing)} blocks", "windows") as progress:
            self._predict(work, missing, written.append, count_windows(progress, total))
        if written:
            seconds = time.monotonic() - start
            self.say(rate_line(self.source.id, written, missing, seconds))
        with journal.lock(self.say):
            if journal.is_finished:
                return
            all_records = self._all_records(work, journal, own)
            if len(all_records) < self.plan.num_blocks:
                num = self.plan.num_blocks - len(all_records)
                self.say(
                    f"{num} of {self.plan.num_blocks} blocks belong to parts that are not "
                    "finished; the last part finishes the output"
                )
                return
            self._finish(work, journal, list(all_records.values()))

    def _all_records(
        self, work: BlockWork, journal: Journal, own: Sequence[Block]
    ) -> dict[str, BlockRecord]:
        """Return the records of all blocks; where none is missing, those of others are checked."""
        records = journal.records(self.plan.blocks)
        if len(own) == len(records) or len(records) < self.plan.num_blocks:
            return records
        names = {block_name(block) for block in own}
        others = [block for block in self.plan.blocks if block_name(block) not in names]
        checked = checked_records(work, journal, others, self.say)
        return {name: records[name] for name in records if name in names or name in checked}

    def _predict(
        self, work: BlockWork, blocks: Sequence[Block], on_record: OnRecord, on_windows: OnWindows
    ) -> None:
        if self.settings.engine == "local":
            predict_blocks(work, blocks, on_record, on_windows)
            return
        from vesuv.inference.engines.ray_ import predict_blocks_on_ray

        def on_remote_record(record: BlockRecord) -> None:
            on_record(record)
            on_windows(record.computed + record.empty)

        predict_blocks_on_ray(work, blocks, on_remote_record, self.settings.workers, self.say)

    def _finish(self, work: BlockWork, journal: Journal, records: list[BlockRecord]) -> None:
        """Post-process, write the coarser levels, and make the output an image."""
        output, like = work.output, self.input.volume.header
        if self.has_chain:
            scratch = journal.folder / "scratch"
            write_mask(output, self.mask.settings, work.spacing, scratch, self.show_progress)
        with self.show_progress(f"{self.source.id}, coarser levels", "levels") as progress:
            if self.settings.keep_probabilities:
                output.finish_levels(like, self.settings.calibrated, progress)
            if self.settings.uncertainty:
                output.finish_uncertainty(like, progress)
            job = journal.job()
            choice = CompileChoice.from_json(job.get("compile"))
            settings = self._provenance()
            settings["inference"].pop("compile", None)
            if choice.compiled:
                settings["inference"]["compile"] = "on"
            record = {
                "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "command": self.command,
                **settings,
                "compile": asdict(choice),
                **{key: job[key] for key in ("input", "blocks", "statistics")},
                "windows": {
                    "computed": sum(one.computed for one in records),
                    "empty": sum(one.empty for one in records),
                },
            }
            write_json(self.output / PROVENANCE, record)
            output.finish_mask(like, {}, progress)
        journal.finish()
        output.remove_levels(keep_probabilities=self.settings.keep_probabilities)
        self.say(f"written: {self.output}")
