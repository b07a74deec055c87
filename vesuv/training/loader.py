"""Batches for the trainer: planned, read and augmented ahead of the step that needs them.

Workers fill one endless stream of steps, so they go on reading while the trainer validates between
two epochs. What a step sees depends on seed, epoch and step alone, not on the workers.
"""

from __future__ import annotations

import gc
import re
import signal
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from vesuv.config.data import AugmentConfig, SamplingConfig
from vesuv.data.case import PreparedCase
from vesuv.data.sampling import PatchSampler
from vesuv.errors import InputError
from vesuv.transforms.collate import Batch, collate
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.patch import RawPatch, apply_transform, read_planned_patch

Step = tuple[int, int]
_CAUSES = {
    "Killed": "the system for want of memory: lower runtime.workers",
    "Bus error": "full shared memory or a store that was changed meanwhile: lower runtime.workers, "
    "or prepare again with --overwrite",
}
"""Signal that ended a loader process, and what it mostly means."""


@dataclass(frozen=True)
class _RawBatch:
    """Patches that are finished on the training device."""

    patches: tuple[RawPatch, ...]
    cases: tuple[int, ...]

    def pin_memory(self) -> _RawBatch:
        return _RawBatch(tuple(patch.pin_memory() for patch in self.patches), self.cases)


@dataclass(frozen=True)
class _Fault:
    """An exception on its way out of a worker; PyTorch's own transport buries the message."""

    message: str
    users: bool

    def error(self) -> Exception:
        return InputError(self.message) if self.users else RuntimeError(self.message)


@dataclass(frozen=True)
class _Steps(Dataset[Any]):
    """Makes the batch of any step; what each worker holds a copy of."""

    sampler: PatchSampler
    intensity_maps: tuple[IntensityMap, ...]
    augment: AugmentConfig | None
    num_classes: int
    finish_here: bool
    places: tuple[int, ...] | None

    def __getitem__(self, step: Step) -> Batch | _RawBatch | _Fault:
        case = ""
        try:
            raw: list[RawPatch] = []
            plans = self.sampler.plan(*step, self.places)
            for plan in plans:
                case = f"case {self.sampler.cases[plan.case].id}: "
                raw.append(read_planned_patch(self.sampler, plan, self.augment))
            batch = _RawBatch(tuple(raw), tuple(plan.case for plan in plans))
            return self.finish(batch) if self.finish_here else batch
        except InputError as fault:
            return _Fault(f"{case}{fault}", users=True)
        except Exception as fault:
            where = traceback.format_exc()
            return _Fault(f"{case}{type(fault).__name__}: {fault}\n{where}", users=False)

    def finish(self, batch: _RawBatch) -> Batch:
        """Normalise and augment on the device that the patches lie on."""
        patches = [
            apply_transform(patch, self.intensity_maps[case], self.num_classes)
            for patch, case in zip(batch.patches, batch.cases, strict=True)
        ]
        return collate(patches, tuple(self.sampler.cases[case].id for case in batch.cases))


class _Stream(Sampler[Step]):
    """All steps from a given one on, without end."""

    def __init__(self, epoch: int, step: int, steps_per_epoch: int) -> None:
        self.start, self.steps_per_epoch = (epoch, step), steps_per_epoch

    def __iter__(self) -> Iterator[Step]:
        epoch, first = self.start
        while True:
            for step in range(first, self.steps_per_epoch):
                yield epoch, step
            epoch, first = epoch + 1, 0


class PatchLoader:
    """Batches of augmented patches on the training device.

    Args:
        cases: Training cases.
        intensity_maps: Normalisation of each case, in the same order.
        sampling: Patch size, batch size and foreground share.
        augment: None leaves patches as they are.
        seed: Together with epoch and step it settles every batch, whatever `workers` is.
        steps_per_epoch: Steps of one epoch.
        workers: Processes that read ahead; 0 reads in the calling process.
        augment_on: worker: workers hand over finished float patches; device: they hand over the
            stored voxels (fewer bytes, no arithmetic) and the device does the rest.
        device: Where batches are put.
        num_classes: Classes, background counted.
        places: Which patches of each step's batch are made here; None: all of them.

    Raises:
        InputError: No case holds a voxel that is not ignored.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        intensity_maps: Sequence[IntensityMap],
        sampling: SamplingConfig,
        augment: AugmentConfig | None,
        *,
        seed: int,
        steps_per_epoch: int,
        workers: int,
        augment_on: Literal["worker", "device"],
        device: torch.device,
        num_classes: int,
        places: tuple[int, ...] | None = None,
    ) -> None:
        sampler = PatchSampler.build(cases, sampling, seed)
        in_worker = augment_on == "worker"
        self._steps = _Steps(
            sampler, tuple(intensity_maps), augment, num_classes, in_worker, places
        )
        self._steps_per_epoch = steps_per_epoch
        self._workers = workers
        self._device = device
        self._stream: Iterator[Batch | _RawBatch | _Fault] | None = None
        self._position: Step = (0, 0)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from `start_step` on.

        Raises:
            InputError: A case cannot be read; names it.
            RuntimeError: Anything else went wrong with a case; names it.
        """
        if self._stream is None or self._position != (epoch, start_step):
            self.close()
            self._stream = self._open(epoch, start_step)
        for step in range(start_step, self._steps_per_epoch):
            made = next(self._stream)
            last = step + 1 == self._steps_per_epoch
            self._position = (epoch + 1, 0) if last else (epoch, step + 1)
            if isinstance(made, _Fault):
                self.close()
                raise made.error()
            yield self._on_device(made)

    def close(self) -> None:
        """Stop the workers; the loader can be used again."""
        self._stream = None

    def _open(self, epoch: int, step: int) -> Iterator[Batch | _RawBatch | _Fault]:
        stream = _Stream(epoch, step, self._steps_per_epoch)
        if self._workers == 0:
            return (self._steps[at] for at in stream)
        return iter(
            DataLoader(
                self._steps,
                batch_size=None,
                sampler=stream,
                num_workers=self._workers,
                pin_memory=self._device.type == "cuda",
                worker_init_fn=_settle_in,
            )
        )

    def _on_device(self, made: Batch | _RawBatch) -> Batch:
        if isinstance(made, _RawBatch):
            patches = tuple(patch.to(self._device) for patch in made.patches)
            return self._steps.finish(_RawBatch(patches, made.cases))
        image = made.image.to(self._device, non_blocking=True)
        return Batch(image, made.label.to(self._device, non_blocking=True), made.cases)


@contextmanager
def explain_ended_workers() -> Iterator[None]:
    """Turn PyTorch's word that a loader process has died into a sentence with the likely cause.

    PyTorch raises it from a signal handler, wherever the training process happens to be.

    Raises:
        InputError: In its place.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as fault:
        found = re.search(r"DataLoader worker.* (?:by signal: ([\w ]+)|exited)", str(fault))
        if isinstance(fault, RuntimeError) and found is None:
            raise
        # When the queue breaks before the signal is seen, its name is not known: mostly "Killed".
        end = ((found and found[1]) or "Killed").strip()
        cause = _CAUSES.get(end, "a fault in a library")
        raise InputError(
            f"runtime.workers: a loader process was ended ({end}), most likely by {cause}; what "
            "was saved is whole, go on with --resume"
        ) from None


def _settle_in(_worker: int) -> None:
    """Leave Ctrl-C, which reaches the whole process group, to the trainer, and its memory too.

    The garbage collector would write to every object that the trainer made, and so copy it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
