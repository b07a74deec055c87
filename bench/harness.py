"""What the benchmarks share: options, timing side by side, phantom cases, and the table."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vesuv.config import Config
from vesuv.data.phantom import make_phantom

PACKAGES = ("vesuv", "nnunetv2", "batchgeneratorsv2", "monai", "torch", "numpy", "scipy")
LESS_IS_BETTER = ("s", "ms", "bytes/voxel", "MB", "GB")
"""Units of costs; all others are rates."""
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
DATASET = "Dataset001_Phantom"

# Huge pages for PyTorch on a CPU, as the command line of vesuv asks for them; PyTorch reads this at
# its first large allocation. A peer in the same process has them too.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def options(question: str, *, repeats: int, warm_up: int = 1) -> argparse.ArgumentParser:
    """Return a parser with the options that every script has."""
    parser = argparse.ArgumentParser(
        description=question, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=repeats, help="timed runs of each")
    parser.add_argument("--warm-up", type=int, default=warm_up, help="runs before those")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: time this process computes, which other work on the machine disturbs less",
    )
    parser.add_argument("--data", type=Path, default=Path("log/bench"), help="volumes, kept")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser


def side_by_side(
    contenders: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    warm_up: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time all contenders in turn, so that a slow minute of the machine hits each of them.

    Returns:
        Seconds of each timed run, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(warm_up + repeats):
        for name, run in contenders.items():
            began = clock()
            run()
            if turn >= warm_up:
                seconds[name].append(clock() - began)
    return seconds


class Report:
    """Rows of figures against the first of their group, printed and on request written as JSON."""

    def __init__(self, question: str, arguments: argparse.Namespace) -> None:
        self.path: Path | None = arguments.json
        self.facts: dict[str, Any] = {
            "question": question,
            "command": " ".join(["python", *sys.argv]),
            "machine": machine(),
            "versions": versions(),
        }
        self.rows: list[dict[str, Any]] = []

    def row(
        self, what: str, values: Sequence[float], unit: str, *, against: str | None = None
    ) -> float:
        """Add the median and spread of `values`, and how many times better than a former row.

        Returns:
            The ratio of the better side, above 1 where this row wins; nan without `against`.
        """
        middle = statistics.median(values)
        ratio = float("nan")
        if against is not None:
            other = next(row["median"] for row in self.rows if row["what"] == against)
            ratio = other / middle if unit in LESS_IS_BETTER else middle / other
        row = {
            "what": what,
            "median": middle,
            "low": min(values),
            "high": max(values),
            "unit": unit,
            "against": against,
            "ratio": None if against is None else ratio,
        }
        self.rows.append(row)
        return ratio

    def fact(self, name: str, value: object) -> None:
        """Keep a figure or setting that is no row."""
        self.facts[name] = value

    def finish(self) -> None:
        """Print all and write the file."""
        for name, value in self.facts.items():
            print(f"{name}: {value}")
        print("\n| what | median | spread | unit | times better |\n|---|---|---|---|---|")
        for row in self.rows:
            spread = f"{row['low']:.4g} to {row['high']:.4g}"
            ratio = f"{row['ratio']:.3g} than {row['against']}" if row["against"] else ""
            print(f"| {row['what']} | {row['median']:.4g} | {spread} | {row['unit']} | {ratio} |")
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({**self.facts, "rows": self.rows}, indent=1, default=str)
            self.path.write_text(text, encoding="utf-8")


def machine() -> str:
    """Name processor, usable cores and accelerator."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{names[0] if names else platform.processor()}, {cores} cores, {gpu}"


def versions() -> dict[str, str]:
    """Return the version of each package that matters, where it is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def phantom(data: Path, num_cases: int, size: int) -> Path:
    """Return the folder of `num_cases` phantom cubes in the Kaggle layout; made only once."""
    folder = data / f"phantom_{num_cases}x{size}"
    if not (folder / "train.csv").is_file():  # written last
        make_phantom(folder, num_cases=num_cases, size=size, seed=0)
    return folder


def phantom_config(raw: Path, patch: int, **sections: Any) -> Config:
    """Return a configuration for a phantom; its store lies beside it."""
    return Config.model_validate(
        {
            "name": "bench",
            "data": {"root": str(raw), "store": f"{raw}_store"},
            "labels": {"classes": {"background": 0, "surface": 1}, "ignore": 2},
            "sampling": {"patch_size": (patch,) * 3, "batch_size": 2, "foreground_share": 0.33},
            "model": {"name": "plain_unet"},
            "phases": ({"epochs": (0, None), "weights": {"dice": 1.0, "cross_entropy": 1.0}},),
            **sections,
        }
    )


def nnunet_dataset(raw: Path) -> Path:
    """Give nnU-Net the same files and tell it where its folders are.

    Must run before nnunetv2 is imported, which reads the environment then.

    Returns:
        The folder of nnU-Net's three folders.
    """
    home = raw.parent.resolve() / f"{raw.name}_nnunet"
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (home / variable).mkdir(parents=True, exist_ok=True)
        os.environ[variable] = str(home / variable)
    dataset = home / "nnUNet_raw" / DATASET
    if (dataset / "dataset.json").is_file():
        return home
    cases = sorted(path.stem for path in (raw / "train_labels").glob("*.tif"))
    spacing = json.dumps({"spacing": [1.0, 1.0, 1.0]})
    for part, source, suffix in (
        ("imagesTr", "train_images", "_0000"),
        ("labelsTr", "train_labels", ""),
    ):
        shutil.rmtree(dataset / part, ignore_errors=True)
        (dataset / part).mkdir(parents=True)
        for case in cases:
            target = dataset / part / f"{case}{suffix}.tif"
            target.symlink_to((raw / source / f"{case}.tif").resolve())
            (dataset / part / f"{case}.json").write_text(spacing, encoding="utf-8")
    description = {
        "channel_names": {"0": "xray"},
        "labels": {"background": 0, "surface": 1, "ignore": 2},
        "numTraining": len(cases),
        "file_ending": ".tif",
        "overwrite_image_reader_writer": "Tiff3DIO",
    }
    (dataset / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    return home


def nnunet_preprocess(processes: int = 2) -> None:
    """Run nnU-Net's own command on the dataset; its output is shown only where it fails."""
    command = [
        str(Path(sys.executable).with_name("nnUNetv2_plan_and_preprocess")),
        *("-d", "1", "-c", "3d_fullres", "-npfp", str(processes), "-np", str(processes)),
    ]
    quiet(command)


def quiet(command: Sequence[str]) -> None:
    """Run a command; show what it printed only where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
        raise SystemExit(f"{command[0]} ended with status {done.returncode}")
