"""The same batches whatever the workers, and faults by name."""

import errno
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vesuv.config.data import AugmentConfig, SamplingConfig
from vesuv.config.labels import TWO_CLASSES
from vesuv.data.blocks import count_blocks
from vesuv.errors import InputError
from vesuv.training.loader import PatchLoader, explain_killed_workers
from vesuv.transforms.collate import Batch
from vesuv.transforms.normalize import IntensityMap

PLAIN = IntensityMap((-np.inf,), (np.inf,), (128.0,), (64.0,))


@dataclass
class Case:
    """A stored case in memory; `fault` is raised when its image is read."""

    id: str
    shape: tuple[int, int, int] = (24, 24, 24)
    fault: Exception | None = None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    block_size: int = 16
    label: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.label = np.zeros(self.shape, np.uint8)
        self.label[self.shape[0] // 2] = 1

    @property
    def image(self) -> np.ndarray:
        if self.fault:
            raise self.fault
        values = np.arange(self.label.size) * 7919 % 251
        return values.astype(np.uint8).reshape(1, *self.shape)

    @property
    def stored_counts(self) -> np.ndarray:
        return count_blocks(self.label, 2).astype(np.int64)


def a_loader(
    cases: list[Case] | None = None,
    *,
    workers: int = 0,
    augment_on: Literal["worker", "device"] = "worker",
    augment: AugmentConfig | None = AugmentConfig(),  # noqa: B008 - frozen
    steps: int = 3,
    places: tuple[int, ...] | None = None,
) -> PatchLoader:
    cases = cases or [Case("a"), Case("b", (10, 30, 24)), Case("c")]
    return PatchLoader(
        cast("Any", cases),
        [PLAIN] * len(cases),
        SamplingConfig(patch_size=(16, 16, 16), batch_size=2),
        augment,
        seed=5,
        steps_per_epoch=steps,
        workers=workers,
        augment_on=augment_on,
        device=torch.device("cpu"),
        targets=TWO_CLASSES,
        places=places,
    )


def all_equal(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.image, b.image) and torch.equal(a.label, b.label) and a.cases == b.cases
        for a, b in zip(one, other, strict=True)
    )


def test_a_batch_holds_normalised_patches_and_names_their_cases() -> None:
    batches = list(a_loader().epoch(0))

    assert len(batches) == 3
    assert batches[0].image.shape == (2, 1, 16, 16, 16)
    assert batches[0].image.dtype == torch.float32
    assert batches[0].label.shape == (2, 16, 16, 16)
    assert batches[0].label.dtype == torch.uint8
    assert {name for batch in batches for name in batch.cases} == {"a", "b", "c"}


@pytest.mark.parametrize("augment_on", ["worker", "device"])
def test_two_workers_make_the_batches_that_none_makes(
    augment_on: Literal["worker", "device"],
) -> None:
    alone = a_loader(augment_on=augment_on)
    expected = [batch for epoch in range(2) for batch in alone.epoch(epoch)]

    loader = a_loader(workers=2, augment_on=augment_on)
    found = [batch for epoch in range(2) for batch in loader.epoch(epoch)]
    again = list(loader.epoch(1))
    loader.close()

    assert all_equal(found, expected)
    assert all_equal(again, expected[3:])


def test_on_the_cpu_it_does_not_matter_where_augmentation_runs() -> None:
    on_device = list(a_loader(augment_on="device").epoch(0))

    assert all_equal(on_device, list(a_loader().epoch(0)))


def test_an_epoch_can_be_entered_in_the_middle() -> None:
    loader = a_loader()

    whole = list(loader.epoch(2))

    assert all_equal(list(loader.epoch(2, start_step=1)), whole[1:])


def test_leaving_an_epoch_early_does_not_shift_the_next() -> None:
    loader = a_loader()
    next(iter(loader.epoch(0)))

    assert all_equal(list(loader.epoch(1)), list(a_loader().epoch(1)))


