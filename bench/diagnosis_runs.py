"""The runs that the findings are proved on: healthy ones, sick ones, and the diary's."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diagnosis_data import data_set

from vesuv.config import Config, check, load_config

Tree = dict[str, Any]
DIARY = (
    "v1_original",
    "v2_fixed_foreground_bias",
    "v2_optimized_target_0.35",
    "v3_aggressive_precision",
    "v4_aggressive_focal",
    "v5_variance_focused",
    "v5_optimized_batch8",
    "v5_conservative",
    "v6_fix_plateau",
    "v7_batch8_smallvariance",
    "v8_dice_only",
)
EPOCHS, STEPS, PATCH = 8, 16, 24
FRESH = 6
"""Runs of this seed were trained after the last threshold was chosen."""


@dataclass(frozen=True)
class Run:
    """One run; `illness` is the finding that it is made to have, None for a healthy one."""

    name: str
    seed: int
    illness: str | None = None
    data: str = "phantom"
    changes: Tree = field(default_factory=dict)
    diary: str | None = None

    @property
    def tuning(self) -> bool:
        """Whether it was looked at while thresholds were chosen; the table counts the others."""
        return self.seed < FRESH

    def config(self, folder: Path) -> Config:
        """Return the configuration, its data made."""
        raw = data_set(folder / "data", self.data, self.seed)
        classes = self.changes.get("labels", {}).get("classes", {})
        schema = "ignore" if not classes else f"all_in_{len(classes)}"
        folds = "".join(f"_{by}" for by in self.changes.get("data", {}).get("folds", {}).values())
        store = folder / "stores" / f"{raw.name}_{schema}{folds}"
        tree = _merged(self._base(raw, store), self.changes)
        return check(tree, self.name)

    def _base(self, raw: Path, store: Path) -> Tree:
        if self.diary is not None:
            return _diary(self.diary, self.seed, raw, store)
        return _healthy(self.seed, raw, store)


def _healthy(seed: int, raw: Path, store: Path) -> Tree:
    return {
        "name": "proof",
        "data": {
            "root": str(raw),
            "store": str(store),
            "folds": {"num": 3, "by": "stratified", "seed": seed},
        },
        "labels": {"classes": {"background": 0, "surface": 1}, "ignore": 2},
        "sampling": {"patch_size": [PATCH] * 3, "batch_size": 4, "foreground_share": 0.5},
        "model": {"name": "plain_unet", "filters": 8, "depth": 2},
        "phases": [{"epochs": [0, None], "weights": {"dice": 1.0, "cross_entropy": 1.0}}],
        "train": {"epochs": EPOCHS, "steps_per_epoch": STEPS},
        "optimizer": {"name": "adamw", "lr": 5e-3},
        "scheduler": {"name": "poly", "warmup_epochs": 1},
        "validation": {"tiles": 9},
        **_short(seed),
    }


def _short(seed: int) -> Tree:
    return {
        "diagnosis": {"train_tiles": 6, "gradients_every": 3},
        "runtime": {
            "seed": seed,
            "device": "cpu",
            "precision": "float32",
            "threads": 1,
            "workers": 0,
        },
    }


def _diary(name: str, seed: int, raw: Path, store: Path) -> Tree:
    """The diary's configuration in 128 steps: schedules shortened alike, the rate ten times up.

    Losses, their weights, class weights, alpha, threshold, clipping, optimiser and the kind of
    schedule are the configuration's.
    """
    file = f"configs/history/{name}.yaml" if name != "v9" else "configs/v9_progressive.yaml"
    tree = load_config(Path(file)).model_dump(mode="json")
    healthy = _healthy(seed, raw, store)
    kept = ("data", "labels", "sampling", "model", "train", "diagnosis", "runtime")
    clip = tree["train"]["gradient_clip"]
    tree |= {key: healthy[key] for key in kept}
    tree["train"] = {**tree["train"], "gradient_clip": clip}
    tree["validation"] = {**tree["validation"], "tiles": 9}
    tree["optimizer"]["lr"] *= 10
    tree["scheduler"]["warmup_epochs"] = 1
    if tree["scheduler"]["name"] == "cosine":
        tree["scheduler"]["t_0"] = EPOCHS
    tree["averaging"] = {"swa": None, "ema": None}
    if tree["noise"]:
        tree["noise"] |= {"start_epoch": 2, "every": 2}
    tree["early_stopping"] = None
    if name == "v9":
        for phase, epochs in zip(tree["phases"], ([0, 2], [3, 5], [6, None]), strict=True):
            phase["epochs"] = epochs
    return tree


def _merged(under: Tree, over: Tree) -> Tree:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        replaces = not (isinstance(value, dict) and isinstance(below, dict)) or key == "classes"
        other_kind = isinstance(value, dict) and "name" in value
        merged[key] = value if replaces or other_kind else _merged(below, value)  # type: ignore[arg-type]
    return merged


def weights(**terms: float) -> Tree:
    """One phase with these weights."""
    return {"phases": [{"epochs": [0, None], "weights": terms}]}


def healthy_runs() -> list[Run]:
    """Sane variations: networks, losses, schedules, optimisers, augmentation, averaging, seeds."""
    plain = {"rotation": {"p": 0.0}, "scaling": {"p": 0.0}, "low_resolution": {"p": 0.0}}
    poly = {"name": "poly", "warmup_epochs": 1}
    ramp = [
        {"epochs": [0, 3], "weights": {"dice": 1.0, "cross_entropy": 1.0}},
        {"epochs": [4, None], "weights": {"dice": 1.0, "cross_entropy": 0.9}, "ramp": 1},
    ]
    muon = {"optimizer": {"name": "muon", "lr": 0.05, "weight_decay": 0.05}}
    blocks = {"space_to_depth": [2, 2, 2], "refinement": True, "initialisation": "dirac"}
    kinds: dict[str, Tree] = {
        "base": {},
        "muon": muon,
        "blocks": {**muon, "model": {**blocks, "filters": 16, "depth": 1}},
        "short": {
            **muon,
            "averaging": {"ema": {"decay": 0.995}},
            "validation": {"threshold": 0.55},
        },
        "dice": weights(dice=1.0),
        "cross_entropy": weights(cross_entropy=1.0),
        "focal": weights(dice=1.0, focal=1.0),
        "separation": weights(dice=0.7, variance=0.3),
        "boundary": weights(dice=1.0, cross_entropy=1.0, boundary=0.2),
        "cldice": weights(dice=0.8, cross_entropy=0.5, cldice=0.2),
        "connectivity": weights(dice=1.0, connectivity=0.5),
        "phases": {"phases": ramp},
        "plateau": {"scheduler": {"name": "plateau", "warmup_epochs": 1}},
        "cosine": {"scheduler": {"name": "cosine", "t_0": EPOCHS, "warmup_epochs": 1}},
        "sgd": {"optimizer": {"name": "sgd", "lr": 5e-2, "momentum": 0.9}, "scheduler": poly},
        "softmax": {"model": {"out_channels": 2}},
        "wide": {"model": {"filters": 12}},
        "segresnet": {
            "model": {"name": "segresnet", "filters": 8, "blocks_down": [1, 1], "blocks_up": [1]}
        },
        "flips_only": {"augment": plain},
        "all_foreground": {"sampling": {"foreground_share": 1.0}},
        "uniform": {"sampling": {"foreground_share": 0.0}},
        "random_folds": {"data": {"folds": {"by": "random"}}},
        "ema": {"averaging": {"ema": {"decay": 0.9}}},
        "mild_noise": {"noise": {"start_epoch": 2, "every": 2, "std": 0.001, "decay": 0.9}},
        "escape": {"plateau": {"patience": 3}},
        "batch": {"sampling": {"batch_size": 6}, "train": {"steps_per_epoch": 11}},
    }
    runs = [Run(f"{n}_{seed}", seed, changes=c) for seed in (1, FRESH) for n, c in kinds.items()]
    first = ("base", "focal", "cosine", "sgd", "softmax", "separation")
    runs += [Run(f"{name}_0", 0, changes=kinds[name]) for name in first]
    return [*runs, Run("base_3", 3), Run("dice_2", 2, changes=weights(dice=1.0))]


def diary_runs() -> list[Run]:
    """The diary's configurations; up to v8 label 2 is foreground, as it was."""
    classes = {"labels": {"classes": {"background": 0, "surface": [1, 2]}, "ignore": None}}
    sick = [
        Run(name, 1, "extra_label_as_foreground", changes=classes, diary=name) for name in DIARY
    ]
    return [*sick, Run("v9_progressive", 1, "phases_not_comparable", diary="v9")]
