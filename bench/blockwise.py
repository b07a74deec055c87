"""What post-processing by blocks costs: time, memory and disk of volumes larger than memory.

The volumes are tiled phantoms: probabilities of a network that is rather sure of its sheets, with
smooth noise that makes dust and holes. Each measurement runs in a process of its own.

    python bench/blockwise.py --edges 512 1024
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from harness import CLOCKS, Report, options
from scipy import ndimage

from vesuv.config.labels import TWO_CLASSES
from vesuv.config.postprocess import read_chain
from vesuv.data.phantom import phantom_volume
from vesuv.inference.levels import dequantise
from vesuv.inference.masks import MaskSettings
from vesuv.inference.postprocess.blockwise import BlockGrid, BlockRun, segment_blocks
from vesuv.inference.postprocess.blockwise.components import select_labels
from vesuv.inference.postprocess.blockwise.merging import unite
from vesuv.inference.postprocess.blockwise.rules import LargestRule, SizeRule

SPACING = (1.0, 1.0, 1.0)
TILE = 128
HALF = {"name": "threshold", "value": 0.5}
CHAINS: dict[str, list[dict[str, Any]]] = {
    "threshold": [HALF],
    "remove_small": [HALF, {"name": "remove_small", "voxels": 2000}],
    "keep_largest": [HALF, {"name": "keep_largest", "num": 10}],
    "fill_cavities": [HALF, {"name": "fill_cavities"}],
    "plug_holes": [HALF, {"name": "plug_holes"}],
    "closing": [HALF, {"name": "closing", "radius": [1, 2, 2]}],
    "recommended": [
        {"name": "hysteresis", "low": 0.3, "high": 0.85},
        {"name": "closing", "radius": [1, 2, 2]},
        {"name": "remove_small", "voxels": 2000},
    ],
}


def main() -> None:
    parser = options(__doc__ or "", repeats=1, warm_up=0)
    parser.add_argument("--edges", type=int, nargs="+", default=[256, 512], help="of the volumes")
    parser.add_argument("--block", type=int, default=256, help="edge of a block")
    parser.add_argument("--whole", type=int, default=512, help="largest edge predicted whole, too")
    parser.add_argument("--chains", nargs="+", choices=CHAINS, default=list(CHAINS))
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "CHAIN"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        way, chain = arguments.measure
        print(json.dumps(measure(way, chain, arguments)))
        return
    report = Report("post-processing by blocks", arguments)
    report.fact("bytes of the tables a label, by sizes", round(bytes_per_label(SizeRule(9, 26))))
    report.fact("the same, keep_largest", round(bytes_per_label(LargestRule(1, 26))))
    for edge in arguments.edges:
        make_levels(arguments.data, edge)
        billions = edge**3 / 1e9
        for chain in arguments.chains:
            ways = ("blocks", "whole") if edge <= arguments.whole else ("blocks",)
            for way in ways:
                runs = [in_process(way, chain, edge, arguments) for _ in range(arguments.repeats)]
                what = f"{chain}, {edge}³, {way}"
                report.row(f"{what}, 1e9 voxels", [run["seconds"] / billions for run in runs], "s")
                report.row(f"{what}, peak memory", [run["bytes"] / 1e9 for run in runs], "GB")
                if way == "blocks":
                    labels = [count / billions / 1e6 for count in runs[0]["labels"]]
                    report.fact(f"{what}, million labels of each merge, 1e9 voxels", labels)
                    report.fact(f"{what}, scratch MB, 1e9 voxels", runs[0]["scratch"] / billions)
    report.finish()


def make_levels(folder: Path, edge: int) -> None:
    """Write the levels of a tiled phantom as a zarr array; made only once."""
    path = levels_path(folder, edge)
    if (path / "done").is_file():
        return
    sheets = (phantom_volume(0, TILE, 0)[1] == 1).astype(np.float32)
    blurred = ndimage.gaussian_filter(sheets, 0.7)
    levels = zarr.create_array(
        path, shape=(1, edge, edge, edge), chunks=(1, TILE, TILE, TILE), dtype=np.uint8
    )
    rng = np.random.default_rng(0)
    for block in BlockGrid((edge,) * 3, (TILE,) * 3).blocks():
        flips = tuple(slice(None, None, -1 if p % 2 else 1) for p in block.position)
        noise = ndimage.gaussian_filter(rng.normal(size=sheets.shape).astype(np.float32), 0.8)
        probs = 0.15 + 0.9 * blurred[flips] + 0.6 * noise
        tile = (probs * 200).clip(0, 200).astype(np.uint8)
        levels[(0, *block.region)] = tile[tuple(slice(n) for n in block.shape)]
    (path / "done").touch()


def levels_path(folder: Path, edge: int) -> Path:
    return folder / f"levels_{edge}.zarr"


def in_process(way: str, chain: str, edge: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure in a fresh process, whose peak memory is its own."""
    command = [sys.executable, __file__, "--measure", way, chain, "--edges", str(edge)]
    command += ["--block", str(arguments.block), "--data", str(arguments.data)]
    command += ["--clock", arguments.clock]
    done = subprocess.run(
        [*command, "--threads", str(arguments.threads)], capture_output=True, text=True, check=True
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def measure(way: str, chain: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return seconds, bytes above those before, labels of each merge, and MB on disk."""
    torch.set_num_threads(arguments.threads)
    (edge,) = arguments.edges
    settings = MaskSettings.alike(TWO_CLASSES, None, read_chain(CHAINS[chain], "bench"))
    levels = zarr.open_array(levels_path(arguments.data, edge), mode="r")
    clock = CLOCKS[arguments.clock]
    reset_peak()
    before, began = peak_bytes(), clock()
    if way == "whole":
        settings.classes(dequantise(torch.from_numpy(np.asarray(levels[:]))), SPACING)
        labels, scratch = [], 0.0
    else:
        labels, scratch = run_blocks(levels, settings, edge, arguments)
    seconds = clock() - began
    return {
        "seconds": seconds,
        "bytes": peak_bytes() - before,
        "labels": labels,
        "scratch": scratch,
    }


def run_blocks(
    levels: Any, settings: MaskSettings, edge: int, arguments: argparse.Namespace
) -> tuple[list[int], float]:
    """Run by blocks; return the labels of each merge, and the most MB of intermediate masks."""
    labels: list[int] = []
    most = 0

    def count_labels(work: Any, items: Any) -> Iterator[Any]:
        nonlocal most
        rows = 0
        for item in items:
            result = work(item)
            rows += len(result[0]) if isinstance(result, tuple) else 0
            yield item, result
        labels.extend([rows] if rows else [])
        files = list(Path(folder).rglob("*.npy"))
        most = max(most, sum(path.stat().st_size for path in files))

    with tempfile.TemporaryDirectory(dir=arguments.data) as folder:
        block = (arguments.block,) * 3
        output = zarr.create_array(
            Path(folder) / "mask.zarr", shape=(edge,) * 3, chunks=block, dtype=np.uint8
        )
        run = BlockRun(BlockGrid((edge,) * 3, block), Path(folder), count_labels)
        segment_blocks(levels, settings, SPACING, output, run)
    return labels, most / 1e6


def bytes_per_label(rule: SizeRule | LargestRule, num: int = 4_000_000) -> float:
    """Return the peak memory of merging the tables of random components, divided by the labels."""
    rng = np.random.default_rng(0)
    tracemalloc.start()
    parents = np.arange(num)
    columns = tuple(rng.integers(1, 100, num) for _ in rule.merges)
    for start in range(0, num, num // 16):
        a = rng.integers(start, start + num // 16, num // 64)
        unite(parents, a, rng.integers(0, start + num // 16, num // 64))
    select_labels(rule, parents, columns)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / num


def reset_peak() -> None:
    """Let the peak memory of this process count from now on; Linux."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main()
