"""Signs of a learning rate that is too high, and the rates and decays that remedies propose."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from statistics import median

from pydantic_core import PydanticUndefined

from vesuv.config.training import OptimizerConfig
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import percent

MAX_DEFAULT_RATIO = 20.0
"""Ratio of a rate to its optimiser's default (adamw 5e-4, sgd 1e-2, muon 5e-2) above which no
higher rate is proposed, and above which the rate is suspected where a run does not learn."""
MIN_SKIPPED_STEPS = 3
"""Skipped steps from which they are a sign: bfloat16 or one bad patch skips a step at times."""
MAX_MOVEMENT = 0.6
"""Relative change of the weights in an epoch; networks that learn with adamw or sgd have 0.01 to
0.3. Muon's steps have the length of its rate whatever the gradient, and change them by more than
one (1.3 in the first 50 steps at a rate of 0.1, in a run that learned)."""
NUM_MOVEMENTS = 3
"""Latest observations whose change of the weights is judged."""
MIN_TRAINING_RISE = 1.1
"""Ratio of the last epoch's training loss to the first one's, under the last one's loss weights,
from which training has diverged."""
MIN_RISE = 1.25
"""Smallest factor between two validation losses under the same loss weights that is a jump."""
MIN_EXPLAINED_RISE = 1.15
"""Smallest such factor within EXPLANATION_EPOCHS of an event in CAUSES; above it the diary's runs
rolled back to their best weights."""
MIN_JUMPS = 2
"""Jumps from which the loss is erratic; one jump with a cause is enough."""
MIN_FALL = 0.03
"""Fall of the validation Dice between two validations that is a swing; tiles of a run that learns
at a falling rate have 0.01."""
MIN_FALLS = 2
"""Swings, after the first quarter of the validations, from which Dice is said to swing."""
MIN_GAIN_OF_AVERAGE = 0.02
"""Dice, the median of three validations, by which averaged weights are better than the last ones
where these circle around a minimum."""
MAX_DECAY = 0.02
"""Share of each weight that weight decay takes away in a step, above which it is named first: the
weights keep what about fifty steps taught. Shipped configurations have at most 0.0025."""
EXPLANATION_EPOCHS = 2
CAUSES = {"phase": "the change of phase", "escape": "the escape", "noise": "the weight noise"}


@dataclass(frozen=True)
class Swings:
    """Falls of the validation Dice, after the first quarter, in a run whose rate is constant."""

    first_epoch: int
    num_falls: int
    largest_fall: float
    lr: float
    gain_of_average: float | None
    """Median Dice of the averaged weights minus that of the last ones; None without averages."""


Jump = tuple[float, int, int, str]
"""Factor, epoch before, epoch after, and cause ("" where no event explains it)."""


def default_rate(optimizer: OptimizerConfig) -> float | None:
    """Return the optimiser's default rate; None where it has none."""
    default = type(optimizer).model_fields["lr"].default
    return None if default is PydanticUndefined else float(default)


def is_above_usual(optimizer: OptimizerConfig) -> bool:
    """Whether the rate is above MAX_DEFAULT_RATIO times the optimiser's default."""
    default = default_rate(optimizer)
    return default is not None and optimizer.lr > MAX_DEFAULT_RATIO * default


def signs_of_excess(evidence: Evidence) -> list[str]:
    """Return each sign that the learning rate is too high, as the end of a sentence."""
    optimizer = evidence.config.optimizer
    signs = []
    if is_above_usual(optimizer):
        signs.append(
            f"the rate of {optimizer.lr:.2g} is {optimizer.lr / (default_rate(optimizer) or 1):.0f}"
            f" times the default of {optimizer.name}"
        )
    num_skipped = max(evidence.last_values("skipped_steps", 1), default=0.0)
    if num_skipped >= MIN_SKIPPED_STEPS:
        signs.append(f"{num_skipped:.0f} steps were skipped as not finite")
    if num_jumps := len(erratic_jumps(evidence)):
        signs.append(f"the validation loss jumped {num_jumps} times")
    movements = [line.movement for line in evidence.observations if line.movement is not None]
    movement = max(movements[-NUM_MOVEMENTS:], default=0.0) / evidence.config.validation.every
    if movement > MAX_MOVEMENT and optimizer.name != "muon":
        signs.append(f"an epoch changed the weights by {movement:.1f} of their size")
    rise = _training_rise(evidence)
    if rise is not None and rise >= MIN_TRAINING_RISE:
        signs.append(f"the training loss is {rise:.2f} times that of the first epoch")
    return signs


