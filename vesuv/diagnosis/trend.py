"""Trend of a measured quantity over the last validations."""

from __future__ import annotations

from collections.abc import Sequence

from vesuv.diagnosis.evidence import Evidence

NUM_VALIDATIONS = 3
"""Latest validations that the trend is taken over."""
MIN_GAIN = 0.02
"""Gain over them from which a quantity improves; a stalled network's measures move by 0.01."""
LATE_SHARE = 0.75
"""Share of the run's epochs from which an improvement no longer excuses a fault."""


def is_still_improving(
    evidence: Evidence, values: Sequence[float], min_gain: float = MIN_GAIN
) -> bool:
    """Whether a quantity improves and the run has epochs left to improve it further.

    A finding about a state of the network stays silent as long: training may repair it.

    Args:
        evidence: The run.
        values: The quantity by validation; higher is better.
        min_gain: Gain over the last validations from which it improves.
    """
    if evidence.epoch + 1 >= LATE_SHARE * evidence.config.train.epochs:
        return False
    recent = values[-NUM_VALIDATIONS:]
    return (
        len(recent) == NUM_VALIDATIONS
        and recent[-1] == max(recent)
        and recent[-1] - recent[0] >= min_gain
    )