def test_without_augmentation_every_voxel_is_one_of_the_case() -> None:
    batch = next(iter(a_loader([Case("a")], augment=None).epoch(0)))

    grey = (batch.image * 64 + 128).round()
    assert grey.min() >= 0
    assert grey.max() <= 250
    assert torch.equal(grey / 64 - 2, batch.image)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_case_that_cannot_be_read_is_named(workers: int) -> None:
    loader = a_loader([Case("good"), Case("bad", fault=InputError("damaged"))], workers=workers)

    with pytest.raises(InputError, match=r"^case bad: damaged$"):
        list(loader.epoch(0))


@pytest.mark.parametrize("workers", [0, 1])
def test_any_other_fault_names_case_type_and_place(workers: int) -> None:
    loader = a_loader([Case("bad", fault=ZeroDivisionError("oops"))], workers=workers)

    with pytest.raises(RuntimeError, match=r"case bad: ZeroDivisionError: oops\nTraceback") as info:
        list(loader.epoch(0))
    assert not isinstance(info.value, InputError)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (
            RuntimeError("unable to allocate shared memory(shm) for file </torch_7_1_0>: No space"),
            "runtime.workers: shared memory is full",
        ),
        (MemoryError(), "runtime.workers: a loader process ran out of memory"),
    ],
)
def test_memory_that_runs_out_in_a_worker_is_told_and_no_hang(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, sentence: str
) -> None:
    def fail(_tensor: torch.Tensor) -> None:
        raise fault

    monkeypatch.setattr(torch.Tensor, "share_memory_", fail)  # the worker is a fork

    with pytest.raises(InputError, match=sentence):
        list(a_loader(workers=1).epoch(0))


def test_memory_that_runs_out_without_workers_is_no_fault_of_theirs() -> None:
    with pytest.raises(MemoryError):
        list(a_loader([Case("large", fault=MemoryError())]).epoch(0))


def test_workers_that_cannot_be_started_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_loader: DataLoader[Any]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(DataLoader, "__iter__", fail)

    with pytest.raises(InputError, match=r"1 loader processes cannot be started \(No space left"):
        list(a_loader(workers=1).epoch(0))


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
         r"was ended \(Killed\), most likely by the system for want of memory"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is"),
         r"was ended \(Bus error\), most likely by full shared memory or a store"),
        (RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), r"was ended \(Killed\)"),
        (ConnectionResetError(104, "Connection reset by peer"), r"was ended \(Killed\)"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Aborted. "),
         r"was ended \(Aborted\), most likely by a fault in a library"),
        (RuntimeError("DataLoader timed out after 1800 seconds"), r"no loader process passed"),
    ],
)  # fmt: skip
def test_the_end_of_a_loader_process_is_told_with_its_cause(
    fault: Exception, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence), explain_killed_workers():
        raise fault


@pytest.mark.timeout(60)
def test_a_batch_that_cannot_be_passed_on_ends_the_loader_process() -> None:
    cases = [Case(lambda: "no process can pickle this")]

    with pytest.raises(InputError, match="a loader process was ended"), explain_killed_workers():
        next(a_loader(cases, workers=1).epoch(0))


def test_other_faults_pass() -> None:
    with pytest.raises(RuntimeError, match="something else"), explain_killed_workers():
        raise RuntimeError("something else")


def test_processes_make_the_patches_of_one_batch_between_them() -> None:
    whole = list(a_loader().epoch(1))

    for place in (0, 1):
        share = list(a_loader(places=(place,)).epoch(1))
        assert [batch.cases for batch in share] == [
            batch.cases[place : place + 1] for batch in whole
        ]
        for mine, batch in zip(share, whole, strict=True):
            assert torch.equal(mine.image, batch.image[place : place + 1])


def test_only_the_own_share_is_read() -> None:
    cases = [Case("a"), Case("b", fault=InputError("damaged"))]
    names = [batch.cases for batch in a_loader([Case("a"), Case("b")]).epoch(0)]
    place = names[0].index("a")

    assert next(iter(a_loader(cases, places=(place,)).epoch(0))).cases == ("a",)
    with pytest.raises(InputError, match=r"^case b: damaged$"):
        next(iter(a_loader(cases, places=(1 - place,)).epoch(0)))