def lower_rate(evidence: Evidence, divisor: float = 3.0) -> float:
    """Return the rate divided; from an unusually high one at most the optimiser's default."""
    optimizer = evidence.config.optimizer
    rate = optimizer.lr / divisor
    default = default_rate(optimizer)
    return min(rate, default) if default is not None and is_above_usual(optimizer) else rate


def higher_rate(evidence: Evidence, factor: float) -> float | None:
    """Return the rate multiplied, at least the optimiser's default and at most the usual limit.

    None where anything speaks against it.
    """
    optimizer = evidence.config.optimizer
    default = default_rate(optimizer)
    limit = factor * optimizer.lr if default is None else MAX_DEFAULT_RATIO * default
    if optimizer.lr >= limit or signs_of_excess(evidence):
        return None
    return min(max(factor * optimizer.lr, default or 0.0), limit)


def remedy_of_decay(evidence: Evidence) -> str | None:
    """Return the remedy of a weight decay that takes the weights away; None for a small one."""
    optimizer = evidence.config.optimizer
    share = optimizer.lr * optimizer.weight_decay
    if share <= MAX_DECAY:
        return None
    usual = type(optimizer).model_fields["weight_decay"].default
    return (
        f"Weight decay takes away {percent(min(share, 1.0))} of every weight in a step "
        f"(optimizer.lr times optimizer.weight_decay, {optimizer.weight_decay:.3g}): start again "
        f"with --set optimizer.weight_decay={usual:.2g}."
    )


def erratic_jumps(evidence: Evidence) -> list[Jump]:
    """Return the jumps of the validation loss; none where they are too few to count."""
    jumps = _loss_jumps(evidence)
    return jumps if len(jumps) >= MIN_JUMPS or (jumps and jumps[0][3]) else []


def dice_swings(evidence: Evidence) -> Swings | None:
    """Return the swings of Dice; None where they are few, or the rate falls.

    Averaged weights that are no better than the last ones speak against too high a rate; without
    averages, only a rate far above the usual is suspected.
    """
    points = evidence.points("val/dice")
    later = points[len(points) // 4 :]
    rates = [rate for _, rate in evidence.points("lr")]
    if len(points) < 2 * NUM_MOVEMENTS or not rates or rates[-1] < max(rates):
        return None
    falls = [old - new for (_, old), (_, new) in itertools.pairwise(later)]
    num_falls = sum(fall >= MIN_FALL for fall in falls)
    gain = _gain_of_average(evidence)
    is_suspected = (
        is_above_usual(evidence.config.optimizer) if gain is None else gain >= MIN_GAIN_OF_AVERAGE
    )
    if num_falls < MIN_FALLS or not is_suspected:
        return None
    return Swings(later[0][0], num_falls, max(falls), rates[-1], gain)


def _gain_of_average(evidence: Evidence) -> float | None:
    gains = [
        averaged - last
        for epoch, averaged in evidence.points("val/ema_dice")[-NUM_MOVEMENTS:]
        if (last := evidence.value_at("val/dice", epoch)) is not None
    ]
    return median(gains) if gains else None


def _loss_jumps(evidence: Evidence) -> list[Jump]:
    jumps: list[Jump] = []
    for old_epoch, new_epoch in itertools.pairwise(evidence.validation_epochs):
        weights = evidence.weights(new_epoch)
        old_loss, new_loss = (
            evidence.total_loss(old_epoch, weights),
            evidence.total_loss(new_epoch, weights),
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


def _training_rise(evidence: Evidence) -> float | None:
    last_epoch = evidence.metrics.last_epoch
    if not last_epoch:  # no epoch, or the first alone
        return None
    weights = evidence.weights(last_epoch)
    first, last = (evidence.total_loss(epoch, weights, "train") for epoch in (0, last_epoch))
    return last / first if weights and first and last is not None and first > 0 else None
