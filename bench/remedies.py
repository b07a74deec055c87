"""How far do the remedies of the findings bring a run that was made sick, or a diary's one?

Each run trains on real membranes; its findings' remedies are tried as `vesuv diagnose --try` does,
the best arm becomes the run, and so on until no remedy helps or three rounds are over. The Dice of
whole validation cubes stands beside that of the healthy configuration at equal steps and seed.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import yaml
from diagnosis_runs import Tree, weights
from harness import options

from vesuv.cli.study import use_threads
from vesuv.diagnosis import Evidence, diagnose
from vesuv.runs.folder import RunFolder
from vesuv.studies.processes import ProcessWorker
from vesuv.studies.records import Record
from vesuv.studies.remedies import AS_IT_IS, remedy_study, try_remedies
from vesuv.studies.run_study import FILE, run_study
from vesuv.studies.study_file import Budget, read_study

ROUNDS = 3
TOLERANCE = 0.02
"""Dice by which a mended run may lie below the healthy one."""
_CONSTANT = {"name": "plateau", "warmup_epochs": 1}
_RUN = "fold_0_seed_0"


def sick() -> dict[str, Tree]:
    """Name -> change of the healthy configuration."""
    adamw = {"name": "adamw", "lr": 1e-6}
    noise = {"start_epoch": 1, "every": 3, "std": 1.0, "decay": 1.0}
    positive = {"loss": {"cross_entropy": {"positive_weight": 42.0}}}
    original = {"loss": {"variance": {"form": "original"}}}
    return {
        "positive weight 42": {**weights(cross_entropy=1.0), **positive},
        "focal alpha .05": {**weights(focal=1.0), "loss": {"focal": {"alpha": 0.05}}},
        "original variance, half": {**weights(dice=0.5, variance=0.5), **original},
        "original variance alone": {**weights(variance=1.0), **original},
        "learning rate 1e-6": {"optimizer": adamw},
        "SGD at 20": {
            "optimizer": {"name": "sgd", "lr": 20.0, "momentum": 0.9},
            "scheduler": _CONSTANT,
            "train": {"gradient_clip": None},
        },
        "rate cut by power 8": {"scheduler": {"name": "poly", "power": 8.0, "warmup_epochs": 1}},
        "weight decay 150": {"optimizer": {"name": "adamw", "lr": 2e-3, "weight_decay": 150.0}},
        "weight noise 1": {"noise": noise, "scheduler": _CONSTANT},
        "patches of 32": {"sampling": {"patch_size": [32, 32, 32]}},
        "blur of 3 to 4 voxels": {"augment": {"blur": {"p": 1.0, "range": [3.0, 4.0]}}},
        "noise of 3 to 5": {"augment": {"noise": {"p": 0.8, "range": [3.0, 5.0]}}},
    }


@dataclass(frozen=True)
class Followed:
    """A run and what following its remedies brought."""

    name: str
    before: float
    """Dice of whole validation cubes, each with the threshold that was selected on the other."""
    after: float
    found: tuple[str, ...]
    """Findings of the first round."""
    remedies: tuple[str, ...]
    """Arm taken in each round."""


def main() -> None:
    parser = options(__doc__ or "", repeats=1, warm_up=0)
    parser.add_argument("--root", type=Path, required=True, help="the six cubes of fib25")
    parser.add_argument("--steps", type=int, default=150, help="steps of every training")
    parser.add_argument("--filters", type=int, default=16, help="filters of the network")
    parser.add_argument("--only", nargs="+", help="runs whose name holds one of these")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    folder = arguments.data / "remedies"
    folder.mkdir(parents=True, exist_ok=True)
    base = healthy_tree(arguments)
    _, healthy = train_once(folder / "healthy", base, (), Budget(steps=arguments.steps))
    print(f"healthy: Dice {healthy:.3f}\n")
    print("| run | findings | remedies taken | Dice before | after |\n|---|---|---|---|---|")
    followed = []
    for name, (tree, changes) in runs(base).items():
        if arguments.only is None or any(word in name for word in arguments.only):
            own = folder / name.replace(" ", "_").replace(".", "")
            followed.append(follow(name, own, tree, changes, Budget(steps=arguments.steps)))
            print(row(followed[-1]), flush=True)
    mended = sum(one.after >= healthy - TOLERANCE for one in followed)
    print(f"\n{mended} of {len(followed)} runs come within {TOLERANCE} of the healthy one.")
    if arguments.json is not None:
        content = {"healthy": healthy, "runs": [asdict(one) for one in followed]}
        arguments.json.write_text(json.dumps(content, indent=1))


def healthy_tree(arguments: Namespace) -> Tree:
    """The recipe for membranes, smaller."""
    return {
        "base": "fib25",
        "data": {"root": str(arguments.root), "store": str(arguments.data / "remedies/store")},
        "model": {"filters": arguments.filters},
        "validation": {"every": 1},
        "inference": {"views": "none"},
        "diagnosis": {"gradients_every": 3},
        "runtime": {"threads": arguments.threads, "workers": 0, "max_minutes": None},
    }


def runs(healthy: Tree) -> dict[str, tuple[Tree, tuple[str, ...]]]:
    """Name -> configuration and changes: the healthy one made sick, and the diary's ones."""
    made = {name: (_merged(healthy, change), ()) for name, change in sick().items()}
    diary = read_study(Path("diary_configurations")).arms[1:]
    return made | {arm.name: (healthy, arm.changes) for arm in diary}


