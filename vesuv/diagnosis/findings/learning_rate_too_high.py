"""The learning rate is too high: the loss jumps, after a phase change, an escape, or at random."""

from __future__ import annotations

import itertools

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.findings.phases_not_comparable import total
from vesuv.runs.records import Finding

RISE = 1.25
"""Factor on the validation loss, from one validation to the next, under the same weights."""
EXPLAINED = 1.15
"""The same within AFTER epochs of an event that explains it; the diary's runs went back to their
best weights at once above that."""
SPIKES = 2
"""So many jumps are a finding; one that is explained is enough."""
AFTER = 2
EXPLAIN = {"phase": "the change of phase", "escape": "the escape", "noise": "the weight noise"}


def find(evidence: Evidence) -> Finding | None:
    """Find jumps of the loss, both sides counted with the later epoch's weights."""
    spikes = _spikes(evidence)
    if not spikes or (len(spikes) < SPIKES and not spikes[0][3]):
        return None
    rise, before, after, cause = max(spikes)
    measure = evidence.config.validation.measure
    values = [evidence.at(f"val/{measure}", epoch) or 0.0 for epoch in (before, after)]
    lr = evidence.at("lr", after) or evidence.config.optimizer.lr
    listed = ", ".join(str(spike[2]) for spike in spikes)
    plateau = evidence.config.plateau
    escaped = plateau is not None and any(cause == EXPLAIN["escape"] for *_, cause in spikes)
    return Finding(
        name="learning_rate_too_high",
        title="The loss jumps: the learning rate is too high",
        evidence=(
            f"At epoch {after} the validation loss is {rise:.2f} times that of epoch {before} "
            f"under the same weights{cause and f', just after {cause}'}, and {measure} went from "
            f"{values[0]:.3f} to {values[1]:.3f}; the rate was {lr:.2g}. "
            f"Epochs with such a jump: {listed}."
        ),
        remedy=(
            f"--set plateau.cap={max(1.0, plateau.cap / 2):g}, or plateau=null."
            if escaped and plateau is not None
            else f"--set optimizer.lr={lr / 3:.2g}"
            + (
                "; --set noise=null."
                if cause == EXPLAIN["noise"]
                else f" scheduler.warmup_epochs={evidence.config.scheduler.warmup_epochs + 2}."
            )
        ),
        severity="trouble" if len(spikes) >= SPIKES else "warning",
        epochs=(spikes[0][1], spikes[-1][2]),
        numbers={"largest_rise": rise, "jumps": len(spikes), "lr": lr},
    )


def _spikes(evidence: Evidence) -> list[tuple[float, int, int, str]]:
    """Rise, the epochs before and after it, and what happened shortly before."""
    spikes: list[tuple[float, int, int, str]] = []
    validated = evidence.validated
    for before, after in itertools.pairwise(validated):
        weights = evidence.weights(after)
        was, now = total(evidence, before, weights), total(evidence, after, weights)
        if not weights or not was or not now:
            continue
        cause = _cause(evidence, before, after)
        if now / was >= (EXPLAINED if cause else RISE):
            spikes.append((now / was, before, after, cause))
    return spikes


def _cause(evidence: Evidence, before: int, after: int) -> str:
    """What happened shortly before; the run's own beginning explains nothing."""
    for event in evidence.events:
        near = min(before, after - AFTER + 1) <= event.epoch <= after
        if event.kind in EXPLAIN and event.epoch and near:
            return EXPLAIN[event.kind]
    return ""
