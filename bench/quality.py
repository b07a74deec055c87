"""Which masks do nnU-Net and vesuv make after equally many minutes of training?

Both are trained in turn on this machine, on the CPU, with the same cubes, folds and threads, each
in a process of its own, and predict the cubes that they were not trained on. `vesuv.evaluate`
scores both on the labels' grid. Each tool decides as it does by default: vesuv with the averaged
weights (EMA) and `validation.threshold`, without a selection; nnU-Net with its last weights; both
with one view and with the mean over mirrored ones (views none, mirror).

What the minutes hold: vesuv's all of `vesuv train --minutes` but preparation, timing of steps and
validation included; nnU-Net's training steps alone (planning and start are outside). The column
"trained for" is the whole process of `vesuv train`, and nnU-Net's steps. The seed fixes vesuv's
run, and nnU-Net's weights; nnU-Net does not seed augmentation that runs in processes.

The data are in the Kaggle layout as TIFF, with label values 0, 1 and 2 (ignored). Finished runs in
--work are read, not repeated. Run it alone on the machine: it takes minutes x folds x seeds of each
tool, and some time for prediction and scores beside that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import DATASET, machine, nnunet_dataset, quiet, versions
from quality_table import MEASURES, FinishedRun, markdown, reached, summarise

import vesuv
from vesuv.config import Config, load_config
from vesuv.data.builder import open_or_prepare_store
from vesuv.data.folds import Folds, load_folds
from vesuv.io import formats
from vesuv.runs.history import RunHistory

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("nnU-Net", "vesuv")
VIEWS = ["none", "mirror"]
SCORES = "scores.json"
"""File of a finished run, written last."""


@dataclass(frozen=True)
class Job:
    """One training run."""

    tool: str
    minutes: float
    fold: int
    seed: int

    @property
    def name(self) -> str:
        tool = "nnunet" if self.tool == "nnU-Net" else self.tool
        return f"{tool}_{self.minutes:g}min_fold{self.fold}_seed{self.seed}"


class Yardstick:
    """Data sets of both tools, and their runs in one working folder.

    Args:
        arguments: Those of the command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.work: Path = arguments.work.resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.raw = self.work / "data"
        if not self.raw.is_symlink():
            self.raw.symlink_to(arguments.data.resolve(), target_is_directory=True)
        self._check_settings()
        self.changes = [
            f"data.root={self.raw}",
            f"data.store={self.work / 'store'}",
            f"runtime.threads={arguments.threads}",
            "runtime.device=cpu",
            *arguments.set,
        ]
        self.config: Config = load_config(arguments.config, self.changes)
        self.folds: Folds = load_folds(open_or_prepare_store(self.config), self.config.data.folds)

    def jobs(self) -> list[Job]:
        """List all runs, shortest budgets first, the tools in turn."""
        one = self.arguments
        folds = range(self.config.data.folds.num) if one.fold is None else one.fold
        order = product(sorted(one.minutes), one.seeds, folds, one.tools)
        return [Job(tool, minutes, fold, seed) for minutes, seed, fold, tool in order]

    def prepare_nnunet(self) -> None:
        """Make nnU-Net's data set, plans and preprocessed cubes, and give it vesuv's folds."""
        home = nnunet_dataset(self.raw)
        folder = home / "nnUNet_preprocessed" / DATASET
        splits = folder / "splits_final.json"
        if splits.is_file():  # written last
            return
        memory = self.arguments.nnunet_memory
        self._nnunet("plan", [] if memory is None else ["--memory", str(memory)])
        parts = (self.folds.split(fold) for fold in range(self.config.data.folds.num))
        content = [{"train": train, "val": held_out} for train, held_out in parts]
        splits.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def finish(self, job: Job) -> FinishedRun:
        """Train, predict and score; read the scores where that was done before."""
        run = self.work / "runs" / job.name
        if not (run / SCORES).is_file():
            run.mkdir(parents=True, exist_ok=True)
            _, cases = self.folds.split(job.fold)
            training = (self._vesuv_run if job.tool == "vesuv" else self._nnunet_run)(
                job, run, cases
            )
            scores = {
                views: dict(self._scores(run, views, cases)) for views in self.arguments.views
            }
            content = {**asdict(job), **training, "cases": scores}
            (run / SCORES).write_text(json.dumps(content, indent=1), encoding="utf-8")
        content = json.loads((run / SCORES).read_text(encoding="utf-8"))
        names = FinishedRun.__dataclass_fields__
        return FinishedRun(**{name: content[name] for name in names})

    def _check_settings(self) -> None:
        """Refuse a working folder with runs of other settings."""
        names = ("config", "set", "threads", "processes", "nnunet_memory", "views")
        settings = {name: getattr(self.arguments, name) for name in names}
        settings["data"] = str(self.raw.resolve())
        if self.raw.resolve() != self.arguments.data.resolve():
            raise SystemExit(f"--work: {self.work} is of {self.raw.resolve()}; name another folder")
        file = self.work / "settings.json"
        if file.is_file() and json.loads(file.read_text(encoding="utf-8")) != settings:
            raise SystemExit(f"--work: {file} has other settings; name another folder")
        file.write_text(json.dumps(settings, indent=1), encoding="utf-8")

    def _vesuv_run(self, job: Job, run: Path, cases: Sequence[str]) -> dict[str, Any]:
        folder = run / "run"
        command = [sys.executable, str(ROOT / "bin" / "train.py")]
        command += ["--config", self.arguments.config, "--fold", str(job.fold)]
        command += ["--minutes", str(job.minutes), "--output", str(folder), "--overwrite"]
        command += ["--set", *self.changes, f"runtime.seed={job.seed}"]
        start = time.perf_counter()
        quiet(command)
        seconds = time.perf_counter() - start
        for views in self.arguments.views:
            predictor = vesuv.load(folder, checkpoint="ema", changes=[f"inference.views={views}"])
            for case in cases:
                mask = predictor.segment(self._volume("train_images", case))
                file = run / "masks" / views / f"{case}.npy"
                file.parent.mkdir(parents=True, exist_ok=True)
                np.save(file, mask)
        rows = RunHistory.read(folder).metrics.rows
        patches = sum(row["patches_per_second"] * row["seconds"] for row in rows)
        config = load_config(folder / "config.yaml")
        return {
            "steps": round(patches / config.sampling.batch_size),
            "seconds": seconds,
            "patch_size": list(config.sampling.patch_size),
            "batch_size": config.sampling.batch_size,
        }

    def _nnunet_run(self, job: Job, run: Path, cases: Sequence[str]) -> dict[str, Any]:
        words = ["--output", str(run), "--minutes", str(job.minutes), "--fold", str(job.fold)]
        words += ["--seed", str(job.seed), "--views", *self.arguments.views]
        self._nnunet("train", [*words, "--cases", *cases])
        training: dict[str, Any] = json.loads((run / "training.json").read_text(encoding="utf-8"))
        return training

    def _nnunet(self, action: str, words: Sequence[str]) -> None:
        home = self.work / f"{self.raw.name}_nnunet"
        command = [sys.executable, str(ROOT / "bench" / "quality_nnunet.py"), action]
        command += ["--home", str(home), "--dataset", DATASET]
        command += ["--processes", str(self.arguments.processes)]
        command += ["--threads", str(self.arguments.threads), *words]
        quiet(command)

    def _scores(
        self, run: Path, views: str, cases: Sequence[str]
    ) -> Iterator[tuple[str, dict[str, float]]]:
        for case in cases:
            label = self._volume("train_labels", case)
            mask = np.load(run / "masks" / views / f"{case}.npy")
            yield case, vesuv.evaluate(mask, label, MEASURES, ignore=self.config.labels.ignore)

    def _volume(self, folder: str, case: str) -> np.ndarray:
        return np.asarray(formats.read(self.raw / folder / f"{case}.tif").array)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder in the Kaggle layout")
    parser.add_argument("--work", type=Path, default=Path("log/quality"), help="runs, kept")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 3.0, 10.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--fold", type=int, nargs="+", help="folds (default: all)")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS)
    parser.add_argument("--views", nargs="+", choices=VIEWS, default=VIEWS, help="of both tools")
    parser.add_argument("--config", default=str(ROOT / "configs" / "fib25.yaml"))
    parser.add_argument("--set", nargs="+", default=[], help="changes of vesuv's configuration")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both tools")
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        help="nnU-Net's processes for augmentation (nnUNet_n_proc_DA) beside its threads; 0: none",
    )
    parser.add_argument(
        "--nnunet-memory", type=float, help="GB that nnU-Net plans for (default: its own default)"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    yardstick = Yardstick(arguments)
    if "nnU-Net" in arguments.tools:
        yardstick.prepare_nnunet()
    runs = []
    for job in yardstick.jobs():
        run = yardstick.finish(job)
        runs.append(run)
        dice = [round(scores["dice"], 4) for scores in run.cases[arguments.views[0]].values()]
        print(f"{job.name}: {run.steps} steps, Dice {dice}", file=sys.stderr, flush=True)
    rows = summarise(runs)
    facts = {
        "command": " ".join(["python", *sys.argv]),
        "machine": machine(),
        "versions": versions(),
        "augmentation processes of nnU-Net": arguments.processes,
    }
    for name, value in facts.items():
        print(f"{name}: {value}")
    print(f"\n{markdown(rows)}")
    if arguments.json is not None:
        content = {**facts, "rows": rows, "reached": reached(rows), "runs": runs}
        text = json.dumps(content, indent=1, default=asdict)
        arguments.json.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
