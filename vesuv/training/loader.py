"""Loading of batches: workers plan, read and augment patches ahead of the step that needs them.

Workers read one endless sequence of steps, so that they also read during the validation between two
epochs. A batch is a pure function of seed, epoch and step; it does not depend on the workers.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from vesuv.config.data import AugmentConfig, SamplingConfig
from vesuv.config.labels import Targets
from vesuv.data.case import PreparedCase
from vesuv.data.sampling import PatchSampler
from vesuv.errors import InputError
from vesuv.runtime.memory import is_out_of_memory, is_out_of_shared_memory
from vesuv.transforms.collate import Batch, collate
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.patch import RawPatch, apply_transform, read_planned_patch

StepKey = tuple[int, int]
"""Epoch, and step of the epoch."""

_TIMEOUT_SECONDS = 1800
"""How long a batch may take. A process that is out of memory can hang instead of ending."""
_CAUSES = {
    "Killed": "the system for want of memory: lower runtime.workers",
    "Bus error": "full shared memory or a store that was changed meanwhile: lower runtime.workers, "
    "or prepare again with --overwrite",
}
"""Signal that ended a loader process -> most likely cause."""


@dataclass(frozen=True)
class _RawBatch:
    """Stored patches, to be normalised and augmented on the training device."""

    patches: tuple[RawPatch, ...]
    cases: tuple[int, ...]

    def pin_memory(self) -> _RawBatch:
        return _RawBatch(tuple(patch.pin_memory() for patch in self.patches), self.cases)


@dataclass(frozen=True)
class _WorkerError:
    """Message of an exception in a worker, which PyTorch would hide in a traceback."""

    message: str
    is_input_error: bool

    def exception(self) -> Exception:
        return InputError(self.message) if self.is_input_error else RuntimeError(self.message)


@dataclass(frozen=True)
class _BatchDataset(Dataset[Any]):
    """The batch of any step; each worker has a copy."""

    sampler: PatchSampler
    intensity_maps: tuple[IntensityMap, ...]
    augment: AugmentConfig | None
    num_classes: int
    augment_in_worker: bool
    places: tuple[int, ...] | None

    def __getitem__(self, step: StepKey) -> Batch | _RawBatch | _WorkerError:
        case = ""
        try:
            patches: list[RawPatch] = []
            plans = self.sampler.plan(*step, self.places)
            for plan in plans:
                case = f"case {self.sampler.cases[plan.case].id}: "
                patches.append(read_planned_patch(self.sampler, plan, self.augment))
            raw_batch = _RawBatch(tuple(patches), tuple(plan.case for plan in plans))
            batch = self.augmented(raw_batch) if self.augment_in_worker else raw_batch
            if get_worker_info() is not None:
                _share_memory(batch)
            return batch
        except InputError as fault:
            return _WorkerError(f"{case}{fault}", is_input_error=True)
        except Exception as fault:
            reason = _memory_fault(fault)
            if reason is not None:
                if get_worker_info() is None:
                    raise
                return _WorkerError(reason, is_input_error=True)
            message = f"{case}{type(fault).__name__}: {fault}\n{traceback.format_exc()}"
            return _WorkerError(message, is_input_error=False)

    def augmented(self, batch: _RawBatch) -> Batch:
        """Normalise and augment the patches on their device."""
        patches = [
            apply_transform(patch, self.intensity_maps[case], self.num_classes)
            for patch, case in zip(batch.patches, batch.cases, strict=True)
        ]
        return collate(patches, tuple(self.sampler.cases[case].id for case in batch.cases))


def _share_memory(batch: Batch | _RawBatch) -> None:
    """Move a batch to shared memory in the worker, where an exception can be returned.

    PyTorch would do it in a thread, print the exception and let the trainer wait for ever.
    """
    for part in batch.patches if isinstance(batch, _RawBatch) else (batch,):
        part.image.share_memory_()  # type: ignore[no-untyped-call]
        part.label.share_memory_()  # type: ignore[no-untyped-call]


def _memory_fault(fault: Exception) -> str | None:
    """Return what to do where memory ran out; None for another exception."""
    if is_out_of_shared_memory(fault):
        return (
            "runtime.workers: shared memory is full, so that loader processes cannot pass batches "
            "on; enlarge /dev/shm (docker run --shm-size=8g), or set runtime.workers=0"
        )
    if is_out_of_memory(fault):
        return (
            "runtime.workers: a loader process ran out of memory; lower runtime.workers, or "
            "sampling.batch_size for a new run"
        )
    return None


class _StepSampler(Sampler[StepKey]):
    """All steps from a given one on, without end."""

    def __init__(self, epoch: int, step: int, steps_per_epoch: int) -> None:
        self.start, self.steps_per_epoch = (epoch, step), steps_per_epoch

    def __iter__(self) -> Iterator[StepKey]:
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
        augment: Augmentation; None: no augmentation.
        seed: Seed of the batches.
        steps_per_epoch: Steps of one epoch.
        workers: Number of processes that read ahead; 0: the calling process reads.
        augment_on: worker: workers return normalised and augmented float patches; device: they
            return the stored voxels, which have fewer bytes, and the device does the rest.
        device: Device of the batches.
        targets: Classes or regions; foreground patches are centred on each equally often.
        places: Places in each step's batch whose patches are loaded; None: all places.

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
        targets: Targets,
        places: tuple[int, ...] | None = None,
    ) -> None:
        sampler = PatchSampler.build(cases, sampling, seed, targets)
        in_worker = augment_on == "worker"
        self._dataset = _BatchDataset(
            sampler, tuple(intensity_maps), augment, targets.num_classes, in_worker, places
        )
        self._steps_per_epoch = steps_per_epoch
        self._workers = workers
        self._device = device
        self._batches: Iterator[Batch | _RawBatch | _WorkerError] | None = None
        self._next_step: StepKey = (0, 0)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from `start_step` on.

        Raises:
            InputError: A case cannot be read; the message names it.
            RuntimeError: Another error with a case; the message names it.
        """
        if self._batches is None or self._next_step != (epoch, start_step):
            self.close()
            self._batches = self._open(epoch, start_step)
        for step in range(start_step, self._steps_per_epoch):
            batch = next(self._batches)
            is_last = step + 1 == self._steps_per_epoch
            self._next_step = (epoch + 1, 0) if is_last else (epoch, step + 1)
            if isinstance(batch, _WorkerError):
                self.close()
                raise batch.exception()
            yield self._to_device(batch)

    def close(self) -> None:
        """Stop the workers; the loader can be used again."""
        self._batches = None

    def _open(self, epoch: int, step: int) -> Iterator[Batch | _RawBatch | _WorkerError]:
        steps = _StepSampler(epoch, step, self._steps_per_epoch)
        if self._workers == 0:
            return (self._dataset[key] for key in steps)
        loader = DataLoader(
            self._dataset,
            batch_size=None,
            sampler=steps,
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
            worker_init_fn=_init_worker,
            timeout=_TIMEOUT_SECONDS if self._workers else 0,
        )
        try:
            return iter(loader)
        except OSError as fault:
            raise InputError(
                f"runtime.workers: {self._workers} loader processes cannot be started "
                f"({fault.strerror}); lower it (0 starts none), or make room in memory and /dev/shm"
            ) from None

    def _to_device(self, batch: Batch | _RawBatch) -> Batch:
        if isinstance(batch, _RawBatch):
            patches = tuple(patch.to(self._device) for patch in batch.patches)
            return self._dataset.augmented(_RawBatch(patches, batch.cases))
        image = batch.image.to(self._device, non_blocking=True)
        return Batch(image, batch.label.to(self._device, non_blocking=True), batch.cases)


