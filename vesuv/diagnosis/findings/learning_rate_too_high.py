"""The validation loss jumps, nothing is learnt, or Dice swings: the learning rate is too high."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.fit import class_fit_histories, is_under_fitted
from vesuv.diagnosis.learning_rate import (
    CAUSES,
    MIN_FALL,
    MIN_JUMPS,
    Jump,
    dice_swings,
    erratic_jumps,
    lower_rate,
    signs_of_excess,
)
from vesuv.diagnosis.render import dice_of, epochs
from vesuv.diagnosis.trend import is_still_improving
from vesuv.runs.records import Finding


def find(evidence: Evidence) -> Finding | None:
    """Find jumps of the loss, a run that learns nothing at too high a rate, or swings of Dice."""
    jumps = erratic_jumps(evidence)
    if jumps:
        return _finding_of_jumps(evidence, jumps)
    return _finding_of_unlearnt(evidence) or _finding_of_swings(evidence)


def _finding_of_jumps(evidence: Evidence, jumps: list[Jump]) -> Finding:
    """Describe the largest jump; both its epochs are weighted as the later one."""
    rise, old_epoch, new_epoch, cause = max(jumps)
    measure = evidence.config.validation.measure
    values = [evidence.value_at(f"val/{measure}", epoch) or 0.0 for epoch in (old_epoch, new_epoch)]
    lr = evidence.value_at("lr", new_epoch) or evidence.config.optimizer.lr
    epoch_text = ", ".join(str(jump[2]) for jump in jumps)
    return Finding(
        name="learning_rate_too_high",
        title="The loss jumps: the learning rate is too high",
        evidence=(
            f"At epoch {new_epoch} the validation loss is {rise:.2f} times that of epoch "
            f"{old_epoch} under the same weights{cause and f', just after {cause}'}, and {measure} "
            f"went from {values[0]:.3f} to {values[1]:.3f}; the rate was {lr:.2g}. Epochs with "
            f"such a jump: {epoch_text}."
        ),
        remedy=_remedy_of_jumps(evidence, jumps),
        severity="trouble" if len(jumps) >= MIN_JUMPS else "warning",
        epochs=(jumps[0][1], jumps[-1][2]),
        numbers={"largest_rise": rise, "jumps": len(jumps), "lr": lr},
    )


def _remedy_of_jumps(evidence: Evidence, jumps: list[Jump]) -> str:
    plateau, cause = evidence.config.plateau, max(jumps)[3]
    follows_escape = any(cause == CAUSES["escape"] for *_, cause in jumps)
    if plateau is not None and follows_escape:
        cap = max(1.0, plateau.cap / 2)
        return (
            f"--set plateau.cap={cap:g}, or plateau=null."
            if cap < plateau.cap
            else ("--set plateau=null.")
        )
    rate_text = f"--set optimizer.lr={lower_rate(evidence):.2g}"
    if cause == CAUSES["noise"]:
        return f"{rate_text} noise=null."
    return f"{rate_text} scheduler.warmup_epochs={evidence.config.scheduler.warmup_epochs + 2}."


def _finding_of_unlearnt(evidence: Evidence) -> Finding | None:
    signs = signs_of_excess(evidence)
    histories = {
        name: history
        for name, history in class_fit_histories(evidence).items()
        if is_under_fitted(history)
        and not is_still_improving(evidence, [fit.train for fit in history])
    }
    if not signs or not histories:
        return None
    name = min(histories, key=lambda key: histories[key][-1].train)
    first, last = histories[name][0], histories[name][-1]
    lr = evidence.config.optimizer.lr
    return Finding(
        name="learning_rate_too_high",
        title="Little is learnt: the learning rate is too high",
        evidence=(
            f"In {epochs(first.epoch, last.epoch)} {dice_of(evidence, name)} reached "
            f"{last.train:.3f} on tiles of training cases and {last.validation:.3f} on validation "
            f"tiles; {', '.join(signs)}."
        ),
        remedy=f"--set optimizer.lr={lower_rate(evidence):.2g}.",
        severity="trouble",
        epochs=(first.epoch, last.epoch),
        numbers={"train_dice": last.train, "validation_dice": last.validation, "lr": lr},
    )


def _finding_of_swings(evidence: Evidence) -> Finding | None:
    swings = dice_swings(evidence)
    if swings is None:
        return None
    lr = evidence.config.optimizer.lr
    average_text = (
        ""
        if swings.gain_of_average is None
        else f"; the averaged weights score {swings.gain_of_average:+.3f} against the last ones"
    )
    return Finding(
        name="learning_rate_too_high",
        title="Dice swings from validation to validation: the learning rate is too high",
        evidence=(
            f"In {epochs(swings.first_epoch, evidence.epoch)} Dice on validation tiles fell by "
            f"{MIN_FALL:g} or more {swings.num_falls} times, by {swings.largest_fall:.3f} at most, "
            f"and the rate of {swings.lr:.2g} was never lowered{average_text}."
        ),
        remedy=(
            "--set 'scheduler={name: poly, warmup_epochs: 1}', which lowers the rate to zero by "
            f"the end, or optimizer.lr={lr / 3:.2g}."
        ),
        severity="warning",
        epochs=(swings.first_epoch, evidence.epoch),
        numbers={"falls": swings.num_falls, "largest_fall": swings.largest_fall, "lr": lr},
    )
