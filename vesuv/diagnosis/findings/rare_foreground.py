"""Most training patches hold no foreground."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import percent
from vesuv.runs.records import Finding

MAX_SHARE = 0.33
"""Share of drawn patches with foreground below which it is too rare; borehole images had 19 of 236,
0.08."""
NUM_EPOCHS = 3
"""Latest epochs whose patches are counted."""


def find(evidence: Evidence) -> Finding | None:
    """Find a low share of drawn patches with foreground."""
    shares = evidence.last_values("train/patches_with_foreground", NUM_EPOCHS)
    if len(shares) < NUM_EPOCHS or (share := sum(shares) / len(shares)) >= MAX_SHARE:
        return None
    sampling, last_epoch = evidence.config.sampling, evidence.epoch
    empty_share = (1 - share) ** sampling.batch_size
    place_text = (
        ""
        if evidence.labels is None
        else f"; {percent(evidence.labels.patches_with_foreground)} of all places for a patch do"
    )
    return Finding(
        name="rare_foreground",
        title="Foreground patches are too rare",
        evidence=(
            f"{percent(share)} of the patches of the last {NUM_EPOCHS} epochs hold "
            f"foreground{place_text}. With a batch of {sampling.batch_size}, "
            f"{percent(empty_share)} of the steps see none at all."
        ),
        remedy=(
            f"--set sampling.foreground_share={max(0.67, sampling.foreground_share):.2g} "
            "loss.dice.batch=true, and choose the threshold on whole volumes afterwards."
            if sampling.foreground_share < 0.67
            else "Label more foreground or take larger patches: the sampler is asked for enough "
            f"({percent(sampling.foreground_share)}) and finds too little."
        ),
        severity="trouble",
        epochs=(max(0, last_epoch - NUM_EPOCHS + 1), last_epoch),
        numbers={"patches_with_foreground": share, "steps_without": empty_share},
    )
