"""The runs made sick on purpose: two kinds for each finding."""

from __future__ import annotations

from diagnosis_runs import EPOCHS, FRESH, Run, Tree, weights

Kinds = tuple[tuple[str, str, Tree], ...]
"""Name, data and change of the healthy base."""
UNLABELLED = {"ignore": None}


def sick_runs() -> list[Run]:
    """Return every kind of illness with a fresh seed and one of those that were looked at."""
    return [
        Run(f"{finding}_{name}_{seed}", seed, finding, data, change)
        for finding, kinds in illnesses().items()
        for number, (name, data, change) in enumerate(kinds)
        for seed in ((0, 1, FRESH) if number == 0 else (1, FRESH))
    ]


def illnesses() -> dict[str, Kinds]:
    """Finding -> (name, data, change of the healthy base)."""
    short = {"train": {"epochs": 4}}
    return {**_of_data(short), **_of_loss(), **_of_schedule(), **_of_fit()}


def _of_data(short: Tree) -> dict[str, Kinds]:
    merged = {"classes": {"background": 0, "surface": [1, 2]}, **UNLABELLED}
    apart = {"classes": {"background": 0, "surface": 1, "other": 2}, **UNLABELLED}
    heavy = {
        "rotation": {"p": 1.0},
        "scaling": {"p": 1.0},
        "blur": {"p": 1.0},
        "low_resolution": {"p": 1.0},
    }
    vast = {"p": 1.0, "range": [0.15, 0.2]}
    thin = {"filters": 1, "depth": 1}
    return {
        "extra_label_as_foreground": (
            ("merged", "phantom", {"labels": merged, **short}),
            ("apart", "phantom", {"labels": apart, "model": {"out_channels": 3}, **short}),
        ),
        "rare_foreground": (
            ("uniform", "rare", {"sampling": {"foreground_share": 0.0}, **short}),
            ("seldom", "rare", {"sampling": {"foreground_share": 0.1}, **short}),
        ),
        "patch_share_off": (
            ("centred", "rare", {"sampling": {"foreground_share": 1.0}, **short}),
            (
                "small",
                "rare",
                {"sampling": {"foreground_share": 0.8, "patch_size": [16, 16, 16]}, **short},
            ),
        ),
        "small_patch": (
            ("16", "phantom", {"sampling": {"patch_size": [16, 16, 16]}, **short}),
            ("12", "phantom", {"sampling": {"patch_size": [12, 12, 12]}, **short}),
        ),
        "harsh_augmentation": (
            ("blur", "phantom", {"augment": {"blur": {"p": 1.0, "range": [3.0, 4.0]}}, **short}),
            ("noise", "phantom", {"augment": {"noise": {"p": 0.8, "range": [3.0, 5.0]}}, **short}),
            (
                "zoom_out",
                "phantom",
                {"augment": {"scaling": {"p": 0.9, "range": [0.25, 0.4]}}, **short},
            ),
        ),
        "failing_group": (("shifted", "shifted", {}), ("blank", "blank", {})),
        "slow_loading": (
            ("vast", "phantom", {"augment": {**heavy, "scaling": vast}, "model": thin, **short}),
            ("zoomed", "phantom", {"augment": {"scaling": vast}, "model": thin, **short}),
        ),
        "skipped_steps": (
            (
                "diverged",
                "phantom",
                {
                    "optimizer": {"name": "sgd", "lr": 1e30},
                    "train": {"epochs": 4, "gradient_clip": None, "non_finite_limit": 10_000},
                },
            ),
            (
                "clipped",
                "phantom",
                {
                    "optimizer": {"name": "adamw", "lr": 1e37},
                    "train": {"epochs": 4, "non_finite_limit": 10_000},
                },
            ),
        ),
    }


