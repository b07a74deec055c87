"""Two runs beside each other: by a measure they share, never by their losses."""

from __future__ import annotations

from collections.abc import Sequence

from vesuv.diagnosis.evidence import Evidence
from vesuv.runs.records import Finding

_SAME_TILES = ("foreground_share", "tiles", "seed", "threshold")
_FACTS = {"data_fingerprint": "prepared data", "validation_cases": "validation cases"}


def compare(runs: Sequence[Evidence]) -> Finding | None:
    """Find runs whose numbers do not mean the same; None where losses and measures do in all.

    Args:
        runs: At least two, the first one is compared with each other one.
    """
    first = runs[0]
    for other in runs[1:]:
        doubts = judged_differently(first, other)
        if doubts or objective(other) != objective(first):
            return _finding(first, other, doubts)
    return None


def _finding(first: Evidence, other: Evidence, doubts: list[str]) -> Finding:
    measure = first.config.validation.measure
    scores = [best(run, measure) for run in (first, other)]
    losses = [_least_loss(run) for run in (first, other)]
    loss = " and ".join("unknown" if value is None else f"{value:.4f}" for value in losses)
    by = " and ".join(
        "unknown" if score is None else f"{score[1]:.4f} (epoch {score[0]})" for score in scores
    )
    alike = objective(first) == objective(other)
    functions = "" if alike else f"{_differences(first, other)}. "
    caution = f" {measure} itself is judged differently: {'; '.join(doubts)}." if doubts else ""
    return Finding(
        name="objectives_differ",
        title=f"{first.path} and {other.path} "
        f"{'are judged on different tiles' if alike else 'minimise different functions'}",
        evidence=(
            f"{functions}Their lowest validation losses, {loss}, are not comparable; the best "
            f"{measure} is {by}.{caution}"
        ),
        remedy=(
            "Predict the same volumes with both and compare with evaluate --predictions A B."
            if doubts
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


def objective(run: Evidence) -> dict[str, object]:
    """Return what the training loss of a run is made of."""
    config = run.config
    settings = config.loss.model_dump()
    phases = [(phase.epochs[0], phase.ramp, _active(phase.weights)) for phase in config.phases]
    terms = sorted({term for _, _, weights in phases for term in weights})
    weighed = settings["class_weights"] if {"cross_entropy", "focal"} & set(terms) else None
    return {
        "phases": phases,
        "loss": {term: settings[term] for term in terms},
        "loss.class_weights": weighed,
        "labels": config.labels.model_dump(),
    }


def best(run: Evidence, measure: str) -> tuple[int, float] | None:
    """Return epoch and value of a run's best validation."""
    return max(run.points(f"val/{measure}"), key=lambda point: point[1], default=None)


def judged_differently(first: Evidence, other: Evidence) -> list[str]:
    """Return why not even the measures of two runs can be compared."""
    doubts = []
    for key in _SAME_TILES:
        values = [getattr(run.config.validation, key) for run in (first, other)]
        if values[0] != values[1]:
            doubts.append(f"validation.{key} {values[0]} and {values[1]}")
    if first.config.sampling.patch_size != other.config.sampling.patch_size:
        doubts.append("tiles of another sampling.patch_size")
    if first.config.labels != other.config.labels:
        doubts.append("other labels")
    for fact, name in _FACTS.items():
        values = [getattr(run.facts, fact, None) for run in (first, other)]
        if values[0] != values[1]:
            doubts.append(f"other {name}")
    return doubts


def _active(weights: object) -> dict[str, float]:
    assert isinstance(weights, dict)
    return {name: weight for name, weight in sorted(weights.items()) if weight}


def _differences(first: Evidence, other: Evidence) -> str:
    ours, theirs = objective(first), objective(other)
    parts = [name for name in ours if ours[name] != theirs[name]]
    weights = [
        " then ".join(
            f"{', '.join(f'{n} {w:g}' for n, w in _active(phase.weights).items())} from epoch "
            f"{phase.epochs[0]}"
            for phase in run.config.phases
        )
        for run in (first, other)
    ]
    listed = f"They differ in {', '.join(parts)}"
    return f"{listed}: {weights[0]}, against {weights[1]}" if "phases" in parts else listed


def _least_loss(run: Evidence) -> float | None:
    totals = []
    for epoch in run.validated:
        values = [
            (weight, run.at(f"val/loss_{term}", epoch))
            for term, weight in run.weights(epoch).items()
        ]
        if values and all(value is not None for _, value in values):
            totals.append(sum(weight * value for weight, value in values if value is not None))
    return min(totals, default=None)
