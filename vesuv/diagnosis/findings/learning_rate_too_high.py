"""The validation loss jumps because the learning rate is too high."""

from __future__ import annotations

import itertools

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.findings.phases_not_comparable import total_loss
from vesuv.runs.records import Finding

MIN_RISE = 1.25
"""Smallest factor between two validation losses under the same loss weights that is a jump."""
MIN_EXPLAINED_RISE = 1.15
"""Smallest such factor within EXPLANATION_EPOCHS of an event in CAUSES; above it the diary's runs
rolled back to their best weights."""
MIN_JUMPS = 2
"""Jumps from which they are a finding; one jump with a cause is enough."""
EXPLANATION_EPOCHS = 2
CAUSES = {"phase": "the change of phase", "escape": "the escape", "noise": "the weight noise"}


def find(evidence: Evidence) -> Finding | None:
    """Find jumps of the validation loss; both epochs are weighted as the later one."""
    jumps = _loss_jumps(evidence)
    if not jumps or (len(jumps) < MIN_JUMPS and not jumps[0][3]):
        return None
    rise, old_epoch, new_epoch, cause = max(jumps)
    measure = evidence.config.validation.measure
    values = [evidence.value_at(f"val/{measure}", epoch) or 0.0 for epoch in (old_epoch, new_epoch)]
    lr = evidence.value_at("lr", new_epoch) or evidence.config.optimizer.lr
    epoch_text = ", ".join(str(jump[2]) for jump in jumps)
    plateau = evidence.config.plateau
    follows_escape = plateau is not None and any(cause == CAUSES["escape"] for *_, cause in jumps)
    return Finding(
        name="learning_rate_too_high",
        title="The loss jumps: the learning rate is too high",
        evidence=(
            f"At epoch {new_epoch} the validation loss is {rise:.2f} times that of epoch "
            f"{old_epoch} under the same weights{cause and f', just after {cause}'}, and {measure} "
            f"went from {values[0]:.3f} to {values[1]:.3f}; the rate was {lr:.2g}. Epochs with "
            f"such a jump: {epoch_text}."
        ),
        remedy=(
            f"--set plateau.cap={max(1.0, plateau.cap / 2):g}, or plateau=null."
            if follows_escape and plateau is not None
            else f"--set optimizer.lr={lr / 3:.2g}"
            + (
                "; --set noise=null."
                if cause == CAUSES["noise"]
                else f" scheduler.warmup_epochs={evidence.config.scheduler.warmup_epochs + 2}."
            )
        ),
        severity="trouble" if len(jumps) >= MIN_JUMPS else "warning",
        epochs=(jumps[0][1], jumps[-1][2]),
        numbers={"largest_rise": rise, "jumps": len(jumps), "lr": lr},
    )


def _loss_jumps(evidence: Evidence) -> list[tuple[float, int, int, str]]:
    """Factor, epoch before, epoch after, and cause of each jump."""
    jumps: list[tuple[float, int, int, str]] = []
    validation_epochs = evidence.validation_epochs
    for old_epoch, new_epoch in itertools.pairwise(validation_epochs):
        weights = evidence.weights(new_epoch)
        old_loss, new_loss = (
            total_loss(evidence, old_epoch, weights),
            total_loss(evidence, new_epoch, weights),
        )
        if not weights or not old_loss or not new_loss:
            continue
        cause = _cause(evidence, old_epoch, new_epoch)
        if new_loss / old_loss >= (MIN_EXPLAINED_RISE if cause else MIN_RISE):
            jumps.append((new_loss / old_loss, old_epoch, new_epoch, cause))
    return jumps


def _cause(evidence: Evidence, old_epoch: int, new_epoch: int) -> str:
    """Event shortly before a jump; the events of epoch 0 are no cause."""
    for event in evidence.events:
        is_close = min(old_epoch, new_epoch - EXPLANATION_EPOCHS + 1) <= event.epoch <= new_epoch
        if event.kind in CAUSES and event.epoch and is_close:
            return CAUSES[event.kind]
    return ""
