"""Steps are skipped because a loss or gradient is not finite."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.learning_rate import MIN_SKIPPED_STEPS, lower_rate
from vesuv.runs.records import Finding


def find(evidence: Evidence) -> Finding | None:
    """Find skipped steps; the events name the case."""
    points = evidence.points("skipped_steps")
    if not points or points[-1][1] < MIN_SKIPPED_STEPS:
        return None
    last, count = points[-1]
    sentences = [event.line for event in evidence.events if event.kind == "non_finite"]
    first = next(epoch for epoch, value in points if value)
    last_event = f" The last: {sentences[-1]}." if sentences else ""
    return Finding(
        name="skipped_steps",
        title="Steps are skipped: a loss or gradient is not finite",
        evidence=f"{count:.0f} steps had no effect by epoch {last}, since epoch "
        f"{first}.{last_event}",
        remedy=(
            "If the lines name one case, look at its image; else --set optimizer.lr="
            f"{lower_rate(evidence):.2g} or runtime.precision=float32."
        ),
        severity="trouble",
        epochs=(first, last),
        numbers={"skipped": count},
    )
