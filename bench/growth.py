"""Does the loader keep its pace with many cases, and its memory with many workers and batches?

Five phantom cubes stand for 5, 50 and 500 cases under as many names. Rates are wall-clock patches a
second while the calling process does nothing but take batches. The memory of a worker is what it
alone has written (private, dirty pages), early and late in the same run.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from harness import Report, options, phantom, phantom_config
from loader import nnunet_batches, vesuv_loader

from vesuv.transforms.collate import Batch


def main() -> None:
    parser = options(__doc__ or "", repeats=3)
    parser.add_argument("--size", type=int, default=64, help="edge of the cubes")
    parser.add_argument("--patch", type=int, default=48, help="edge of the patches")
    parser.add_argument("--cases", type=int, nargs="+", default=[5, 50, 500])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batches", type=int, default=100, help="batches of two in a timed run")
    parser.add_argument("--peer-cases", type=int, default=50, help="most cases for nnU-Net")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    report = Report("loader throughput against cases and workers", arguments)
    first = phantom(arguments.data, 5, arguments.size)
    for num in arguments.cases:
        for workers in arguments.workers:
            measure(report, repeated(first, num), num, workers, arguments)
    for num in arguments.cases:
        if num <= arguments.peer_cases:
            peer(report, repeated(first, num), num, arguments)
    report.finish()


def measure(report: Report, raw: Path, num: int, workers: int, arguments: Namespace) -> None:
    """Add the rate of vesuv's loader, and what its workers hold."""
    config = phantom_config(raw, arguments.patch)
    opened = time.perf_counter()
    loader = vesuv_loader(config, workers)
    batches = endless(loader.epoch)
    next(batches)
    opened = time.perf_counter() - opened
    rates, private = [], []
    for turn in range(arguments.warm_up + arguments.repeats):
        rate = timed(lambda: next(batches), arguments.batches)
        if turn >= arguments.warm_up:
            rates.append(rate)
        private.append([private_megabytes(p.pid) for p in multiprocessing.active_children()])
    what = f"vesuv, {num} cases, {workers} workers"
    report.row(what, rates, "patches/s")
    report.row(f"{what}, opened and first batch", [opened], "s")
    if workers:
        report.row(f"{what}, a worker early", private[0], "MB")
        report.row(f"{what}, a worker late", private[-1], "MB")
    else:
        report.row(f"{what}, the process", [private_megabytes(os.getpid())], "MB")
    loader.close()
    batches.close()


def peer(report: Report, raw: Path, num: int, arguments: Namespace) -> None:
    """Add the rate of nnU-Net's loader in this process."""
    batch = nnunet_batches(raw, arguments.patch, augmented=True)
    rates = [timed(batch, arguments.batches) for _ in range(arguments.warm_up + arguments.repeats)]
    report.row(f"nnU-Net, {num} cases, 0 workers", rates[arguments.warm_up :], "patches/s")


def timed(batch: Callable[[], Any], number: int) -> float:
    """Return patches a second over some batches of two."""
    began = time.perf_counter()
    for _ in range(number):
        batch()
    return 2 * number / (time.perf_counter() - began)


def endless(epoch: Callable[[int], Iterator[Batch]]) -> Any:
    """Go through epoch after epoch."""
    number = 0
    while True:
        yield from epoch(number)
        number += 1


def repeated(raw: Path, num: int) -> Path:
    """Return a data set of `num` cases that are links to those of `raw`, in turn."""
    folder = raw.with_name(f"{raw.name}_as_{num}")
    if (folder / "train.csv").is_file():
        return folder
    cases = sorted(path.name for path in (raw / "train_images").glob("*.tif"))
    rows = [("id", "scroll_id")]
    for part in ("train_images", "train_labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for index in range(num):
            link = folder / part / f"{10_000 + index}.tif"
            link.unlink(missing_ok=True)
            link.symlink_to((raw / part / cases[index % len(cases)]).resolve())
    rows += [(f"{10_000 + index}", f"{index % 3}") for index in range(num)]
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return folder


def private_megabytes(pid: int | None) -> float:
    """Memory that a process has written and shares with no other; not the pages of a store."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1000


if __name__ == "__main__":
    main()