def follow(name: str, folder: Path, tree: Tree, changes: Sequence[str], budget: Budget) -> Followed:
    """Train a run, then take the best remedy in turn."""
    run, before = train_once(folder, tree, changes, budget)
    after, found, taken = before, (), []
    for number in range(ROUNDS):
        findings = diagnose(Evidence.read(run))
        found = found if number else tuple(one.name for one in findings)
        trial = remedy_study(RunFolder(run), findings, budget, (0,), folder / f"round_{number}")
        if len(trial.arms) == 1:
            break
        goes_on = (trial.path / FILE).exists()
        records, _ = try_remedies(RunFolder(run), trial, _worker(), resume=goes_on)
        dice = {record.arm: _dice(record) for record in records}
        best = max(dice, key=dice.__getitem__)
        if best == AS_IT_IS:
            break
        after = dice[best]
        taken.append(best)
        run = trial.path / best.replace(" ", "_") / _RUN
    return Followed(name, before, after, found, tuple(taken))


def train_once(
    folder: Path, tree: Tree, changes: Sequence[str], budget: Budget
) -> tuple[Path, float]:
    """Train a configuration; return the run's folder and its Dice."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "base.yaml").write_text(yaml.safe_dump(tree))
    settings = {"base": "./base.yaml", "budget": {"steps": budget.steps}}
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump({"study": settings, "arms": {"run": {}}}))
    output = folder / "run"
    (record,) = run_study(
        read_study(file, changes), output, _worker(), resume=(output / FILE).exists()
    ).records
    return output / "run" / _RUN, _dice(record)


def row(one: Followed) -> str:
    cells = [
        one.name,
        ", ".join(one.found) or "none",
        ", then ".join(one.remedies) or "none",
        f"{one.before:.3f}",
        f"{one.after:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def _dice(record: Record) -> float:
    """Return the honest Dice of `vesuv validate_distribution`; 0 where the run failed."""
    return record.scores.get("selected/dice", 0.0)


def _worker() -> ProcessWorker:
    return ProcessWorker(use_threads)


def _merged(under: Mapping[str, object], over: Mapping[str, object]) -> Tree:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        deeper = isinstance(value, dict) and isinstance(below, dict) and "name" not in value
        merged[key] = _merged(below, value) if deeper else value  # type: ignore[arg-type]
    return merged


if __name__ == "__main__":
    main()
