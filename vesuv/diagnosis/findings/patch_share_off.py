"""Patches show another mixture of classes than the volumes do."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import percent
from vesuv.runs.records import Finding

TIMES = 3.0
"""Foreground in the patches over foreground in the volumes, or the other way round."""
EPOCHS = 3
"""The patches of so many epochs are counted together."""


def find(evidence: Evidence) -> Finding | None:
    """Find a share of foreground in the drawn patches far from that in the judged voxels."""
    drawn = evidence.values("train/foreground_share", EPOCHS)
    if len(drawn) < EPOCHS or evidence.labels is None or not evidence.labels.foreground:
        return None
    share, volumes = sum(drawn) / len(drawn), evidence.labels.foreground
    ratio = share / volumes
    if 1 / TIMES < ratio < TIMES:
        return None
    centred = evidence.config.sampling.foreground_share
    last = evidence.epoch
    return Finding(
        name="patch_share_off",
        title=f"Patches hold {'far more' if ratio > 1 else 'far less'} foreground than volumes",
        evidence=(
            f"{percent(share)} of the judged voxels in the patches of the last {EPOCHS} epochs are "
            f"foreground, {percent(volumes)} of those in the volumes: {ratio:.2g} times as much, "
            f"with {percent(centred)} of the patches centred on foreground."
        ),
        remedy=(
            "Expect too much foreground on whole volumes: let validate_distribution choose the "
            "threshold there, watch whole volumes with --set validation.full_every=5, or draw "
            f"closer to the truth with sampling.foreground_share={centred / 2:.2g} or a larger "
            "patch."
            if ratio > 1
            else f"--set sampling.foreground_share={max(0.5, min(1.0, 2 * centred)):.2g}."
        ),
        severity="warning",
        epochs=(max(0, last - EPOCHS + 1), last),
        numbers={"patches": share, "volumes": volumes, "ratio": ratio},
    )