@contextmanager
def explain_killed_workers() -> Iterator[None]:
    """Replace PyTorch's error for a loader process that ended or hangs by the likely cause.

    PyTorch raises its error from a signal handler, so it can come from any line of the trainer.

    Raises:
        InputError: A loader process was killed, or passes no batch on.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as fault:
        if "DataLoader timed out" in str(fault):
            raise InputError(
                f"runtime.workers: no loader process passed a batch on for {_TIMEOUT_SECONDS} s, "
                "for want of memory or because the disk does not answer; lower it (0 starts "
                "none); what was saved is whole, go on with --resume"
            ) from None
        match = re.search(r"DataLoader worker.* (?:by signal: ([\w ]+)|exited)", str(fault))
        if isinstance(fault, RuntimeError) and match is None:
            raise
        # The queue can break before the signal arrives; its name is unknown then, mostly "Killed".
        signal_name = ((match and match[1]) or "Killed").strip()
        cause = _CAUSES.get(signal_name, "a fault in a library")
        raise InputError(
            f"runtime.workers: a loader process was ended ({signal_name}), most likely by {cause}; "
            "what was saved is whole, go on with --resume"
        ) from None


def _init_worker(_worker: int) -> None:
    """Ignore Ctrl-C, which the trainer handles, and share the trainer's memory.

    Without `gc.freeze`, the garbage collector writes to all objects of the trainer, which copies
    their memory pages.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    # This hook of the standard library's queue prints the fault and drops the batch, for which the
    # trainer would wait for ever.
    setattr(Queue, "_on_queue_feeder_error", staticmethod(_end_process))  # noqa: B010


def _end_process(_fault: Exception, _batch: object) -> None:
    """End this loader process: a batch cannot be passed on, for want of memory or threads."""
    os._exit(1)
