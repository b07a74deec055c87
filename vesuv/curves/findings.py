"""Findings of a run of curves: evidence from its metrics, and a remedy with its key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vesuv.curves.config import CurvesConfig, load_curves_config
from vesuv.errors import InputError
from vesuv.runs.history import Metrics, RunHistory
from vesuv.runs.records import Finding

_MIN_THRESHOLD_GAIN = 0.05
_MIN_GAP = 0.15
_MIN_DEPTH_LOSS = 0.1
_MAX_FALSE = 0.5
_MIN_PRECISION = 0.5
_RARE_SHARE = 0.3
_SMALL_BLOCKS = 4
"""Residual blocks of the encoder with 10 layers."""


@dataclass(frozen=True)
class CurveEvidence:
    """Metrics of a run at its last validation."""

    config: CurvesConfig
    metrics: Metrics

    @property
    def epoch(self) -> int:
        """The last validation's epoch; -1 before the first."""
        points = self.metrics.points("val/best_f1@2", finite=False)
        return points[-1][0] if points else -1

    def value(self, name: str) -> float | None:
        """Return a column at the last validation; None where it has no finite value."""
        return self.metrics.value_at(name, self.epoch)

    def finding(
        self, name: str, title: str, evidence: str, remedy: str, **numbers: float
    ) -> Finding:
        severity = "trouble" if name in _TROUBLES else "warning"
        return Finding(
            name=name,
            title=title,
            evidence=f"Epoch {self.epoch}: {evidence}",
            remedy=remedy,
            severity=severity,
            epochs=(self.epoch, self.epoch),
            numbers=numbers,
        )


def find_faults(run: Path) -> tuple[Finding, ...]:
    """Return the findings of a run, troubles before warnings.

    Raises:
        InputError: The folder holds no configuration of curves.
    """
    history = RunHistory.read(run)
    if not (run / "config.yaml").is_file():
        raise InputError(f"{run}: not a run folder (no config.yaml); name log/<config>/fold_<k>")
    evidence = CurveEvidence(load_curves_config(run / "config.yaml"), history.metrics)
    if evidence.epoch < 0:
        return ()
    findings = [finding for judge in _JUDGES if (finding := judge(evidence)) is not None]
    return tuple(sorted(findings, key=lambda finding: finding.severity != "trouble"))


def no_picks(evidence: CurveEvidence) -> Finding | None:
    """No curve of the validation wells is found."""
    recall, best = evidence.value("val/recall@2"), evidence.value("val/best_f1@2")
    if recall is None or recall > 0:
        return None
    found_lower = best is not None and best > 0
    threshold = evidence.value("val/best_threshold")
    remedy = (
        f"Set picking.threshold={threshold:g}."
        if found_lower and threshold is not None
        else "Train longer (train.epochs), with augmentation (augment) and more strips around "
        "picks (strips.with_picks)."
    )
    return evidence.finding(
        "no_picks",
        "The detector finds no curve",
        f"no pick of the validation wells is matched at the threshold "
        f"{evidence.config.picking.threshold:g}.",
        remedy,
        recall=recall,
    )


def threshold_off(evidence: CurveEvidence) -> Finding | None:
    """Another threshold gives clearly more."""
    now, best = evidence.value("val/f1@2"), evidence.value("val/best_f1@2")
    threshold = evidence.value("val/best_threshold")
    if now is None or best is None or threshold is None or not now:
        return None
    if best - now < _MIN_THRESHOLD_GAIN:
        return None
    return evidence.finding(
        "threshold_off",
        "Another threshold gives more",
        f"F1 within 2 rows is {now:.3f} at the threshold {evidence.config.picking.threshold:g} and "
        f"{best:.3f} at {threshold:g}.",
        f"Set picking.threshold={threshold:g}; judge it on wells that did not choose it.",
        f1=now,
        best_f1=best,
        threshold=threshold,
    )


def over_fitting(evidence: CurveEvidence) -> Finding | None:
    """Training wells are picked far better than validation wells."""
    train, held_out = evidence.value("train/best_f1@2"), evidence.value("val/best_f1@2")
    if train is None or held_out is None or train - held_out < _MIN_GAP:
        return None
    config = evidence.config
    if config.augment is None:
        remedy = "Switch augmentation on: remove augment: null."
    elif sum(config.detector.blocks) > _SMALL_BLOCKS:
        remedy = "Use a smaller encoder, detector.blocks=[1, 1, 1, 1]; more wells help most."
    else:
        remedy = "More wells help most; then a stronger augment.noise and augment.gaps."
    return evidence.finding(
        "over_fitting",
        "The detector learns its training wells by heart",
        f"F1 within 2 rows is {train:.3f} on training wells and {held_out:.3f} on validation "
        "wells, each at its best threshold.",
        remedy,
        train_f1=train,
        validation_f1=held_out,
    )


def depth_not_sharp(evidence: CurveEvidence) -> Finding | None:
    """Curves are found, but their depth is not exact."""
    near, exact = evidence.value("val/f1@2"), evidence.value("val/f1@1")
    if near is None or exact is None or near - exact < _MIN_DEPTH_LOSS:
        return None
    scale = evidence.config.loss.scales[0]
    return evidence.finding(
        "depth_not_sharp",
        "Curves are found, but their depth is off by more than a row",
        f"F1 is {near:.3f} within 2 rows and {exact:.3f} within 1.",
        f"Weigh the depth more, loss.scales.0={scale / 2:g}, and train longer.",
        f1_within_2=near,
        f1_within_1=exact,
    )


def false_picks(evidence: CurveEvidence) -> Finding | None:
    """More picks are false than right."""
    num, precision = evidence.value("val/false_per_strip"), evidence.value("val/precision@2")
    if num is None or precision is None or num < _MAX_FALSE or precision >= _MIN_PRECISION:
        return None
    weight = evidence.config.loss.none_weight
    return evidence.finding(
        "false_picks",
        "Most picks are false",
        f"{num:.2f} false picks a strip, precision {precision:.3f} within 2 rows.",
        f"Raise picking.threshold, or train with loss.none_weight={2 * weight:g}.",
        false_per_strip=num,
        precision=precision,
    )


def rare_curves(evidence: CurveEvidence) -> Finding | None:
    """Few of the strips that are trained on hold a curve."""
    share = evidence.value("train/strips_with_picks")
    if share is None or share >= _RARE_SHARE:
        return None
    return evidence.finding(
        "rare_curves",
        "Few training strips hold a curve",
        f"{100 * share:.0f} % of the strips of the epoch do.",
        "Set strips.with_picks=0.7; logs without picks may stay out of the training wells.",
        strips_with_picks=share,
    )


_JUDGES: tuple[Callable[[CurveEvidence], Finding | None], ...] = (
    no_picks,
    false_picks,
    over_fitting,
    threshold_off,
    depth_not_sharp,
    rare_curves,
)
_TROUBLES = ("no_picks", "false_picks")