def _of_loss() -> dict[str, Kinds]:
    original = {"loss": {"variance": {"form": "original"}}}
    return {
        "collapse": (
            ("decay", "phantom", {"optimizer": {"weight_decay": 150.0}}),
            ("entropy", "phantom", {**weights(variance=1.0), **original}),
        ),
        "lopsided_precision_recall": (
            (
                "positive_42",
                "phantom",
                {
                    **weights(cross_entropy=1.0),
                    "loss": {"cross_entropy": {"positive_weight": 42.0}},
                },
            ),
            ("alpha", "phantom", {**weights(focal=1.0), "loss": {"focal": {"alpha": 0.05}}}),
            ("cut", "phantom", {**weights(cross_entropy=1.0), "validation": {"threshold": 0.8}}),
        ),
        "pinned_loss_term": (
            ("original", "phantom", {**weights(dice=0.75, variance=0.25), **original}),
            ("ceiling", "phantom", {**weights(dice=0.5, variance=0.5), "optimizer": {"lr": 1e-6}}),
        ),
        "opposing_loss_terms": (
            ("original", "phantom", {**weights(dice=0.5, variance=0.5), **original}),
            (
                "entropy",
                "phantom",
                {**weights(cross_entropy=0.5, variance=1.0), **original},
            ),
        ),
        "phases_not_comparable": (
            (
                "focal",
                "phantom",
                {
                    "phases": [
                        {"epochs": [0, 3], "weights": {"dice": 1.0}},
                        {"epochs": [4, None], "weights": {"dice": 0.8, "focal": 0.2}},
                    ]
                },
            ),
            (
                "halved",
                "phantom",
                {
                    "phases": [
                        {"epochs": [0, 4], "weights": {"dice": 1.0, "cross_entropy": 1.0}},
                        {"epochs": [5, None], "weights": {"dice": 1.0}},
                    ]
                },
            ),
        ),
    }


def _of_schedule() -> dict[str, Kinds]:
    plateau = {"name": "plateau", "warmup_epochs": 0, "patience": 0}
    constant = {"name": "plateau", "warmup_epochs": 1}
    tail = {"start_epoch": 1, "every": 3, "std": 1.0, "decay": 1.0}
    escape = {"patience": 1, "formula": "aggressive", "cap": 50.0, "tolerance": 0.02}
    violent = {
        "optimizer": {"name": "sgd", "lr": 20.0, "momentum": 0.9},
        "scheduler": constant,
        "train": {"gradient_clip": None},
    }
    turns = {
        "phases": _in_turn("focal", "cross_entropy"),
        "loss": {"focal": {"alpha": 0.98}},
        "optimizer": {"lr": 0.04},
        "scheduler": constant,
        "validation": {"threshold": 0.7},
    }
    shaken = {
        "noise": {**tail, "every": 1, "decay": 0.9, "layers": ["output"]},
        "optimizer": {"lr": 3e-3},
        "scheduler": constant,
        "train": {"steps_per_epoch": 10},
        "validation": {"threshold": 0.9},
    }
    return {
        "learning_rate_cut_early": (
            ("coarse", "phantom", {"scheduler": {**plateau, "threshold": 0.3, "factor": 0.3}}),
            ("steep", "phantom", {"scheduler": {"name": "poly", "power": 8.0}}),
        ),
        "learning_rate_too_high": (
            ("noise", "phantom", {"noise": tail}),
            ("violent", "phantom", violent),
            (
                "rising",
                "phantom",
                {"plateau": escape, "optimizer": {"lr": 0.02}, "scheduler": constant},
            ),
        ),
        "threshold_instability": (
            ("turns", "phantom", turns),
            ("shaken", "phantom", shaken),
        ),
        "still_weights": (
            ("adamw", "phantom", {"optimizer": {"lr": 1e-6}}),
            ("sgd", "phantom", {"optimizer": {"name": "sgd", "lr": 1e-6}}),
        ),
    }


def _in_turn(*terms: str) -> list[Tree]:
    """One loss after the other, an epoch each: they ask for other levels of probability."""
    return [
        {"epochs": [epoch, epoch], "weights": {terms[epoch % len(terms)]: 1.0}}
        for epoch in range(EPOCHS)
    ]


def _of_fit() -> dict[str, Kinds]:
    off = ("rotation", "scaling", "noise", "blur", "brightness", "contrast", "low_resolution")
    bare: Tree = {name: {"p": 0.0} for name in off}
    bare |= {"flips": False, "quarter_turns": False, "gamma": {"p": 0.0, "p_inverted": 0.0}}
    by_heart = {"augment": bare, "model": {"filters": 12}, "data": {"folds": {"by": "random"}}}
    return {
        "over_fitting": (
            ("few", "few", {**by_heart, "train": {"epochs": 12}}),
            ("few_long", "few", {**by_heart, "train": {"epochs": 16}}),
        ),
        "under_fitting": (
            ("tiny", "phantom", {"model": {"filters": 1, "depth": 1}}),
            ("slow", "phantom", {"optimizer": {"lr": 1e-5}}),
        ),
        "slow_optimizer": (
            ("adamw", "phantom", {}),
            ("sgd", "phantom", {"optimizer": {"name": "sgd", "lr": 5e-2, "momentum": 0.9}}),
        ),
        "label_noise_ceiling": (("blocks", "jitter", {}), ("fine", "jitter_fine", {})),
    }
