"""Does a run that is killed anywhere end as one that never was, bit for bit?

    python bench/faults.py --random 100

The tiny run of the tests is killed once, resumed to its end, and compared with one that was left
alone: weights of last, best, EMA and SWA, and every column of metrics.csv but times. It is killed
just before and just behind each of its renames, which put whole files in their places, and by a
clock.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.conftest import tiny_tree
from tests.faults.runs import KilledAtRename, start
from tests.faults.test_kill_points import CHANGES, arguments, assert_same_end

EDGE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--random", type=int, default=100, help="kills by a clock")
    parser.add_argument("--every", type=int, default=1, help="at every n-th rename only")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = _config(Path(folder))
        trial = Trial(config)
        table = {"just before a rename": Counter[str](), "just behind a rename": Counter[str]()}
        for done, results in zip((False, True), table.values(), strict=True):
            number = 1 + options.every // 2 * done
            while (result := trial.kill_at_rename(number, done)) != "ended before":
                results[result] += 1
                print(f"rename {number}: {result}", file=sys.stderr, flush=True)
                number += options.every
        draw = random.Random(options.seed)
        clock = table["at a random moment"] = Counter()
        for _ in range(options.random):
            moment = draw.uniform(0.0, trial.seconds)
            clock[trial.kill_after(moment)] += 1
            print(f"after {moment:.2f} s: {dict(clock)}", file=sys.stderr, flush=True)
    print("| killed | runs | same end | other |\n|---|---|---|---|")
    for name, results in table.items():
        counts = (f"{end}: {count}" for end, count in results.items() if end != "same")
        others = ", ".join(counts) or "0"
        print(f"| {name} | {results.total()} | {results['same']} | {others} |")


class Trial:
    """An uninterrupted run, and copies of it that are killed once."""

    def __init__(self, config: Path) -> None:
        self.config, self.folder = config, config.parent
        self.whole, self.run = self.folder / "whole", self.folder / "run"
        self.errors = self.folder / "errors.txt"
        for _ in range(2):  # the first prepares the data as well
            shutil.rmtree(self.whole, ignore_errors=True)
            began = time.monotonic()
            assert start(arguments(config, self.whole), self.errors).status() == 0
            self.seconds = time.monotonic() - began

    def kill_at_rename(self, number: int, done: bool) -> str:
        """Return how the end compares, or that the run has fewer renames."""
        return self._killed(KilledAtRename(number, done), lambda: None)

    def kill_after(self, seconds: float) -> str:
        """Return how the end compares, or that the run was quicker."""
        return self._killed(None, lambda: time.sleep(seconds))

    def _killed(self, before: KilledAtRename | None, wait: Callable[[], None]) -> str:
        shutil.rmtree(self.run, ignore_errors=True)
        running = start(arguments(self.config, self.run), self.errors, before=before)
        wait()
        if before is None and running.process.is_alive():
            running.process.kill()
        if running.status() == 0:
            return "ended before"
        running = start(arguments(self.config, self.run), self.errors)
        if running.status() != 0:
            return f"not resumed ({running.said.strip()[-200:]})"
        try:
            assert_same_end(self.whole, self.run)
        except AssertionError as fault:
            return f"another end ({fault!s:.200})"
        return "same"


def _config(folder: Path) -> Path:
    """Four 32³ volumes of sheets and the configuration of the tests."""
    root = folder / "data"
    for kind in ("images", "labels"):
        (root / f"train_{kind}").mkdir(parents=True)
    z, y, _ = np.mgrid[:EDGE, :EDGE, :EDGE]
    for number in range(4):
        sheet = ((z + 0.3 * y + number).astype(int) % 10 < 2).astype(np.uint8)
        noise = np.random.default_rng(number).normal(0, 25, sheet.shape)
        image = np.clip(80 + 90 * sheet + noise, 0, 255).astype(np.uint8)
        tifffile.imwrite(root / f"train_images/c{number}.tif", image)
        tifffile.imwrite(root / f"train_labels/c{number}.tif", sheet)
    (root / "train.csv").write_text("id,scroll_id\nc0,0\nc1,1\nc2,0\nc3,1\n")
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_tree(root, folder / "store") | CHANGES))
    return path


if __name__ == "__main__":
    main()
