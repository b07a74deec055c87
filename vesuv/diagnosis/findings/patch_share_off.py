"""The share of foreground in training patches is far from that in whole volumes."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import percent
from vesuv.runs.records import Finding

MIN_RATIO = 3.0
"""Ratio of the foreground shares of patches and volumes, the larger over the smaller."""
NUM_EPOCHS = 3
"""Latest epochs whose patches are counted."""


def find(evidence: Evidence) -> Finding | None:
    """Find a share of foreground in the drawn patches that is far from that in the volumes."""
    shares = evidence.last_values("train/foreground_share", NUM_EPOCHS)
    if len(shares) < NUM_EPOCHS or evidence.labels is None or not evidence.labels.foreground:
        return None
    patch_share, volume_share = sum(shares) / len(shares), evidence.labels.foreground
    ratio = patch_share / volume_share
    if 1 / MIN_RATIO < ratio < MIN_RATIO:
        return None
    foreground_share = evidence.config.sampling.foreground_share
    last_epoch = evidence.epoch
    return Finding(
        name="patch_share_off",
        title=f"Patches hold {'far more' if ratio > 1 else 'far less'} foreground than volumes",
        evidence=(
            f"{percent(patch_share)} of the judged voxels in the patches of the last {NUM_EPOCHS} "
            f"epochs are foreground, {percent(volume_share)} of those in the volumes: {ratio:.2g} "
            f"times as much, with {percent(foreground_share)} of the patches centred on foreground."
        ),
        remedy=(
            "Expect too much foreground on whole volumes: let validate_distribution choose the "
            "threshold there, watch whole volumes with --set validation.full_every=5, or draw "
            f"closer to the truth with sampling.foreground_share={foreground_share / 2:.2g} or a "
            "larger patch."
            if ratio > 1
            else f"--set sampling.foreground_share={max(0.5, min(1.0, 2 * foreground_share)):.2g}."
        ),
        severity="warning",
        epochs=(max(0, last_epoch - NUM_EPOCHS + 1), last_epoch),
        numbers={"patches": patch_share, "volumes": volume_share, "ratio": ratio},
    )
