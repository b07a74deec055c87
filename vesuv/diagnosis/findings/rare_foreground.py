"""Most training patches hold no foreground."""

from __future__ import annotations

from vesuv.config.data import SamplingConfig
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import others_text, percent
from vesuv.runs.records import Finding

MAX_SHARE = 0.33
"""Share of drawn patches with foreground below which it is too rare; borehole images had 19 of 236,
0.08."""
NUM_EPOCHS = 3
"""Latest epochs whose patches are counted."""


def find(evidence: Evidence) -> Finding | None:
    """Find a low share of drawn patches with foreground; of several classes the rarest one."""
    return _rare_class(evidence) if evidence.has_several_classes else _rare_foreground(evidence)


def _rare_foreground(evidence: Evidence) -> Finding | None:
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
        remedy=_remedy(sampling),
        severity="trouble",
        epochs=(max(0, last_epoch - NUM_EPOCHS + 1), last_epoch),
        numbers={"patches_with_foreground": share, "steps_without": empty_share},
    )


def _rare_class(evidence: Evidence) -> Finding | None:
    """Judge the training patches that were drawn for the diagnosis at the start of the run.

    Several classes share the patches: each may occur in fewer, in proportion to their number.
    """
    sampling = evidence.class_sampling
    rare = [name for name in sampling if sampling[name].patches < MAX_SHARE / len(sampling)]
    if not rare:
        return None
    name = min(rare, key=lambda key: sampling[key].patches)
    share, batch_size = sampling[name].patches, evidence.config.sampling.batch_size
    empty_share = (1 - share) ** batch_size
    return Finding(
        name="rare_foreground",
        title=f"Patches with class {name!r} are too rare",
        evidence=(
            f"{percent(share)} of the training patches hold class {name!r}. With a batch of "
            f"{batch_size}, {percent(empty_share)} of the steps see none of it at all."
            + others_text(len(rare) - 1)
        ),
        remedy=_remedy(evidence.config.sampling),
        severity="trouble",
        epochs=(0, max(0, evidence.epoch)),
        numbers={"patches_with_foreground": share, "steps_without": empty_share},
    )


def _remedy(sampling: SamplingConfig) -> str:
    if sampling.foreground_share < 0.67:
        return (
            "--set sampling.foreground_share=0.67 loss.dice.batch=true, and choose the threshold "
            "on whole volumes afterwards."
        )
    return (
        "Label more foreground or take larger patches: the sampler is asked for enough "
        f"({percent(sampling.foreground_share)}) and finds too little."
    )
