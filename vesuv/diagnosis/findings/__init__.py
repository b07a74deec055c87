"""Findings: evidence of a run in, what is the matter and what to do out; one finding a file."""

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
    small_patch,
    still_weights,
    threshold_instability,
    under_fitting,
)
from vesuv.runs.records import Finding

Find = Callable[[Evidence], Finding | None]
"""What looks for one finding; None: it is not there."""

GROUP = "vesuv.findings"
"""Entry-point group that other packages join."""

FINDINGS: dict[str, Find] = {
    "extra_label_as_foreground": extra_label_as_foreground.find,
    "skipped_steps": skipped_steps.find,
    "collapse": collapse.find,
    "still_weights": still_weights.find,
    "learning_rate_too_high": learning_rate_too_high.find,
    "learning_rate_cut_early": learning_rate_cut_early.find,
    "pinned_loss_term": pinned_loss_term.find,
    "opposing_loss_terms": opposing_loss_terms.find,
    "lopsided_precision_recall": lopsided_precision_recall.find,
    "threshold_instability": threshold_instability.find,
    "phases_not_comparable": phases_not_comparable.find,
    "rare_foreground": rare_foreground.find,
    "patch_share_off": patch_share_off.find,
    "small_patch": small_patch.find,
    "harsh_augmentation": harsh_augmentation.find,
    "failing_group": failing_group.find,
    "over_fitting": over_fitting.find,
    "under_fitting": under_fitting.find,
    "label_noise_ceiling": label_noise_ceiling.find,
    "slow_loading": slow_loading.find,
}
"""What is looked for, by the name of its finding; what explains most comes first."""


def all_findings() -> dict[str, Find]:
    """Return our findings, and those that installed packages offer.

    Raises:
        InputError: One of these cannot be imported.
    """
    others = {point.name: load_entry_point(point) for point in entry_points(group=GROUP)}
    return FINDINGS | {name: find for name, find in others.items() if name not in FINDINGS}
