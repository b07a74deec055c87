"""The share of foreground in training patches is far from that in whole volumes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import others_text, percent
from vesuv.diagnosis.trend import is_still_improving
from vesuv.runs.records import Finding

MIN_RATIO = 3.0
"""Ratio of the foreground shares of patches and volumes, the larger over the smaller."""
NUM_EPOCHS = 3
"""Latest epochs whose patches are counted."""


@dataclass(frozen=True)
class _Shares:
    """One class's share of the judged voxels."""

    name: str
    patches: float
    volumes: float

    @property
    def ratio(self) -> float:
        return self.patches / self.volumes

    @property
    def distance(self) -> float:
        return abs(math.log(max(self.ratio, 1e-9)))


def find(evidence: Evidence) -> Finding | None:
    """Find a share of foreground in the drawn patches that is far from that in the volumes.

    Not while the measure that it would spoil still improves: precision where patches hold too
    much, recall where they hold too little. Of several classes the farthest is described.
    """
    far_off = [
        shares
        for shares in _shares(evidence)
        if not 1 / MIN_RATIO < shares.ratio < MIN_RATIO and not _is_improving(evidence, shares)
    ]
    if not far_off:
        return None
    worst = max(far_off, key=lambda shares: shares.distance)
    several = evidence.has_several_classes
    subject = f"of class {worst.name!r}" if several else "foreground"
    patches = "training patches" if several else f"patches of the last {NUM_EPOCHS} epochs"
    foreground_share, last_epoch = evidence.config.sampling.foreground_share, evidence.epoch
    return Finding(
        name="patch_share_off",
        title=f"Patches hold far {'more' if worst.ratio > 1 else 'less'} {subject} than volumes",
        evidence=(
            f"{percent(worst.patches)} of the judged voxels in the {patches} are {subject}, "
            f"{percent(worst.volumes)} of those in the volumes: {worst.ratio:.2g} "
            f"times as much, with {percent(foreground_share)} of the patches centred on foreground."
            + others_text(len(far_off) - 1)
        ),
        remedy=_remedy_of_surplus(foreground_share)
        if worst.ratio > 1
        else _remedy_of_lack(foreground_share),
        severity="warning",
        epochs=(max(0, last_epoch - NUM_EPOCHS + 1), last_epoch),
        numbers={"patches": worst.patches, "volumes": worst.volumes, "ratio": worst.ratio},
    )


def _shares(evidence: Evidence) -> list[_Shares]:
    if evidence.has_several_classes:
        return [
            _Shares(name, sampling.patch_share, sampling.volume_share)
            for name, sampling in evidence.class_sampling.items()
            if sampling.volume_share
        ]
    shares = evidence.last_values("train/foreground_share", NUM_EPOCHS)
    if len(shares) < NUM_EPOCHS or evidence.labels is None or not evidence.labels.foreground:
        return []
    name = evidence.foreground_classes[0]
    return [_Shares(name, sum(shares) / len(shares), evidence.labels.foreground)]


def _is_improving(evidence: Evidence, shares: _Shares) -> bool:
    column = "val/precision" if shares.ratio > 1 else "val/recall"
    points = evidence.points(evidence.class_column(column, shares.name))
    return is_still_improving(evidence, [value for _, value in points])


def _remedy_of_surplus(foreground_share: float) -> str:
    share_text = (
        f"with sampling.foreground_share={foreground_share / 2:.2g} or " if foreground_share else ""
    )
    return (
        "Expect too much foreground on whole volumes: let validate_distribution choose the "
        "threshold there, watch whole volumes with --set validation.full_every=5, or draw closer "
        f"to the truth {share_text}with a larger patch."
    )


def _remedy_of_lack(foreground_share: float) -> str:
    if foreground_share >= 1.0:
        return (
            "Every patch is centred on foreground already: take smaller patches, or find out "
            "whether the training cases hold less foreground than the other ones."
        )
    return f"--set sampling.foreground_share={max(0.5, min(1.0, 2 * foreground_share)):.2g}."
