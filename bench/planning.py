"""Is the memory that `vesuv init` estimates the memory that training then takes?

For each of six data sets: the proposal, then a short training with it in a process of its own,
whose peak of resident memory the system tells. Of the sets three are real (`--real`: a folder with
fib25, nifti_ct and nrrd_brain), one is the phantom, and two are made here: four classes in two
channels of coarse slices in nnU-Net's layout, and flat uint16 volumes as pairs of files.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import torch
from harness import Report, options

from vesuv.data.phantom import make_phantom
from vesuv.io.formats import write
from vesuv.planning.proposal import Proposal
from vesuv.planning.start import plan, read_source
from vesuv.planning.text import proposal_text

REAL = ("fib25", "nifti_ct", "nrrd_brain")
WATCH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=sys.stderr, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A small process between: a child's peak begins at the size of the process that forks it."""
STEPS = ("train.epochs=2", "train.steps_per_epoch=4", "runtime.max_minutes=null")


def main() -> None:
    parser = options(__doc__ or "", repeats=1)
    parser.add_argument("--real", type=Path, default=Path("/data"), help="folder of the real sets")
    parser.add_argument("--minutes", type=float, default=30.0, help="duration asked for")
    parser.add_argument("--only", nargs="*", default=None, help="names of sets; all when left out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    report = Report("memory: proposal and training", arguments)
    made = {"phantom": _phantom, "coarse_slices": _coarse_slices, "flat_pairs": _flat_pairs}
    for name in (*REAL, *made):
        if arguments.only and name not in arguments.only:
            continue
        root = arguments.real / name if name in REAL else arguments.data / "planning" / name
        if name in made and not (root.exists() and any(root.iterdir())):
            made[name](root)
        proposal = plan(read_source(root), arguments.minutes)
        file = arguments.data / "planning" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(proposal_text(proposal, f"vesuv train --config {file} --fold 0"))
        peak = _peak_of_training(file)
        estimate = proposal.size.memory.total
        report.row(f"{name}: estimated", [estimate / 1e6], "MB")
        report.row(f"{name}: at the peak", [peak / 1e6], "MB")
        print(f"{name}: {estimate / 1e6:.0f} of {peak / 1e6:.0f} MB", file=sys.stderr)
        report.fact(f"{name}: estimate by peak", round(estimate / peak, 3))
        report.fact(f"{name}: proposal", _summary(proposal))
    report.finish()


def _summary(proposal: Proposal) -> str:
    size = proposal.size
    patch = "x".join(map(str, size.shape.patch_size))
    seconds = proposal.schedule.step_seconds or 0.0
    return (
        f"{patch} x {size.batch_size}, {size.filters} filters, strides {list(size.shape.strides)}, "
        f"{seconds:.2f} s a step, {proposal.schedule.steps} steps"
    )


def _peak_of_training(file: Path) -> int:
    """Peak resident bytes of `vesuv train` in a process of its own."""
    store = file.parent / "stores" / file.stem
    command = [sys.executable, "bin/train.py", "--config", str(file), "--fold", "0"]
    command += ["--output", str(file.parent / "runs" / file.stem), "--overwrite"]
    command += ["--set", *STEPS, f"data.store={store}"]
    with (file.parent / f"{file.stem}.log").open("w") as log:
        measured = subprocess.run(
            [sys.executable, "-c", WATCH, *command], stdout=subprocess.PIPE, stderr=log, check=False
        )
    if measured.returncode:
        raise SystemExit(f"{file}: training failed, see {log.name}")
    return int(measured.stdout) * 1024


def _phantom(root: Path) -> None:
    make_phantom(root, num_cases=6, size=96, seed=0, num_test=0)


def _coarse_slices(root: Path) -> None:
    """Six cases of 40x150x140 voxels of 3x1x1 mm: two float32 channels, three nested balls."""
    shape = (40, 150, 140)
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    for number in range(6):
        rng = np.random.default_rng(number)
        label = np.digitize(_radius(shape, (3.0, 1.0, 1.0)), [15, 30, 45])
        label = (3 - label).clip(0).astype(np.uint8)
        for channel in range(2):
            image = (label * (channel + 1) + rng.normal(0, 1, shape)).astype(np.float32)
            path = root / f"imagesTr/case{number}_{channel:04d}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(image.transpose(2, 1, 0), affine), path)
        path = root / f"labelsTr/case{number}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(label.transpose(2, 1, 0), affine), path)
    (root / "dataset.json").write_text(
        json.dumps(
            {
                "channel_names": {"0": "T1", "1": "T2"},
                "labels": {"background": 0, "outer": 1, "middle": 2, "inner": 3},
                "numTraining": 6,
                "file_ending": ".nii.gz",
            }
        )
    )


def _flat_pairs(root: Path) -> None:
    """Four cases of 8x400x300 voxels, uint16: thin rings."""
    root.mkdir(parents=True, exist_ok=True)
    shape = (8, 400, 300)
    for number in range(4):
        rng = np.random.default_rng(number)
        label = (_radius(shape, (1.0, 1.0, 1.0)) % 20 < 3).astype(np.uint8)
        image = np.clip(3000 + 800.0 * label + rng.normal(0, 500, shape), 0, 65535)
        write(root / f"case{number}_image.nrrd", image.astype(np.uint16))
        write(root / f"case{number}_label.nrrd", label)


def _radius(shape: Sequence[int], spacing: Sequence[float]) -> np.ndarray:
    axes = [
        (np.arange(edge) - edge / 2) * length for edge, length in zip(shape, spacing, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.sqrt(z**2 + y**2 + x**2)


if __name__ == "__main__":
    main()
