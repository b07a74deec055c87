"""Steps are skipped because something is not finite."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.runs.records import Finding

FEW = 3
"""Skipped steps from which it is a finding: bfloat16 or a single bad patch skip one at times."""


def find(evidence: Evidence) -> Finding | None:
    """Find steps without effect; the events tell which case they were on."""
    points = evidence.points("skipped_steps")
    if not points or points[-1][1] < FEW:
        return None
    last, count = points[-1]
    lines = [event.line for event in evidence.events if event.kind == "non_finite"]
    first = next(epoch for epoch, value in points if value)
    named = f" The last: {lines[-1]}." if lines else ""
    return Finding(
        name="skipped_steps",
        title="Steps are skipped: a loss or gradient is not finite",
        evidence=f"{count:.0f} steps had no effect by epoch {last}, since epoch {first}.{named}",
        remedy=(
            "If the lines name one case, look at its image; else --set optimizer.lr="
            f"{evidence.config.optimizer.lr / 3:.2g} or runtime.precision=float32."
        ),
        severity="trouble",
        epochs=(first, last),
        numbers={"skipped": count},
    )
