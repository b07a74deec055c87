"""Most patches hold nothing to find."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import percent
from vesuv.runs.records import Finding

RARE = 0.33
"""Share of drawn patches with foreground below which most steps teach nothing: the borehole images
that this is named after had 19 of 236, 0.08."""
EPOCHS = 3
"""The patches of so many epochs are counted together."""


def find(evidence: Evidence) -> Finding | None:
    """Find a low share of drawn patches that hold any foreground."""
    drawn = evidence.values("train/patches_with_foreground", EPOCHS)
    if len(drawn) < EPOCHS or (share := sum(drawn) / len(drawn)) >= RARE:
        return None
    sampling, last = evidence.config.sampling, evidence.epoch
    empty = (1 - share) ** sampling.batch_size
    places = (
        ""
        if evidence.labels is None
        else f"; {percent(evidence.labels.patches_with_foreground)} of all places for a patch do"
    )
    return Finding(
        name="rare_foreground",
        title="Foreground patches are too rare",
        evidence=(
            f"{percent(share)} of the patches of the last {EPOCHS} epochs hold foreground{places}. "
            f"With a batch of {sampling.batch_size}, {percent(empty)} of the steps see none at all."
        ),
        remedy=(
            f"--set sampling.foreground_share={max(0.67, sampling.foreground_share):.2g} "
            "loss.dice.batch=true, and choose the threshold on whole volumes afterwards."
            if sampling.foreground_share < 0.67
            else "Label more foreground or take larger patches: the sampler is asked for enough "
            f"({percent(sampling.foreground_share)}) and finds too little."
        ),
        severity="trouble",
        epochs=(max(0, last - EPOCHS + 1), last),
        numbers={"patches_with_foreground": share, "steps_without": empty},
    )
