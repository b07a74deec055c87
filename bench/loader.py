"""How many augmented training patches a second does one core make?

Both loaders run in this process, one after the other, on the same cases, without worker processes.
nnU-Net's loader and transforms are its own; vesuv's probabilities are the same (its defaults are
nnU-Net's), with two differences that cost vesuv: nnU-Net leaves a single-channel image out of half
of the blurs and low resolutions it draws, vesuv never does; and the default of vesuv also turns by
quarters, which is measured as a row of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from harness import (
    DATASET,
    Report,
    nnunet_dataset,
    nnunet_preprocess,
    options,
    phantom,
    phantom_config,
)

from vesuv.config import Config
from vesuv.data.builder import open_or_prepare_store
from vesuv.training.loader import PatchLoader
from vesuv.transforms.normalize import build_normalizer

CPU = torch.device("cpu")
PEER = "nnU-Net: loader and transforms"


def main() -> None:
    parser = options(__doc__ or "", repeats=5)
    parser.add_argument("--size", type=int, default=320, help="edge of the cubes")
    parser.add_argument("--cases", type=int, default=5, help="number of cubes")
    parser.add_argument("--patch", type=int, default=128, help="edge of the patches")
    parser.add_argument("--batches", type=int, default=12, help="batches of two in a timed run")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    raw = phantom(arguments.data, arguments.cases, arguments.size)
    measure(raw, arguments)


def measure(raw: Path, arguments: Namespace) -> None:
    config = phantom_config(raw, arguments.patch, augment={"quarter_turns": False})
    turning = phantom_config(raw, arguments.patch)
    contenders: dict[str, Callable[[], Any]] = {
        PEER: nnunet_batches(raw, arguments.patch, augmented=True),
        "nnU-Net: loader alone": nnunet_batches(raw, arguments.patch, augmented=False),
        "vesuv: all on the CPU": vesuv_batches(config),
        "vesuv: all on the CPU, and quarter turns": vesuv_batches(turning),
        "vesuv: augmentation left to the device": vesuv_raw_batches(turning),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(arguments.warm_up + arguments.repeats):
        for name, batch in contenders.items():
            # Fast ones make more batches, so that the mix of augmentations is as well averaged.
            number = arguments.batches * (1 if name == PEER else 4)
            began = time.process_time()
            for _ in range(number):
                batch()
            if turn >= arguments.warm_up:
                rates[name].append(2 * number / (time.process_time() - began))
    rates["vesuv: the same, handed over by one worker process"] = [
        worker_rate(turning, arguments.batches) for _ in range(arguments.repeats)
    ]
    report = Report("training patches a second and core", arguments)
    for name, values in rates.items():
        report.row(name, values, "patches/CPU-s", against=None if name == PEER else PEER)
    report.finish()


def vesuv_loader(
    config: Config,
    workers: int = 0,
    augment_on: Literal["worker", "device"] = "worker",
    device: torch.device = CPU,
) -> PatchLoader:
    """Build the loader of a whole store as the trainer does."""
    store = open_or_prepare_store(config)
    cases = list(store.cases.values())
    normalizer = build_normalizer(config.data.normalize, store.dataset_statistics)
    return PatchLoader(
        cases,
        [normalizer.for_case(case.statistics) for case in cases],
        config.sampling,
        config.augment,
        seed=0,
        steps_per_epoch=250,
        workers=workers,
        augment_on=augment_on,
        device=device,
        targets=config.labels.targets,
    )


def vesuv_batches(config: Config) -> Callable[[], Any]:
    """Return a function that makes the next augmented batch."""
    loader = vesuv_loader(config)

    def endless() -> Any:
        epoch = 0
        while True:
            yield from loader.epoch(epoch)
            epoch += 1

    batches = endless()
    return lambda: next(batches)


def vesuv_raw_batches(config: Config) -> Callable[[], Any]:
    """Return a function that does what a worker does where the device augments: draw and read."""
    steps = replace(vesuv_loader(config)._steps, finish_here=False)
    position = iter(range(10**9))
    return lambda: steps[divmod(next(position), 250)]


def worker_rate(config: Config, number: int) -> float:
    """Return raw patches a CPU second of a worker and of this process, which takes them."""
    loader = vesuv_loader(config, workers=1, augment_on="device")
    stream = loader._open(0, 0)
    next(stream)
    (worker,) = multiprocessing.active_children()
    began = seconds_of(os.getpid()) + seconds_of(worker.pid)
    for _ in range(4 * number):
        next(stream)
    work = seconds_of(os.getpid()) + seconds_of(worker.pid) - began
    return 8 * number / work


def seconds_of(pid: int | None) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def nnunet_batches(raw: Path, patch: int, *, augmented: bool) -> Callable[[], Any]:
    """Return a function that makes the next batch of nnU-Net's loader."""
    loader = nnunet_loader(raw, patch, augmented=augmented)
    return lambda: next(loader)


def nnunet_loader(raw: Path, patch: int, *, augmented: bool, batch_size: int = 2) -> Any:
    """Build nnU-Net's loader on its own copy of the cases, made when it is not there."""
    folder = nnunet_dataset(raw) / "nnUNet_preprocessed" / DATASET
    if not (folder / "done").is_file():
        nnunet_preprocess()
        (folder / "done").touch()
    import numpy as np
    from batchgenerators.utilities.file_and_folder_operations import load_json
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    np.random.seed(0)  # noqa: NPY002 - what nnU-Net draws from
    torch.manual_seed(0)
    plans = PlansManager(str(folder / "nnUNetPlans.json"))
    labels = plans.get_label_manager(load_json(str(folder / "dataset.json")))
    cases = str(folder / plans.get_configuration("3d_fullres").data_identifier)
    size, angle = (patch,) * 3, (-np.pi / 6, np.pi / 6)
    transforms = nnUNetTrainer.get_training_transforms(
        size, angle, None, (0, 1, 2), False, ignore_label=labels.ignore_label
    )
    read = get_patch_size(size, angle, angle, angle, (0.85, 1.25)) if augmented else size
    return nnUNetDataLoader(
        infer_dataset_class(cases)(cases),
        batch_size,
        read,
        size,
        labels,
        oversample_foreground_percent=0.33,
        transforms=transforms if augmented else None,
    )


if __name__ == "__main__":
    main()
