"""Precision is far above recall, or recall far above precision."""

from __future__ import annotations

from dataclasses import dataclass

from vesuv.config import Config
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, others_text, percent
from vesuv.diagnosis.thresholds import Overlap, best_threshold, overlap_at
from vesuv.diagnosis.trend import is_still_improving
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
_COLUMNS = ("precision", "recall", "predicted_fraction", "labelled_fraction", "dice")


@dataclass(frozen=True)
class _Balance:
    """Mean scores of one class over the latest validations."""

    name: str
    precision: float
    recall: float
    predicted: float
    labelled: float
    dice: float

    @property
    def is_over(self) -> bool:
        return self.recall > self.precision

    @property
    def gap(self) -> float:
        return abs(self.recall - self.precision)

    @property
    def ratio(self) -> float:
        """Predicted over labelled foreground."""
        return self.predicted / max(self.labelled, 1e-9)

    @property
    def is_lopsided(self) -> bool:
        excess = self.ratio / MIN_OVER_RATIO
        lack = 1 / max(self.ratio, 1e-9) / MIN_UNDER_RATIO
        return self.gap >= MIN_GAP and (excess if self.is_over else lack) >= 1

    @property
    def baseline(self) -> float:
        """Dice of a prediction that is this class everywhere."""
        return 2 * self.labelled / (1 + self.labelled)


def find(evidence: Evidence) -> Finding | None:
    """Find a gap between precision and recall, and what another threshold would gain.

    Not while the lower one of the two is still improving. Of several classes the one with the
    widest gap is described.
    """
    balances = [_balance(evidence, name) for name in evidence.foreground_classes]
    lopsided = [
        balance
        for balance in balances
        if balance is not None and balance.is_lopsided and not _is_improving(evidence, balance)
    ]
    if not lopsided:
        return None
    worst = max(lopsided, key=lambda balance: balance.gap)
    validation_epochs = evidence.validation_epochs
    first, last = validation_epochs[-NUM_VALIDATIONS:][0], validation_epochs[-1]
    best, current = _best_and_current(evidence)
    of_class = f" of class {worst.name!r}" if evidence.has_several_classes else ""
    return Finding(
        name="lopsided_precision_recall",
        title=f"Far too {'much' if worst.is_over else 'little'}{of_class} is predicted",
        evidence=(
            f"In {epochs(first, last)} precision{of_class} is {worst.precision:.3f} and recall "
            f"{worst.recall:.3f}: {percent(worst.predicted)} of the voxels are "
            f"predicted against {percent(worst.labelled)} labelled. Dice is "
            f"{worst.dice:.3f}; calling everything {_target(evidence, worst)} would score "
            f"{worst.baseline:.3f}."
            + _threshold_text(best, current, worst.baseline, last)
            + _hidden_text(evidence)
            + others_text(len(lopsided) - 1)
        ),
        remedy=_remedy(evidence.config, worst, best, current),
        severity="trouble",
        epochs=(first, last),
        numbers={
            "precision": worst.precision,
            "recall": worst.recall,
            "predicted_over_labelled": worst.ratio,
            **_gain_numbers(best, current),
        },
    )


def _balance(evidence: Evidence, name: str) -> _Balance | None:
    means = []
    for column in _COLUMNS:
        points = evidence.points(evidence.class_column(f"val/{column}", name))
        values = [value for _, value in points][WARMUP:][-NUM_VALIDATIONS:]
        if len(values) < NUM_VALIDATIONS:
            return None
        means.append(sum(values) / NUM_VALIDATIONS)
    return _Balance(name, *means)


def _is_improving(evidence: Evidence, balance: _Balance) -> bool:
    column = "val/precision" if balance.is_over else "val/recall"
    points = evidence.points(evidence.class_column(column, balance.name))
    return is_still_improving(evidence, [value for _, value in points])


def _target(evidence: Evidence, balance: _Balance) -> str:
    return repr(balance.name) if evidence.has_several_classes else "foreground"


def _hidden_text(evidence: Evidence) -> str:
    names = [repr(name) for name in evidence.foreground_classes if evidence.is_hidden(name)]
    return f" It is written over {', '.join(names)}, which cannot be judged so." if names else ""


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
    config: Config, balance: _Balance, best: Overlap | None, current: Overlap | None
) -> str:
    suggestion = _suggested_change(config, balance)
    if config.labels.targets.has_several:
        return (
            "Let validate_distribution choose a threshold for each class (no training needed); for "
            f"the next run {suggestion}."
        )
    change = f"for the next run {suggestion}"
    if best is None or current is None or not _is_cure(best, current, balance):
        return f"No threshold cures it; {change}."
    return (
        "Let validate_distribution choose the threshold (no training needed), or watch with "
        f"--set validation.threshold={best.threshold:g}; {change}."
    )


def _is_cure(best: Overlap, current: Overlap, balance: _Balance) -> bool:
    """Whether the best threshold gains enough, and moves the mask away from the fault."""
    gain = best.dice - max(current.dice, balance.baseline)
    is_repair = (best.threshold > current.threshold) == balance.is_over
    return gain >= MIN_DICE_GAIN and is_repair and 0.0 < best.threshold < 1.0


def _suggested_change(config: Config, balance: _Balance) -> str:
    """The first setting that shifts the balance in the direction of the fault."""
    terms, loss, is_over = config.terms, config.loss, balance.is_over
    weights = loss.class_weights
    if weights is not None:
        weight = weights[1 + config.labels.targets.names.index(balance.name)]
        if weight != weights[0] and (weight > weights[0]) == is_over:
            return f"take out the class weights {list(weights)}, --set loss.class_weights=null"
    positive_weight = loss.cross_entropy.positive_weight
    if "cross_entropy" in terms and positive_weight != 1.0 and (positive_weight > 1.0) == is_over:
        return f"--set loss.cross_entropy.positive_weight=1 (it is {positive_weight:g})"
    if "focal" in terms and loss.focal.alpha != 0.5 and (loss.focal.alpha > 0.5) == is_over:
        return f"--set loss.focal.alpha=0.5 (it is {loss.focal.alpha:g})"
    threshold, patch_share = config.validation.threshold, config.sampling.foreground_share
    has_threshold = config.model.out_channels == 1
    if has_threshold and threshold != 0.5 and (threshold < 0.5) == is_over:
        return f"--set validation.threshold=0.5 (it is {threshold:g})"
    if not config.labels.targets.has_several and is_over and patch_share > 0.5:
        return f"draw fewer patches about foreground, sampling.foreground_share={patch_share / 2:g}"
    return "balance the loss: phases with dice 1.0 and cross_entropy 1.0, no class weights"
