"""How much memory does `prepare` take for one case of growing size, as a whole and in parts?

A cube of uint8 with a label, as OME-Zarr with chunks of 128³ or as compressed TIFF. Each size is
prepared by a child process, whose peak of resident memory counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
import zarr
from harness import Report, options

from vesuv.config import Config, check
from vesuv.data import case_size
from vesuv.data.builder import prepare
from vesuv.data.sampling import PatchSampler
from vesuv.io.memory import peak_memory
from vesuv.transforms.region import read_region
from vesuv.types import Array

SLAB = 128
SPACING = [1.5, 0.9, 1.1]
"""Spacing of `--resample`; that of the files is 1."""
PATCH = (128, 128, 128)
NUM_PATCHES = 200


def main() -> None:
    parser = options(__doc__ or "", repeats=1)
    parser.add_argument("--edges", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--format", choices=("zarr", "tiff"), default="zarr")
    parser.add_argument("--resample", action="store_true")
    parser.add_argument("--whole", action="store_true", help="do not divide the case")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        measure(arguments)
        return
    report = Report(__doc__ or "", arguments)
    for edge in arguments.edges:
        with tempfile.TemporaryDirectory(dir=arguments.data.parent) as folder:
            write_case(Path(folder) / "raw", edge, arguments.format)
            words = [sys.executable, __file__, "--child", folder, "--format", arguments.format]
            words += ["--resample"] if arguments.resample else []
            words += ["--whole"] if arguments.whole else []
            output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        figures = json.loads(output.splitlines()[-1])
        for name, unit in (("before", "MB"), ("peak", "MB"), ("seconds", "s")):
            report.row(f"{edge}³, {name}", [figures[name]], unit)
        report.fact(f"{edge}³, training", figures["training"])
    report.finish()


def measure(arguments: argparse.Namespace) -> None:
    """Prepare a case, then read patches of it; print the figures."""
    case_size.LARGE_VOXELS = sys.maxsize if arguments.whole else 0
    before, began = peak_memory(), time.perf_counter()
    store = prepare(config(arguments))
    seconds, peak = time.perf_counter() - began, peak_memory()
    (case,) = store.cases.values()
    sampler = PatchSampler.build([case], config(arguments).sampling, seed=0)
    reset_peak()
    began = time.perf_counter()
    plans = [plan for step in range(NUM_PATCHES) for plan in sampler.plan(0, step)]
    drawing = (time.perf_counter() - began) / NUM_PATCHES
    for plan in plans[:20]:
        read_region(case, tuple(max(0, c - 64) for c in plan.center), PATCH)  # type: ignore[arg-type]
    figures = {
        "before": before / 1e6,
        "peak": peak / 1e6,
        "seconds": seconds,
        "training": f"{drawing * 1e3:.2f} ms to draw a patch, table "
        f"{case.block_counts.nbytes / 4e6:.2f} MB, anonymous memory {anonymous() / 1e6:.0f} MB, "
        f"peak with mapped pages {peak_memory() / 1e6:.0f} MB",
    }
    print(json.dumps(figures))


def config(arguments: argparse.Namespace) -> Config:
    layout = {"layout": "ome_zarr", "labels": "sheets"}
    if arguments.format == "tiff":
        layout = {"layout": "folders", "images": "i", "labels": "l"}
    root = arguments.child / "raw"
    spacing = {"spacing": SPACING} if arguments.resample else {}
    return check(
        {
            "name": "bench",
            "data": {
                "root": str(root),
                "store": str(arguments.child / "store"),
                **layout,
                **spacing,
            },
            "labels": {"classes": {"background": 0, "sheet": 1}, "ignore": 2},
            "sampling": {"patch_size": list(PATCH), "batch_size": 1},
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
        },
        "bench",
    )


def slabs(edge: int) -> Iterator[tuple[Array, Array]]:
    """Yield noisy sheets and their label, 128 slices at a time."""
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[:SLAB, :edge, :edge]
    label = ((z + y // 3 + x // 9) % 40 < 4).astype(np.uint8)
    label[:, : edge // 4, : edge // 8] = 2
    noise = rng.integers(0, 100, (SLAB, edge, edge)).astype(np.uint8)
    for _ in range(edge // SLAB):
        yield noise + 100 * (label == 1), label


def write_case(root: Path, edge: int, kind: str) -> None:
    root.mkdir()
    if kind == "tiff":
        for folder, place in (("i", 0), ("l", 1)):
            (root / folder).mkdir()
            pages = (page for slab in slabs(edge) for page in slab[place])
            tifffile.imwrite(
                root / folder / "a.tif",
                pages,
                shape=(edge,) * 3,
                dtype=np.uint8,
                compression="lzw",
                photometric="minisblack",
                metadata={"axes": "ZYX"},
                bigtiff=True,
            )
        return
    arrays = []
    for path in (root / "a.zarr", root / "a.zarr/labels/sheets"):
        group = zarr.open_group(str(path), mode="w", zarr_format=3)
        arrays.append(
            group.create_array("0", shape=(edge,) * 3, chunks=(SLAB,) * 3, dtype=np.uint8)
        )
        level = {
            "path": "0",
            "coordinateTransformations": [{"type": "scale", "scale": [1.0] * 3}],
        }
        axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
        group.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [{"axes": axes, "datasets": [level]}],
        }
    for number, parts in enumerate(slabs(edge)):
        for array, part in zip(arrays, parts, strict=True):
            array[number * SLAB : (number + 1) * SLAB] = part


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def anonymous() -> float:
    """Return the bytes of memory that are no mapped file."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("RssAnon:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main()
