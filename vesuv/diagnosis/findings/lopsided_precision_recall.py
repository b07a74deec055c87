"""Precision is far above recall, or recall far above precision."""

from __future__ import annotations

from vesuv.config import Config
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, percent
from vesuv.diagnosis.thresholds import Overlap, best_threshold, overlap_at
from vesuv.runs.records import Finding

MIN_GAP = 0.2
"""Gap between precision and recall; the diary's stalled network had 0.357 (0.965 and 0.608)."""
MIN_OVER_RATIO = 1.3
"""Ratio of predicted to labelled foreground; the diary's was 1.57, and its configurations on the
phantom gave 1.4."""
MIN_UNDER_RATIO = 1.6
"""Ratio of labelled to predicted foreground. Every network begins with too little; healthy networks
on the phantom still had 1.45 after five epochs."""
NUM_VALIDATIONS = 3
"""Latest validations whose mean is judged, so that one outlier is no finding."""
WARMUP = 2
"""First validations, which do not count: every network begins at the labels' class fractions, with
too few voxels above the threshold."""
MIN_DICE_GAIN = 0.02
"""Smallest gain in Dice for which another threshold is proposed."""


def find(evidence: Evidence) -> Finding | None:
    """Find a gap between precision and recall, and what another threshold would gain."""
    means = _means(evidence)
    if means is None:
        return None
    gap = means["recall"] - means["precision"]
    ratio = means["predicted_fraction"] / max(means["labelled_fraction"], 1e-9)
    is_over = gap > 0
    if (
        abs(gap) < MIN_GAP
        or (ratio / MIN_OVER_RATIO if is_over else 1 / max(ratio, 1e-9) / MIN_UNDER_RATIO) < 1
    ):
        return None
    first, last = evidence.validation_epochs[-NUM_VALIDATIONS], evidence.validation_epochs[-1]
    baseline = 2 * means["labelled_fraction"] / (1 + means["labelled_fraction"])
    best, current = _best_and_current(evidence)
    return Finding(
        name="lopsided_precision_recall",
        title="Far too much is predicted" if is_over else "Far too little is predicted",
        evidence=(
            f"In {epochs(first, last)} precision is {means['precision']:.3f} and recall "
            f"{means['recall']:.3f}: {percent(means['predicted_fraction'])} of the voxels are "
            f"predicted against {percent(means['labelled_fraction'])} labelled. Dice is "
            f"{means['dice']:.3f}; calling everything foreground would score {baseline:.3f}."
            + _threshold_text(best, current, baseline, last)
        ),
        remedy=_remedy(evidence.config, best, current, baseline, is_over=is_over),
        severity="trouble",
        epochs=(first, last),
        numbers={
            "precision": means["precision"],
            "recall": means["recall"],
            "predicted_over_labelled": ratio,
            **_gain_numbers(best, current),
        },
    )


def _means(evidence: Evidence) -> dict[str, float] | None:
    means = {}
    for name in ("precision", "recall", "predicted_fraction", "labelled_fraction", "dice"):
        values = [value for _, value in evidence.points(f"val/{name}")][WARMUP:][-NUM_VALIDATIONS:]
        if len(values) < NUM_VALIDATIONS:
            return None
        means[name] = sum(values) / NUM_VALIDATIONS
    return means


def _threshold_text(
    best: Overlap | None, current: Overlap | None, baseline: float, epoch: int
) -> str:
    if best is None or current is None:
        return ""
    if best.dice < baseline + MIN_DICE_GAIN:
        return " No threshold does better than that."
    return (
        f" At epoch {epoch} threshold {best.threshold:.2f} instead of {current.threshold:g} would "
        f"give precision {best.precision:.2f}, recall {best.recall:.2f} and Dice {best.dice:.3f} "
        f"instead of {current.dice:.3f}."
    )


def _gain_numbers(best: Overlap | None, current: Overlap | None) -> dict[str, float]:
    if best is None or current is None:
        return {}
    return {
        "threshold": best.threshold,
        "dice_at_threshold": best.dice,
        "gain": best.dice - current.dice,
    }


def _best_and_current(evidence: Evidence) -> tuple[Overlap | None, Overlap | None]:
    """Scores at the best and at the current threshold; None without histogram or threshold."""
    histograms = [line.histogram for line in evidence.observations if line.histogram is not None]
    if not histograms or evidence.config.model.out_channels > 1:
        return None, None
    return best_threshold(histograms[-1]), overlap_at(
        histograms[-1], evidence.config.validation.threshold
    )


def _remedy(
    config: Config, best: Overlap | None, current: Overlap | None, baseline: float, *, is_over: bool
) -> str:
    change = f"for the next run {_suggested_change(config, is_over=is_over)}"
    if best is None or current is None or best.dice - max(current.dice, baseline) < MIN_DICE_GAIN:
        return f"No threshold cures it; {change}."
    return (
        "Let validate_distribution choose the threshold (no training needed), or watch with "
        f"--set validation.threshold={best.threshold:g}; {change}."
    )


def _suggested_change(config: Config, *, is_over: bool) -> str:
    """The first setting that shifts the balance in the direction of the fault."""
    terms, loss = config.terms, config.loss
    weights = loss.class_weights
    if weights is not None and (weights[-1] > weights[0]) == is_over and weights[-1] != weights[0]:
        return f"take out the class weights {list(weights)}, --set loss.class_weights=null"
    positive_weight = loss.cross_entropy.positive_weight
    if "cross_entropy" in terms and positive_weight != 1.0 and (positive_weight > 1.0) == is_over:
        return f"set loss.cross_entropy.positive_weight={positive_weight:g} back to 1"
    if "focal" in terms and loss.focal.alpha != 0.5 and (loss.focal.alpha > 0.5) == is_over:
        return f"set loss.focal.alpha={loss.focal.alpha:g} back to 0.5"
    threshold, patch_share = config.validation.threshold, config.sampling.foreground_share
    if threshold != 0.5 and (threshold < 0.5) == is_over:
        return f"set validation.threshold={threshold:g} back to 0.5"
    if is_over and patch_share > 0.5:
        return f"draw fewer patches about foreground, sampling.foreground_share={patch_share / 2:g}"
    return "balance the loss: phases with dice 1.0 and cross_entropy 1.0, no class weights"
