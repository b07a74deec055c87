"""Findings: evidence of a run in, what is the matter and what to do out; one finding a file."""

from __future__ import annotations

from collections.abc import Callable

from vesuv.diagnosis import (
    collapse,
    early_cut,
    extra_label,
    failing_group,
    harsh_augmentation,
    label_noise,
    lopsided,
    loss_spike,
    opposing_terms,
    over_fitting,
    patch_share,
    phase_change,
    pinned_term,
    rare_foreground,
    skipped_steps,
    slow_loading,
    small_patch,
    still_weights,
    threshold_swing,
    under_fitting,
)
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.finding import Finding, read, show, write
from vesuv.diagnosis.objectives import compare

FINDINGS: dict[str, Callable[[Evidence], Finding | None]] = {
    "extra_label_as_foreground": extra_label.find,
    "skipped_steps": skipped_steps.find,
    "collapse": collapse.find,
    "still_weights": still_weights.find,
    "learning_rate_too_high": loss_spike.find,
    "learning_rate_cut_early": early_cut.find,
    "pinned_loss_term": pinned_term.find,
    "opposing_loss_terms": opposing_terms.find,
    "lopsided_precision_recall": lopsided.find,
    "threshold_instability": threshold_swing.find,
    "phases_not_comparable": phase_change.find,
    "rare_foreground": rare_foreground.find,
    "patch_share_off": patch_share.find,
    "small_patch": small_patch.find,
    "harsh_augmentation": harsh_augmentation.find,
    "failing_group": failing_group.find,
    "over_fitting": over_fitting.find,
    "under_fitting": under_fitting.find,
    "label_noise_ceiling": label_noise.find,
    "slow_loading": slow_loading.find,
}
"""What is looked for, by the name of its finding; what explains most comes first."""


def diagnose(evidence: Evidence) -> tuple[Finding, ...]:
    """Return what is found in a run, troubles before warnings."""
    found = [finding for find in FINDINGS.values() if (finding := find(evidence)) is not None]
    return tuple(sorted(found, key=lambda finding: finding.severity != "trouble"))


__all__ = ["FINDINGS", "Evidence", "Finding", "compare", "diagnose", "read", "show", "write"]
