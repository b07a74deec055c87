"""Evidence of each finding made by hand, with the settings that its remedy may propose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vesuv.runs.fields import BINS
from vesuv.runs.observation import (
    AugmentationEffect,
    GradientComparison,
    Histogram,
    LabelShares,
    Structure,
    TileScore,
    TrainScore,
)

UP, DOWN = 1, -1


@dataclass(frozen=True)
class FaultyRun:
    """One run; `made` is the arguments of the fixture `make`."""

    finding: str
    made: dict[str, Any]
    settings: dict[str, int | str] = field(default_factory=dict)
    """Key -> direction away from the fault, or the value that repairs it."""


def counts(places: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(places.get(place, 0) for place in range(BINS))


def histogram(foreground: Mapping[int, int], background: Mapping[int, int]) -> Histogram:
    return Histogram(foreground=counts(foreground), background=counts(background))


def with_dice(dice: float) -> Histogram:
    right = round(1000 * dice)
    return histogram({99: right, 0: 1000 - right}, {99: 1000 - right, 0: 100_000})


def fit(train: float, validation: float) -> dict[str, Any]:
    score = TrainScore(
        dice=0.5, precision=0.5, recall=0.5, predicted=0.1, labelled=0.1, histogram=with_dice(train)
    )
    return {"train": score, "histogram": with_dice(validation)}


def group_line() -> dict[str, Any]:
    dice = {"north": 0.8, "south": 0.46}
    tiles = [
        TileScore(case=name, group=name, predicted=0.1, labelled=0.25, dice=value)
        for name, value in dice.items()
    ]
    return {"groups": dice, "tiles": tiles}


def shares(foreground: float, values: Mapping[str, float] | None = None) -> LabelShares:
    return LabelShares(
        values=values or {}, foreground=foreground, ignore=0.0, patches_with_foreground=0.1
    )


def balance(precision: float, recall: float, predicted: float, labelled: float) -> dict[str, Any]:
    values = {
        "precision": precision,
        "recall": recall,
        "predicted_fraction": predicted,
        "labelled_fraction": labelled,
        "dice": 0.5,
    }
    return {f"val/{name}": [value] * 5 for name, value in values.items()}


def losses(*values: float) -> dict[str, Any]:
    return {
        "val/dice": [0.3] * len(values),
        "val/loss_dice": list(values),
        "weight/dice": [1.0] * len(values),
    }


def effect(name: str) -> dict[str, Any]:
    return {"augmentation": {name: AugmentationEffect(p=0.8, foreground=1.0, contrast=0.2)}}


FLAT = {"histogram": histogram({30: 100}, {29: 900})}
SHARP = {"histogram": histogram({90: 100}, {10: 900})}
OVER, UNDER = balance(0.4, 0.95, 0.5, 0.2), balance(0.95, 0.4, 0.1, 0.25)
SGD_30 = {"name": "sgd", "lr": 30.0}
STUCK = [fit(0.2, 0.19)] * 5
OVER_FITTED = [fit(0.5, 0.5), fit(0.7, 0.6), fit(0.8, 0.58), fit(0.9, 0.55)]
STILL = [{"movement": 1e-5}] * 4
OPPOSED = GradientComparison(
    cosines={name: {"dice|focal": -0.8} for name in ("encoder", "decoder")},
    norms={name: {"dice": 1.0, "focal": 0.5} for name in ("encoder", "decoder")},
)
CUT = {
    "lr": [1e-3, 1e-3, 1e-3, 1e-4, 1e-4],
    "val/dice": [0.1, 0.11, 0.12, 0.13, 0.13],
}
THREE_CLASSES = {
    "labels": {"classes": {"background": 0, "surface": 1, "other": 2}, "ignore": None},
    "model": {"name": "plain_unet", "depth": 2, "out_channels": 3},
    "loss": {"class_weights": [1.0, 2.0, 3.0]},
}
UNLABELLED = shares(0.61, {"0": 0.39, "1": 0.05, "2": 0.56})
FOCAL = {"phases": [{"epochs": [0, None], "weights": {"focal": 1.0}}]}
PINNED = {
    "phases": [{"epochs": [0, None], "weights": {"dice": 0.75, "variance": 0.25}}],
    "loss": {"variance": {"form": "original"}},
}
PINNED_COLUMNS = {
    "val/dice": [0.6] * 3,
    "val/labelled_fraction": [0.2] * 3,
    "val/loss_dice": [0.5] * 3,
    "val/loss_variance": [0.99, 0.95, 0.97],
    "weight/dice": [0.75] * 3,
    "weight/variance": [0.25] * 3,
}
SMALL = {"sampling": {"patch_size": [16, 16, 16]}}
SWINGING = [{"histogram": histogram({p: 100}, {p - 20: 100, 0: 300})} for p in (60, 40, 80, 45, 60)]

RUNS = [
    FaultyRun(
        "extra_label_as_foreground",
        {"census": UNLABELLED, **THREE_CLASSES},
        {
            "labels.ignore": "2",
            "labels.classes": "",
            "model.out_channels": DOWN,
            "loss.class_weights": "null",
        },
    ),
    FaultyRun(
        "skipped_steps",
        {"columns": {"skipped_steps": [0, 9]}},
        {"optimizer.lr": DOWN, "runtime.precision": "float32"},
    ),
    FaultyRun(
        "skipped_steps",
        {"columns": {"skipped_steps": [0, 9]}, "optimizer": {"name": "sgd", "lr": 1e30}},
        {"optimizer.lr": DOWN, "runtime.precision": "float32"},
    ),
    FaultyRun("collapse", {"observations": [FLAT] * 3}, {"optimizer.lr": UP, "phases": ""}),
    FaultyRun(
        "collapse",
        {"observations": [FLAT] * 3, "optimizer": SGD_30},
        {"optimizer.lr": DOWN, "phases": ""},
    ),
    FaultyRun(
        "collapse",
        {
            "observations": [FLAT, SHARP, FLAT, FLAT],
            "optimizer": {"name": "adamw", "weight_decay": 5.0},
        },
        {"optimizer.lr": DOWN, "optimizer.weight_decay": DOWN, "phases": ""},
    ),
    FaultyRun(
        "collapse",
        {
            "observations": [FLAT, SHARP, FLAT, FLAT],
            "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 150.0},
        },
        {"optimizer.weight_decay": DOWN},
    ),
    FaultyRun(
        "still_weights",
        {"observations": STILL, "optimizer": {"name": "adamw", "lr": 1e-6}},
        {"optimizer.lr": UP},
    ),
    FaultyRun("still_weights", {"observations": STILL, "optimizer": {"lr": 1e-2}}),
    FaultyRun(
        "learning_rate_too_high",
        {"columns": losses(0.4, 0.6, 0.4, 0.6)},
        {"optimizer.lr": DOWN, "scheduler.warmup_epochs": UP},
    ),
    FaultyRun(
        "learning_rate_too_high",
        {"columns": losses(0.4, 0.4, 0.6), "events": [(2, "escape", "")], "plateau": {}},
        {"plateau.cap": DOWN, "plateau": "null"},
    ),
    FaultyRun(
        "learning_rate_too_high",
        {"columns": losses(0.4, 0.4, 0.6), "events": [(2, "escape", "")], "plateau": {"cap": 1.0}},
        {"plateau": "null"},
    ),
    FaultyRun(
        "learning_rate_too_high",
        {"columns": losses(0.4, 0.6, 0.4, 0.6) | {"lr": [5e-3] * 4}},  # raised by an escape
        {"optimizer.lr": DOWN, "scheduler.warmup_epochs": UP},
    ),
    FaultyRun(
        "learning_rate_too_high",
        {"observations": STUCK, "optimizer": SGD_30},
        {"optimizer.lr": DOWN},
    ),
    FaultyRun(
        "learning_rate_too_high",
        {"observations": STUCK, "columns": {"skipped_steps": [0, 3, 3, 3, 3]}},
        {"optimizer.lr": DOWN},
    ),
    FaultyRun(
        "learning_rate_too_high",
        {"observations": [{**line, "movement": 2.0} for line in STUCK]},
        {"optimizer.lr": DOWN},
    ),
    FaultyRun(
        "learning_rate_too_high",
        {
            "observations": STUCK,
            "columns": {"train/loss_dice": [0.5, 0.9, 0.9, 0.9, 0.9], "weight/dice": [1.0] * 5},
        },
        {"optimizer.lr": DOWN},
    ),
    FaultyRun(
        "learning_rate_cut_early",
        {"columns": CUT, "scheduler": {"name": "plateau", "threshold": 0.3}},
        {"scheduler.patience": UP, "scheduler.threshold": DOWN, "scheduler.name": "poly"},
    ),
    FaultyRun(
        "learning_rate_cut_early",
        {"columns": CUT, "scheduler": {"name": "plateau", "threshold": 1e-4}},
        {"scheduler.patience": UP, "scheduler.name": "poly"},
    ),
    FaultyRun(
        "learning_rate_cut_early",
        {"columns": CUT, "scheduler": {"name": "poly", "power": 8.0}},
        {"scheduler.power": DOWN, "train.epochs": UP},
    ),
    FaultyRun(
        "learning_rate_cut_early",
        {
            "columns": CUT,
            "scheduler": {"name": "poly"},
            "phases": [{"epochs": [0, 19], "weights": {"dice": 1.0}}],
        },
        {"train.epochs": UP, "phases.0.epochs.1": "null"},
    ),
    FaultyRun(
        "learning_rate_cut_early",
        {
            "columns": CUT,
            "scheduler": {"name": "poly", "power": 8.0},
            "observations": OVER_FITTED,
        },
        {"scheduler.power": DOWN},
    ),
    FaultyRun(
        "learning_rate_cut_early",
        {"columns": CUT, "scheduler": {"name": "cosine"}},
        {"scheduler.t_0": UP, "scheduler.name": "poly"},
    ),
    FaultyRun(
        "pinned_loss_term",
        {"columns": PINNED_COLUMNS, **PINNED},
        {"loss.variance.form": "separation"},
    ),
    FaultyRun("pinned_loss_term", {"columns": losses(0.99, 0.99, 0.99)}, {"optimizer.lr": UP}),
    FaultyRun("pinned_loss_term", {"columns": losses(0.99, 0.99, 0.99), "optimizer": SGD_30}),
    FaultyRun(
        "opposing_loss_terms",
        {"observations": [{"gradients": OPPOSED}] * 2},
    ),
    FaultyRun("lopsided_precision_recall", {"columns": OVER}, {"sampling.foreground_share": DOWN}),
    FaultyRun(
        "lopsided_precision_recall",
        {"columns": OVER, "validation": {"threshold": 0.2}},
        {"validation.threshold": UP},
    ),
    FaultyRun(
        "lopsided_precision_recall",
        {"columns": UNDER, "validation": {"threshold": 0.8}},
        {"validation.threshold": DOWN},
    ),
    FaultyRun(
        "lopsided_precision_recall",
        {
            "columns": OVER,
            "observations": [{"histogram": histogram({60: 10, 90: 90}, {60: 60, 0: 40})}],
        },
        {"validation.threshold": UP, "sampling.foreground_share": DOWN},
    ),
    FaultyRun(
        "lopsided_precision_recall",  # the best threshold would deepen the fault
        {
            "columns": OVER,
            "observations": [{"histogram": histogram({30: 80, 90: 20}, {5: 100, 90: 5})}],
        },
        {"sampling.foreground_share": DOWN},
    ),
    FaultyRun(
        "lopsided_precision_recall",
        {"columns": OVER, "loss": {"focal": {"alpha": 0.9}}, **FOCAL},
        {"loss.focal.alpha": DOWN},
    ),
    FaultyRun(
        "lopsided_precision_recall",
        {"columns": UNDER, "loss": {"focal": {"alpha": 0.1}}, **FOCAL},
        {"loss.focal.alpha": UP},
    ),
    FaultyRun(
        "lopsided_precision_recall",
        {"columns": OVER, "loss": {"class_weights": [1.0, 5.0]}},
        {"loss.class_weights": "null"},
    ),
    FaultyRun(
        "lopsided_precision_recall",
        {
            "columns": OVER,
            "loss": {"cross_entropy": {"positive_weight": 42.0}},
            "phases": [{"epochs": [0, None], "weights": {"cross_entropy": 1.0}}],
        },
        {"loss.cross_entropy.positive_weight": DOWN},
    ),
    FaultyRun("threshold_instability", {"observations": SWINGING}, {"averaging.ema.decay": "0.99"}),
    FaultyRun(
        "threshold_instability",
        {"observations": SWINGING, "averaging": {"ema": {"decay": 0.999}}},
    ),
    FaultyRun(
        "phases_not_comparable",
        {
            "columns": {
                "val/dice": [0.6, 0.59],
                "val/loss_dice": [0.40, 0.41],
                "val/loss_focal": [0.05, 0.05],
                "weight/dice": [1.0, 0.8],
                "weight/focal": [0.0, 0.2],
            }
        },
    ),
    FaultyRun(
        "rare_foreground",
        {
            "columns": {"train/patches_with_foreground": [0.1] * 3},
            "sampling": {"foreground_share": 0.6},
        },
        {"sampling.foreground_share": UP, "loss.dice.batch": "true"},
    ),
    FaultyRun("rare_foreground", {"columns": {"train/patches_with_foreground": [0.1] * 3}}),
    FaultyRun(
        "patch_share_off",
        {"columns": {"train/foreground_share": [0.1] * 3}, "census": shares(0.01)},
        {"validation.full_every": "5", "sampling.foreground_share": DOWN},
    ),
    FaultyRun(
        "patch_share_off",
        {
            "columns": {"train/foreground_share": [0.1] * 3},
            "census": shares(0.01),
            "sampling": {"foreground_share": 0.0},
        },
        {"validation.full_every": "5"},
    ),
    FaultyRun(
        "patch_share_off",
        {"columns": {"train/foreground_share": [0.02] * 3}, "census": shares(0.1)},
        {"sampling.foreground_share": UP},
    ),
    FaultyRun(
        "patch_share_off",
        {
            "columns": {"train/foreground_share": [0.02] * 3},
            "census": shares(0.1),
            "sampling": {"foreground_share": 1.0},
        },
    ),
    FaultyRun(
        "small_patch",
        {"observations": [{"structure": Structure(spacing=(40.0, 14.0, 12.0))}], **SMALL},
        {"sampling.patch_size": "[80, 28, 24]"},
    ),
    FaultyRun(
        "small_patch",  # no larger than the smallest case
        {
            "observations": [
                {"structure": Structure(spacing=(40.0, 14.0, 12.0), extent=(63, 200, 20))}
            ],
            **SMALL,
        },
        {"sampling.patch_size": "[60, 28, 20]"},
    ),
    FaultyRun(
        "small_patch",
        {
            "observations": [
                {"structure": Structure(spacing=(40.0, 14.0, 12.0), extent=(18, 17, 16))}
            ],
            **SMALL,
        },
    ),
    FaultyRun(
        "harsh_augmentation",
        {"observations": [effect("noise")], "augment": {"noise": {"p": 0.8}}},
        {"augment.noise.p": DOWN},
    ),
    FaultyRun(
        "failing_group", {"observations": [group_line()] * 5}, {"data.folds.by": "stratified"}
    ),
    FaultyRun(
        "over_fitting",
        {"observations": OVER_FITTED},
        {
            "augment.rotation.p": UP,
            "augment.scaling.p": UP,
            "augment.noise.p": UP,
            "optimizer.weight_decay": UP,
        },
    ),
    FaultyRun(
        "over_fitting",  # noise would destroy the structure, and enough decay is there
        {
            "observations": [{**effect("noise"), **OVER_FITTED[0]}, *OVER_FITTED[1:]],
            "optimizer": {"name": "adamw", "weight_decay": 1.0},
            "augment": {"noise": {"p": 0.2}},
        },
        {"augment.rotation.p": UP, "augment.scaling.p": UP},
    ),
    FaultyRun("under_fitting", {"observations": STUCK}, {"optimizer.lr": UP, "model.filters": UP}),
    FaultyRun(
        "under_fitting",
        {"observations": STUCK, "model": {"name": "mednext", "variant": "M"}},
        {"optimizer.lr": UP, "model.variant": "L"},
    ),
    FaultyRun(
        "under_fitting",
        {"observations": STUCK, "model": {"name": "mednext", "variant": "L"}},
        {"optimizer.lr": UP},
    ),
    FaultyRun(
        "under_fitting",
        {
            "observations": [fit(0.1 * n, 0.1 * n) for n in range(1, 6)],
            "train": {"epochs": 6},
            "phases": [{"epochs": [0, 5], "weights": {"dice": 1.0}}],
        },
        {"train.epochs": UP, "phases.0.epochs.1": "null", "optimizer.lr": UP},
    ),
    FaultyRun(
        "slow_optimizer",
        {
            "observations": [fit(0.6 + 0.02 * n, 0.6 + 0.02 * n) for n in range(6)],
            "train": {"epochs": 6},
        },
        {"optimizer": "{name: muon}", "train.epochs": UP},
    ),
    FaultyRun(
        "label_noise_ceiling",
        {
            "observations": [{**fit(0.55, 0.55), "errors": {"right": 100, "near": 150, "far": 10}}]
            * 4,
        },
    ),
    FaultyRun(
        "slow_loading",
        {"columns": {"loader_wait_share": [0.9, 0.5, 0.5, 0.5]}, "runtime": {"workers": 3}},
        {
            "runtime.workers": UP,
            "runtime.augment_on": "device",
            "augment.rotation.p": DOWN,
            "augment.scaling.p": DOWN,
            "augment.low_resolution.p": DOWN,
        },
    ),
    FaultyRun(
        "slow_loading",
        {
            "columns": {"loader_wait_share": [0.9, 0.5, 0.5, 0.5]},
            "augment": {name: {"p": 0.0} for name in ("rotation", "scaling", "low_resolution")},
        },
        {"runtime.augment_on": "device"},
    ),
]
