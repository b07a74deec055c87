"""Findings: each file judges the evidence of a run and returns one finding or None."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from vesuv.config.registry import load_entry_point
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.findings import (
    collapse,
    extra_label_as_foreground,
    failing_group,
    harsh_augmentation,
    label_noise_ceiling,
    learning_rate_cut_early,
    learning_rate_too_high,
    lopsided_precision_recall,
    opposing_loss_terms,
    over_fitting,
    patch_share_off,
    phases_not_comparable,
    pinned_loss_term,
    rare_foreground,
    skipped_steps,
    slow_loading,
    slow_optimizer,
    small_patch,
    still_weights,
    threshold_instability,
    under_fitting,
)
from vesuv.runs.records import Finding

Detector = Callable[[Evidence], Finding | None]
"""Returns one finding, or None where the evidence does not show it."""

GROUP = "vesuv.findings"
"""Entry-point group that other packages join."""

FINDINGS: dict[str, Detector] = {
    "extra_label_as_foreground": extra_label_as_foreground.find,
    "skipped_steps": skipped_steps.find,
    "rare_foreground": rare_foreground.find,
    "learning_rate_too_high": learning_rate_too_high.find,
    "collapse": collapse.find,
    "still_weights": still_weights.find,
    "learning_rate_cut_early": learning_rate_cut_early.find,
    "pinned_loss_term": pinned_loss_term.find,
    "opposing_loss_terms": opposing_loss_terms.find,
    "lopsided_precision_recall": lopsided_precision_recall.find,
    "threshold_instability": threshold_instability.find,
    "phases_not_comparable": phases_not_comparable.find,
    "patch_share_off": patch_share_off.find,
    "small_patch": small_patch.find,
    "harsh_augmentation": harsh_augmentation.find,
    "failing_group": failing_group.find,
    "over_fitting": over_fitting.find,
    "under_fitting": under_fitting.find,
    "slow_optimizer": slow_optimizer.find,
    "label_noise_ceiling": label_noise_ceiling.find,
    "slow_loading": slow_loading.find,
}
"""Detector by the name of its finding; findings that explain others come first.

This is also the order of priority of the remedies: where two would move a key in opposite
directions, the first one stands."""


def all_findings() -> dict[str, Detector]:
    """Return our detectors and those of installed packages, by name of the finding.

    Raises:
        InputError: A package's detector cannot be imported.
    """
    plugins = {point.name: load_entry_point(point) for point in entry_points(group=GROUP)}
    return FINDINGS | {name: detect for name, detect in plugins.items() if name not in FINDINGS}
