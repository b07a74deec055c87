"""How long does it take to prepare five cases of 320 voxels a side?

Each is the command that a user gives, from its start to its end, with two processes (nnU-Net) or
two threads (vesuv) on the same LZW TIFFs. What was made before is removed first. The peer also
normalises and compresses; vesuv keeps the voxels as they came and scales them when a patch is read,
so both leave the data ready for training.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import yaml
from harness import (
    DATASET,
    Report,
    nnunet_dataset,
    nnunet_preprocess,
    options,
    phantom,
    phantom_config,
    quiet,
    side_by_side,
)


def main() -> None:
    parser = options(__doc__ or "", repeats=3, warm_up=0)
    parser.add_argument("--size", type=int, default=320, help="edge of the cubes")
    parser.add_argument("--cases", type=int, default=5, help="number of cubes")
    parser.add_argument(
        "--patch", type=int, default=128, help="edge of the patches that the summary counts"
    )
    arguments = parser.parse_args()
    raw = phantom(arguments.data, arguments.cases, arguments.size)
    made = nnunet_dataset(raw) / "nnUNet_preprocessed" / DATASET
    config = phantom_config(raw, arguments.patch)
    file = raw.with_name(f"{raw.name}.yaml")
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")

    def peer() -> None:
        shutil.rmtree(made, ignore_errors=True)
        nnunet_preprocess(processes=2)
        (made / "done").touch()

    def ours() -> None:
        shutil.rmtree(str(config.data.store), ignore_errors=True)
        quiet([*vesuv(), "prepare", "--config", str(file)])

    name = "nnUNetv2_plan_and_preprocess -c 3d_fullres, 2 processes"
    contenders = {name: spent(peer), "vesuv prepare, 2 threads": spent(ours)}
    seconds = side_by_side(
        {what: measured for what, (measured, _) in contenders.items()},
        repeats=arguments.repeats,
        warm_up=arguments.warm_up,
    )
    report = Report("preparation of raw cases, seconds", arguments)
    for what, values in seconds.items():
        report.row(what, values, "s", against=None if what == name else name)
    for what, (_, work) in contenders.items():
        against = None if what == name else f"{name}, CPU time"
        report.row(f"{what}, CPU time", work[-arguments.repeats :], "s", against=against)
    for what, folder in (("nnU-Net", made), ("vesuv", Path(str(config.data.store)))):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        report.fact(f"bytes on disk, {what}", size)
    report.finish()


def spent(run: Callable[[], None]) -> tuple[Callable[[], None], list[float]]:
    """Return `run` and a list that receives the CPU seconds of the processes it starts."""
    work: list[float] = []

    def measured() -> None:
        before = os.times()
        run()
        after = os.times()
        work.append(sum(after[2:4]) - sum(before[2:4]))

    return measured, work


def vesuv() -> list[str]:
    """Return the command of this interpreter's vesuv."""
    return [str(Path(sys.executable).with_name("vesuv"))]


if __name__ == "__main__":
    main()
