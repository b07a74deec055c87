#!/usr/bin/env python3
"""Does labelling where networks and views disagree save labels, against labelling anywhere?

    python bench/suggest.py --data DATA

The data are in the Kaggle layout. One volume is labelled in one cube at a random place, others are
unlabelled, and the last two are held out. In each round `vesuv suggest` chooses cubes in the
unlabelled volumes, their true labels are copied into its files, and a network trains on all that is
labelled so far, from the weights of the round before. The other arm differs in the places alone:
they are random. Both start from the same network of the first cube. Scores are those of the whole
held-out volumes at threshold 0.5, without views. Finished rounds in --work are read, not repeated.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

import vesuv
from vesuv.config import Config, load_config
from vesuv.data.cubes import IMAGES, LABELS, read_cubes_record
from vesuv.inference.members import open_members
from vesuv.inference.predictor import Predictor
from vesuv.inference.suggestion.files import FileSuggestion
from vesuv.inference.suggestion.volumes import unlabelled_volumes
from vesuv.io import formats
from vesuv.types import Array

ROOT = Path(__file__).resolve().parents[1]
HELD_OUT = 2
IGNORE = 2
ARMS = ("suggested", "random")
SCORES = "scores.json"
"""File of a finished round, written last."""


class Campaign:
    """Rounds of labelling of one seed.

    Args:
        arguments: Those of the command line.
        seed: Seed of the first cube, of the weights and of the patches.
    """

    def __init__(self, arguments: argparse.Namespace, seed: int) -> None:
        self.arguments, self.seed = arguments, seed
        self.work: Path = arguments.work.resolve() / f"seed_{seed}"
        files = formats.volumes_in(arguments.data / "train_images")
        order = [str(path.name) for path in files]
        shift = seed % (len(order) - HELD_OUT)
        pool, self.held_out = order[:-HELD_OUT], order[-HELD_OUT:]
        self.first, self.unlabelled = pool[shift], [name for name in pool if name != pool[shift]]

    def label(self, name: str) -> Array:
        return formats.read(self.arguments.data / "train_labels" / name).array

    def start(self) -> None:
        """Write the volume that is labelled in one cube, and the unlabelled ones."""
        source = self.arguments.data / "train_images"
        for name in [self.first, *self.unlabelled]:
            folder = self.work / ("data/images" if name == self.first else "unlabelled")
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, folder / name)
        truth = self.label(self.first)
        rng = np.random.default_rng(self.seed)
        size = self.arguments.size
        corner = [int(rng.integers(edge - size + 1)) for edge in truth.shape]
        box = tuple(slice(place, place + size) for place in corner)
        label = np.full_like(truth, IGNORE)
        label[box] = truth[box]
        formats.write(self.work / "data/labels" / self.first, label)

    def config(self, folder: Path, cubes: Sequence[Path], pretrained: Path | None) -> Config:
        """Return the recipe of configs/fib25.yaml, cut."""
        arguments, patch = self.arguments, self.arguments.patch
        changes: dict[str, Any] = {
            "name": "suggest",
            "data.root": str(self.work / "data"),
            "data.layout": "folders",
            "data.images": "images",
            "data.labels": "labels",
            "data.cubes": [str(path) for path in cubes],
            "data.store": str(folder / "store"),
            "sampling.patch_size": [patch] * 3,
            "model.filters": arguments.filters,
            "train.epochs": 4,
            "train.steps_per_epoch": arguments.steps // 4,
            "train.pretrained": None if pretrained is None else str(pretrained),
            "averaging.ema.decay": 0.98,
            "inference.overlap": 0.0,
            "runtime.max_minutes": None,
            "runtime.threads": torch.get_num_threads(),
            "runtime.workers": 0,
            "runtime.seed": self.seed,
        }
        texts = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
        return load_config(ROOT / "configs/fib25.yaml", texts)

    def finished(self, folder: Path) -> dict[str, float] | None:
        path = folder / SCORES
        return json.loads(path.read_text()) if path.is_file() else None

    def round(
        self, folder: Path, cubes: Sequence[Path], pretrained: Path | None
    ) -> dict[str, float]:
        """Train on what is labelled, and return scores and cost."""
        scores = self.finished(folder)
        if scores is not None:
            return scores
        start = time.process_time()
        run = vesuv.train(
            self.config(folder, cubes, pretrained),
            fold="all",
            output=folder / "run",
            overwrite=True,
        )
        seconds = time.process_time() - start
        model = vesuv.load(run.path, checkpoint="ema", changes=["inference.views=none"])
        dice = []
        for name in self.held_out:
            image = formats.read(self.arguments.data / "train_images" / name).array
            measured = vesuv.evaluate(
                model.segment(image), self.label(name), measures=["dice"], ignore=IGNORE
            )
            dice.append(measured["dice"])
        labels = [formats.read(self.work / "data/labels" / self.first).array]
        labels += [formats.read(path).array for one in cubes for path in (one / LABELS).iterdir()]
        voxels = sum(int(np.count_nonzero(label != IGNORE)) for label in labels)
        foreground = sum(int(np.count_nonzero(label == 1)) for label in labels) / voxels
        scores = {
            "voxels": voxels,
            "foreground": foreground,
            "dice": mean(dice),
            "train_cpu_seconds": seconds,
        }
        (folder / SCORES).write_text(json.dumps(scores))
        return scores

    def suggest(self, arm: str, run: Path, output: Path) -> None:
        """Choose cubes, and copy the true labels into their files."""
        if output.is_dir():
            return
        members = open_members([run], ["ema"], ["inference.views=mirror"])
        edges = (self.arguments.size,) * 3
        predictor = Predictor.of_members(members)
        number = self.arguments.number
        places = zlib.crc32(str(output).encode()) if arm == "random" else None
        suggestion = FileSuggestion(members, predictor, output, number, edges, places)
        suggestion.run(unlabelled_volumes(self.work / "unlabelled", members[0].config))
        endings = {formats.stem(name): name for name in self.unlabelled}
        for cube, place in read_cubes_record(output).cubes.items():
            (file,) = (output / LABELS).glob(f"{cube}.*")
            image = formats.read(output / IMAGES / file.name).array
            name = endings[place.volume]
            whole = formats.read(self.arguments.data / "train_images" / name).array
            assert np.array_equal(image, whole[place.region])
            formats.write(file, self.label(name)[place.region])

    def run(self) -> dict[str, list[dict[str, float]]]:
        """Return the scores of each round of each arm."""
        if not (self.work / "data/labels").is_dir():
            self.start()
        first = self.round(self.work / "round_0", [], None)
        curves = {}
        for arm in ARMS:
            curves[arm], cubes, last = [first], [], self.work / "round_0"
            for number in range(1, self.arguments.rounds + 1):
                folder = self.work / arm / f"round_{number}"
                self.suggest(arm, last / "run", folder / "cubes")
                cubes.append(folder / "cubes")
                weights = last / "run/checkpoints/ema.pt"
                curves[arm].append(self.round(folder, cubes, weights))
                last = folder
                print(f"seed {self.seed}, {arm}, round {number}: {curves[arm][-1]}", flush=True)
        return curves


def table(curves: Mapping[int, Mapping[str, Sequence[Mapping[str, float]]]]) -> str:
    """Return labelled voxels against Dice: mean and spread over seeds, and paired differences."""
    lines = [
        "| round | labelled voxels | suggested | random | difference, by seed | membrane in the "
        "labels: suggested, random |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for number in range(len(next(iter(curves.values()))[ARMS[0]])):
        rounds = {arm: [one[arm][number] for one in curves.values()] for arm in ARMS}
        dice = {arm: [one["dice"] for one in rounds[arm]] for arm in ARMS}
        differences = [a - b for a, b in zip(dice[ARMS[0]], dice[ARMS[1]], strict=True)]
        each = ", ".join(f"{one:+.3f}" for one in differences)
        voxels = mean(one["voxels"] for arm in ARMS for one in rounds[arm])
        shares = [mean(one["foreground"] for one in rounds[arm]) for arm in ARMS]
        lines.append(
            f"| {number} | {voxels:,.0f} | {_spread(dice[ARMS[0]])} | {_spread(dice[ARMS[1]])} | "
            f"{mean(differences):+.3f} ({each}) | {shares[0]:.1%}, {shares[1]:.1%} |"
        )
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder in the Kaggle layout")
    parser.add_argument("--work", type=Path, default=Path("log/bench/suggest"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--number", type=int, default=2, help="cubes of a round")
    parser.add_argument("--size", type=int, default=40, help="edge of a cube")
    parser.add_argument("--patch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=200, help="training steps of a round")
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    start = time.process_time()
    curves = {seed: Campaign(arguments, seed).run() for seed in arguments.seeds}
    print(table(curves))
    print(f"{(time.process_time() - start) / 60:.1f} CPU-minutes")


if __name__ == "__main__":
    main()
