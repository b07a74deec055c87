"""The verbs of the command line on tiny data: the state before, the command, the way to go on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import yaml

from tests.conftest import tiny_tree
from tests.faults.runs import SAVED_OFTEN
from vesuv.io.formats import write

EDGE = 16
CHANGES = SAVED_OFTEN | {"train": {"epochs": 3, "steps_per_epoch": 2}}

Words = tuple[str, ...]
"""A command; {w} stands for the folder that everything lies in."""


@dataclass(frozen=True)
class Scenario:
    """A command that is killed, the commands before it, and those a user goes on with."""

    command: Words
    before: tuple[Words, ...] = ()
    edit: Callable[[Path], None] | None = None
    """What the user changes between `before` and `command`."""
    again: tuple[Words, ...] = ()
    """Tried in turn until one ends well; the command itself when empty."""


def lay_out(folder: Path) -> None:
    """Write raw data, volumes to predict, configurations, and files of the user."""
    data = folder / "data"
    for kind in ("images", "labels"):
        (data / f"train_{kind}").mkdir(parents=True)
    for number in range(3):
        write_case(data, number, number)
    (data / "train.csv").write_text("id,scroll_id\nc0,0\nc1,1\nc2,0\n")
    for name, seed in (("a", 0), ("b", 1)):
        tree = tiny_tree(data, folder / "store") | CHANGES | {"name": name}
        tree["runtime"] = tree["runtime"] | {"seed": seed, "workers": 0}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(tree))
        run = folder / "log" / name / "fold_0"
        run.mkdir(parents=True)
        (run / "notes.txt").write_text("the user's own\n")
    shutil.copytree(data / "train_images", folder / "few")
    (folder / "few" / "c2.tif").unlink()
    image, _ = _volume(9)
    (folder / "inputs").mkdir()
    for ending in (".tif", ".nii.gz", ".zarr"):
        write(folder / "inputs" / f"volume_{ending.strip('.')[:3]}{ending}", image)
    for name in ("masks", "scores"):
        (folder / name).mkdir()
        (folder / name / "notes.txt").write_text("the user's own\n")


def write_case(data: Path, number: int, seed: int) -> None:
    image, label = _volume(seed)
    tifffile.imwrite(data / f"train_images/c{number}.tif", image)
    tifffile.imwrite(data / f"train_labels/c{number}.tif", label)


def _volume(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of sheets in noise, and its label."""
    z, y, _ = np.mgrid[:EDGE, :EDGE, :EDGE]
    label = ((z + 0.3 * y + seed).astype(int) % 10 < 2).astype(np.uint8)
    noise = np.random.default_rng(seed).normal(0, 25, label.shape)
    return np.clip(80 + 90 * label + noise, 0, 255).astype(np.uint8), label


def _edit_folds(folder: Path) -> None:
    """Exchange two cases between the folds, and scan one case anew."""
    file = folder / "store" / "folds.yaml"
    content = yaml.safe_load(file.read_text())
    one, other = content["folds"]
    one[0], other[0] = other[0], one[0]
    file.write_text("# edited\n" + yaml.safe_dump(content))
    write_case(folder / "data", 2, 7)


def _train(name: str, *more: str) -> Words:
    output = f"{{w}}/log/{name}/fold_0"
    return ("train", "--config", f"{{w}}/{name}.yaml", "--fold", "0", "--output", output, *more)


_PREPARE = ("prepare", "--config", "{w}/a.yaml")
_OVERWRITE = (*_PREPARE, "--overwrite")
_ONE_RUN = (_PREPARE, _train("a"))
_TWO_RUNS = (*_ONE_RUN, _train("b"))
_RUN = ("--run", "{w}/log/a/fold_0")
_RUNS = (*_RUN, "{w}/log/b/fold_0")
_VALIDATE = ("validate_distribution", *_RUN)
_FIND = ("find_best", *_RUNS, "--output", "{w}/best.json")
_PREDICT = ("predict", *_RUN, "--checkpoint", "last", "--input", "{w}/inputs")
_MASKS = (*_PREDICT, "--output", "{w}/masks", "--probabilities", "--submission")
_SUBMIT = (*_MASKS, "{w}/submission.zip")
_LABELLED = ("predict", *_RUN, "--checkpoint", "last", "--input", "{w}/few")
_EVALUATE = (
    *("evaluate", "--predictions", "{w}/one", "{w}/two", "--labels", "{w}/data/train_labels"),
    *("--images", "{w}/data/train_images", "--output", "{w}/scores"),
    *("--measures", "surface_dice@1", "voi"),
)
_PHANTOM = ("phantom", "--output", "{w}/phantom", "--cases", "2", "--size", "32")

SCENARIOS = {
    "prepare": Scenario(_PREPARE),
    "prepare --overwrite": Scenario(_OVERWRITE, (_PREPARE,), _edit_folds),
    "prepare --overwrite, then prepare": Scenario(
        _OVERWRITE, (_PREPARE,), _edit_folds, (_PREPARE, _OVERWRITE)
    ),
    "train": Scenario(
        _train("a"),
        (_PREPARE,),
        again=(_train("a"), _train("a", "--resume"), _train("a", "--overwrite")),
    ),
    "train --resume": Scenario(
        _train("a", "--resume"), (_PREPARE, _train("a", "--set", "train.epochs=1"))
    ),
    "train --overwrite": Scenario(_train("a", "--overwrite"), _ONE_RUN),
    "validate_distribution": Scenario(_VALIDATE, _ONE_RUN),
    "validate_distribution, of a run trained on": Scenario(
        _VALIDATE, (*_ONE_RUN, _VALIDATE, _train("a", "--resume", "--set", "train.epochs=4"))
    ),
    "find_best": Scenario(_FIND, _TWO_RUNS),
    "predict": Scenario(_SUBMIT, _ONE_RUN),
    "predict --overwrite": Scenario(
        (*_SUBMIT, "--overwrite"), (*_ONE_RUN, (*_SUBMIT, "--threshold", "0.3"))
    ),
    "evaluate": Scenario(
        _EVALUATE,
        (
            *_ONE_RUN,
            (*_LABELLED, "--output", "{w}/one"),
            (*_LABELLED, "--output", "{w}/two", "--threshold", "0.3"),
        ),
    ),
    "diagnose": Scenario(("diagnose", *_RUNS), _TWO_RUNS),
    "phantom": Scenario(_PHANTOM, again=(_PHANTOM, (*_PHANTOM, "--overwrite"))),
    "phantom --overwrite": Scenario((*_PHANTOM, "--overwrite"), ((*_PHANTOM, "--seed", "5"),)),
}
