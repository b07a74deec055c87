"""Recall bought with precision, or precision with recall."""

from __future__ import annotations

from vesuv.config import Config
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, percent
from vesuv.diagnosis.thresholds import Cut, best_cut, cut_at
from vesuv.runs.records import Finding

APART = 0.2
"""Between precision and recall; the diary's stalled network had 0.357 (0.965 and 0.608)."""
OVER = 1.3
"""Of predicted to labelled foreground; the diary's was 1.57, and its configurations on the phantom
gave 1.4."""
UNDER = 1.6
"""Of labelled to predicted foreground. Every network begins with too little; healthy ones on the
phantom still had 1.45 after five epochs."""
VALIDATIONS = 3
"""Means are taken over so many, so that one swing of the threshold is not a finding."""
SETTLES = 2
"""Validations at the start that do not count: every network begins at the labels' share, and with
too little above the threshold."""
CURES = 0.02
"""Gain in Dice from which another threshold is worth naming."""


def find(evidence: Evidence) -> Finding | None:
    """Find a lopsided corner of precision and recall, and what a threshold alone would cure."""
    means = _means(evidence)
    if means is None:
        return None
    gap = means["recall"] - means["precision"]
    ratio = means["predicted_fraction"] / max(means["labelled_fraction"], 1e-9)
    over = gap > 0
    if abs(gap) < APART or (ratio / OVER if over else 1 / max(ratio, 1e-9) / UNDER) < 1:
        return None
    first, last = evidence.validated[-VALIDATIONS], evidence.validated[-1]
    chance = 2 * means["labelled_fraction"] / (1 + means["labelled_fraction"])
    best, now = _cuts(evidence)
    return Finding(
        name="lopsided_precision_recall",
        title="Far too much is predicted" if over else "Far too little is predicted",
        evidence=(
            f"In {epochs(first, last)} precision is {means['precision']:.3f} and recall "
            f"{means['recall']:.3f}: {percent(means['predicted_fraction'])} of the voxels are "
            f"predicted against {percent(means['labelled_fraction'])} labelled. Dice is "
            f"{means['dice']:.3f}; calling everything foreground would score {chance:.3f}."
            + _cure(best, now, chance, last)
        ),
        remedy=_remedy(evidence.config, best, now, chance, over=over),
        severity="trouble",
        epochs=(first, last),
        numbers={
            "precision": means["precision"],
            "recall": means["recall"],
            "predicted_over_labelled": ratio,
            **_gain(best, now),
        },
    )


def _means(evidence: Evidence) -> dict[str, float] | None:
    means = {}
    for name in ("precision", "recall", "predicted_fraction", "labelled_fraction", "dice"):
        values = [value for _, value in evidence.points(f"val/{name}")][SETTLES:][-VALIDATIONS:]
        if len(values) < VALIDATIONS:
            return None
        means[name] = sum(values) / VALIDATIONS
    return means


def _cure(best: Cut | None, now: Cut | None, chance: float, epoch: int) -> str:
    if best is None or now is None:
        return ""
    if best.dice < chance + CURES:
        return " No threshold does better than that."
    return (
        f" At epoch {epoch} threshold {best.threshold:.2f} instead of {now.threshold:g} would give "
        f"precision {best.precision:.2f}, recall {best.recall:.2f} and Dice {best.dice:.3f} "
        f"instead of {now.dice:.3f}."
    )


def _gain(best: Cut | None, now: Cut | None) -> dict[str, float]:
    if best is None or now is None:
        return {}
    return {
        "threshold": best.threshold,
        "dice_at_threshold": best.dice,
        "gain": best.dice - now.dice,
    }


def _cuts(evidence: Evidence) -> tuple[Cut | None, Cut | None]:
    """The best threshold and the one in force; None where a threshold decides nothing."""
    found = [line.histogram for line in evidence.observations if line.histogram is not None]
    if not found or evidence.config.model.out_channels > 1:
        return None, None
    return best_cut(found[-1]), cut_at(found[-1], evidence.config.validation.threshold)


def _remedy(config: Config, best: Cut | None, now: Cut | None, chance: float, *, over: bool) -> str:
    lever = f"for the next run {_lever(config, over=over)}"
    if best is None or now is None or best.dice - max(now.dice, chance) < CURES:
        return f"No threshold cures it; {lever}."
    return (
        "Let validate_distribution choose the threshold (no training needed), or watch with "
        f"--set validation.threshold={best.threshold:g}; {lever}."
    )


def _lever(config: Config, *, over: bool) -> str:
    """The setting that pushes the balance most, as it is configured now."""
    terms, loss = config.terms, config.loss
    weights = loss.class_weights
    if weights is not None and (weights[-1] > weights[0]) == over and weights[-1] != weights[0]:
        return f"take out the class weights {list(weights)}, --set loss.class_weights=null"
    positive = loss.cross_entropy.positive_weight
    if "cross_entropy" in terms and positive != 1.0 and (positive > 1.0) == over:
        return f"set loss.cross_entropy.positive_weight={positive:g} back to 1"
    if "focal" in terms and loss.focal.alpha != 0.5 and (loss.focal.alpha > 0.5) == over:
        return f"set loss.focal.alpha={loss.focal.alpha:g} back to 0.5"
    threshold, share = config.validation.threshold, config.sampling.foreground_share
    if threshold != 0.5 and (threshold < 0.5) == over:
        return f"set validation.threshold={threshold:g} back to 0.5"
    if over and share > 0.5:
        return f"draw fewer patches about foreground, sampling.foreground_share={share / 2:g}"
    return "balance the loss: phases with dice 1.0 and cross_entropy 1.0, no class weights"
