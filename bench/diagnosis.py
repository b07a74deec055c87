"""Do the findings find what is the matter, and nothing where nothing is?

Trains small networks on the phantom: healthy ones in sane variations, ones made sick on purpose,
and the diary's configurations. Thresholds were chosen on runs of the first seeds, then fixed; the
first table counts fresh ones. Finished runs are kept and not trained again.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diagnosis_runs import Run, diary_runs, healthy_runs
from diagnosis_sick import sick_runs
from harness import Report, options

from vesuv.diagnosis import FINDINGS, Evidence, compare, diagnose
from vesuv.errors import InputError
from vesuv.runs.history import Metrics
from vesuv.training.train import train

READY = 1 / 20
"""Share of healthy runs that a finding may alarm."""


@dataclass(frozen=True)
class Seen:
    """What was found in a run: at its end, and at any validation of it."""

    run: Run
    end: frozenset[str]
    ever: frozenset[str]


def main() -> None:
    parser = options(__doc__ or "", repeats=1, warm_up=0)
    parser.add_argument("--only", help="train runs whose name holds this")
    parser.add_argument("--no-training", action="store_true", help="judge what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    folder = arguments.data / "diagnosis"
    runs = [*healthy_runs(), *diary_runs(), *sick_runs()]
    if not arguments.no_training:
        for number, run in enumerate(in_turn(runs), start=1):
            if arguments.only is None or arguments.only in run.name:
                print(f"{number}/{len(runs)} {run.name}: {trained(run, folder):.0f} s", flush=True)
    seen = [judge(run, folder) for run in runs if finished(run, folder)]
    finish(seen, folder, arguments)


def in_turn(runs: Sequence[Run]) -> list[Run]:
    """Fresh runs first, healthy and sick ones in turn."""
    healthy = [run for run in runs if not run.tuning and run.illness is None]
    sick = [run for run in runs if not run.tuning and run.illness is not None]
    mixed = []
    while healthy or sick:
        mixed += [queue.pop(0) for queue in (healthy, sick, sick) if queue]
    return [*mixed, *(run for run in runs if run.tuning)]


def trained(run: Run, folder: Path) -> float:
    """Train a run that is not there yet; return the seconds it took."""
    if finished(run, folder):
        return 0.0
    path, began = folder / "runs" / run.name, time.monotonic()
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            train(run.config(folder), output=path)
        except InputError as fault:
            path.mkdir(parents=True, exist_ok=True)
            (path / "ended.txt").write_text(str(fault))
    for heavy in (path / "checkpoints", path / "report.html"):
        shutil.rmtree(heavy) if heavy.is_dir() else heavy.unlink(missing_ok=True)
    (path / "finished").touch()
    return time.monotonic() - began


def finished(run: Run, folder: Path) -> bool:
    """Whether the run's files are complete."""
    path = folder / "runs" / run.name
    return (path / "finished").is_file() and (path / "config.yaml").is_file()


def judge(run: Run, folder: Path) -> Seen:
    """Diagnose a finished run as a whole, and as it stood after each validation."""
    whole = Evidence.read(folder / "runs" / run.name)
    ever: set[str] = set()
    for epoch in whole.validation_epochs:
        until = replace(
            whole,
            metrics=Metrics(tuple(row for row in whole.metrics.rows if row["epoch"] <= epoch)),
            events=tuple(event for event in whole.events if event.epoch <= epoch),
            observations=tuple(line for line in whole.observations if line.epoch <= epoch),
        )
        ever |= {finding.name for finding in diagnose(until)}
    end = frozenset(finding.name for finding in diagnose(whole))
    return Seen(run, end, frozenset(ever) | end)


def finish(seen: Sequence[Seen], folder: Path, arguments: Namespace) -> None:
    """Print both halves, what each run was found to have, and write the file."""
    report = Report("hits, misses and false alarms of the findings", arguments)
    tables = {
        "fresh runs": table([one for one in seen if not one.run.tuning]),
        "runs that thresholds were chosen on, and the diary's": table(
            [one for one in seen if one.run.tuning]
        ),
    }
    for name, rows in tables.items():
        print(
            f"\n## {name}\n\n| finding | sick runs | hits | missed | false alarms at the end | "
            "at any validation | ready |\n|---|---|---|---|---|---|---|"
        )
        for row in rows:
            print("| " + " | ".join(str(value) for value in row.values()) + " |")
    print("\n## runs\n")
    for one in seen:
        print(
            f"{one.run.name} [{one.run.illness or 'healthy'}]: {', '.join(sorted(one.end))}"
            f" (on the way: {', '.join(sorted(one.ever - one.end))})"
        )
    pairs = comparisons(seen, folder)
    print("\n## comparisons\n", *pairs, sep="\n")
    if arguments.json is not None:
        runs = {one.run.name: [one.run.illness, sorted(one.end), sorted(one.ever)] for one in seen}
        content = {**report.facts, "tables": tables, "runs": runs, "comparisons": pairs}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(content, indent=1), encoding="utf-8")


def table(seen: Sequence[Seen]) -> list[dict[str, object]]:
    """Count, for each finding, its sick runs and the healthy ones."""
    healthy = [one for one in seen if one.run.illness is None]
    rows = []
    for name in FINDINGS:
        sick = [one for one in seen if one.run.illness == name]
        missed = [one.run.name for one in sick if name not in one.end]
        alarms = [one.run.name for one in healthy if name in one.end]
        early = [one.run.name for one in healthy if name in one.ever]
        rows.append(
            {
                "finding": name,
                "sick": len(sick),
                "hits": len(sick) - len(missed),
                "missed": ", ".join(missed),
                "alarms": f"{len(alarms)} of {len(healthy)} {', '.join(alarms)}".strip(),
                "early": f"{len(early)} of {len(healthy)} {', '.join(early)}".strip(),
                "ready": "yes" if len(early) <= READY * len(healthy) + 1e-9 else "no",
            }
        )
    return rows


def comparisons(seen: Sequence[Seen], folder: Path) -> list[str]:
    """Compare pairs of runs: of one objective, and of different ones."""
    there = {one.run.name for one in seen}
    same = [("base_1", "sgd_1"), ("base_1", "plateau_1"), ("base_1", "wide_1")]
    other = [("dice_1", "base_1"), ("v8_dice_only", "v9_progressive"), ("focal_1", "dice_1")]
    lines = []
    for differs, pairs in ((False, same), (True, other)):
        for names in pairs:
            if there.issuperset(names):
                found = compare([Evidence.read(folder / "runs" / name) for name in names])
                right = "right" if (found is not None) == differs else "WRONG"
                lines.append(f"{' and '.join(names)}: {right}: {found.evidence if found else '-'}")
    return lines


if __name__ == "__main__":
    main()
