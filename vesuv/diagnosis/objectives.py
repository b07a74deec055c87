"""Comparison of runs: whether their losses and measures mean the same."""

from __future__ import annotations

from collections.abc import Sequence

from vesuv.diagnosis.evidence import Evidence
from vesuv.runs.records import Finding

_TILE_SETTINGS = ("foreground_share", "tiles", "seed", "threshold")
_FACTS = {"data_fingerprint": "prepared data", "validation_cases": "validation cases"}


def compare(runs: Sequence[Evidence]) -> Finding | None:
    """Find a run whose losses or measures are not comparable with the first run's.

    Args:
        runs: At least two; the first is compared with each other one.

    Returns:
        None where all are comparable.
    """
    first = runs[0]
    for other in runs[1:]:
        mismatches = measure_differences(first, other)
        if mismatches or objective_settings(other) != objective_settings(first):
            return _finding(first, other, mismatches)
    return None


def _finding(first: Evidence, other: Evidence, mismatches: list[str]) -> Finding:
    measure = first.config.validation.measure
    scores = [best_validation(run, measure) for run in (first, other)]
    losses = [_lowest_loss(run) for run in (first, other)]
    loss_text = " and ".join("unknown" if value is None else f"{value:.4f}" for value in losses)
    measure_text = " and ".join(
        "unknown" if score is None else f"{score[1]:.4f} (epoch {score[0]})" for score in scores
    )
    same_objective = objective_settings(first) == objective_settings(other)
    difference_text = "" if same_objective else f"{_objective_differences(first, other)}. "
    mismatch_text = (
        f" {measure} itself is judged differently: {'; '.join(mismatches)}." if mismatches else ""
    )
    return Finding(
        name="objectives_differ",
        title=f"{first.path} and {other.path} "
        f"{'are judged on different tiles' if same_objective else 'minimise different functions'}",
        evidence=(
            f"{difference_text}Their lowest validation losses, {loss_text}, are not comparable; "
            f"the best {measure} is {measure_text}.{mismatch_text}"
        ),
        remedy=(
            "Predict the same volumes with both and compare with evaluate --predictions A B."
            if mismatches
            else f"Compare val/{measure}, and whole volumes with validate_distribution --run A B."
        ),
        severity="warning",
        epochs=(0, max(first.epoch, other.epoch, 0)),
        numbers={
            f"best_{measure}_{number}": score[1]
            for number, score in enumerate(scores, start=1)
            if score is not None
        },
    )


def objective_settings(run: Evidence) -> dict[str, object]:
    """Return the settings that define the training loss of a run."""
    config = run.config
    settings = config.loss.model_dump()
    phases = [
        (phase.epochs[0], phase.ramp, _nonzero_weights(phase.weights)) for phase in config.phases
    ]
    terms = sorted({term for _, _, weights in phases for term in weights})
    class_weights = settings["class_weights"] if {"cross_entropy", "focal"} & set(terms) else None
    return {
        "phases": phases,
        "loss": {term: settings[term] for term in terms},
        "loss.class_weights": class_weights,
        "labels": config.labels.model_dump(),
    }


def best_validation(run: Evidence, measure: str) -> tuple[int, float] | None:
    """Return (epoch, value) of a run's best validation."""
    return max(run.points(f"val/{measure}"), key=lambda point: point[1], default=None)


def measure_differences(first: Evidence, other: Evidence) -> list[str]:
    """Return the differences that make the measures of two runs incomparable."""
    mismatches = []
    for key in _TILE_SETTINGS:
        values = [getattr(run.config.validation, key) for run in (first, other)]
        if values[0] != values[1]:
            mismatches.append(f"validation.{key} {values[0]} and {values[1]}")
    if first.config.sampling.patch_size != other.config.sampling.patch_size:
        mismatches.append("tiles of another sampling.patch_size")
    if first.config.labels != other.config.labels:
        mismatches.append("other labels")
    for fact, name in _FACTS.items():
        values = [getattr(run.facts, fact, None) for run in (first, other)]
        if values[0] != values[1]:
            mismatches.append(f"other {name}")
    return mismatches


def _nonzero_weights(weights: object) -> dict[str, float]:
    assert isinstance(weights, dict)
    return {name: weight for name, weight in sorted(weights.items()) if weight}


def _objective_differences(first: Evidence, other: Evidence) -> str:
    first_settings, other_settings = objective_settings(first), objective_settings(other)
    names = [name for name in first_settings if first_settings[name] != other_settings[name]]
    weights = [
        " then ".join(
            f"{', '.join(f'{n} {w:g}' for n, w in _nonzero_weights(phase.weights).items())} from "
            f"epoch {phase.epochs[0]}"
            for phase in run.config.phases
        )
        for run in (first, other)
    ]
    text = f"They differ in {', '.join(names)}"
    return f"{text}: {weights[0]}, against {weights[1]}" if "phases" in names else text


def _lowest_loss(run: Evidence) -> float | None:
    totals = []
    for epoch in run.validation_epochs:
        weights = run.weights(epoch)
        total = run.total_loss(epoch, weights) if weights else None
        if total is not None:
            totals.append(total)
    return min(totals, default=None)
