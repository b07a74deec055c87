"""What is left of the errors lies where the label itself is uncertain."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.fit import fits
from vesuv.diagnosis.render import epochs, percent
from vesuv.runs.records import Finding

NEAR = 0.65
"""Share of the wrong voxels within one voxel of foreground on the other side; networks too small
or too slow for the phantom had 0.36 to 0.57."""
GAP = 0.06
"""Training tiles are better by less: noise is not learnt, so they meet the same ceiling."""
STILL = 0.03
"""Dice that the training tiles gained over the last validations, at most."""
VALIDATIONS = 3
CEILING = 0.68
"""Dice at the ceiling from which labels are good enough not to say so; labels moved by up to two
voxels gave 0.59 on the phantom, untouched ones 0.78 to 0.86 at the end of a run."""


def find(evidence: Evidence) -> Finding | None:
    """Find a run that has stopped with its errors on the boundary, on training cases as well.

    The ceiling is the Dice that remains when every wrong voxel away from the boundary is repaired.
    """
    known = fits(evidence)
    lines = [line for line in evidence.observations if line.errors is not None]
    if len(known) < VALIDATIONS + 1 or not lines or lines[-1].errors is None:
        return None
    errors, last, before = lines[-1].errors, known[-1], known[-VALIDATIONS]
    wrong = errors.near + errors.far
    if not wrong or not errors.right:
        return None
    near = errors.near / wrong
    ceiling = 2 * errors.right / (2 * errors.right + errors.near)
    stopped = last.train - before.train < STILL and abs(last.gap) < GAP
    if near < NEAR or ceiling > CEILING or not stopped:
        return None
    return Finding(
        name="label_noise_ceiling",
        title="The labels' boundaries set a ceiling",
        evidence=(
            f"At epoch {last.epoch} {percent(near)} of the wrong voxels lie within one voxel of "
            f"foreground on the other side; with all others repaired Dice would be {ceiling:.3f} "
            f"(it is {last.validation:.3f}). Training tiles stand at {last.train:.3f} and gained "
            f"{last.train - before.train:+.3f} in {epochs(before.epoch, last.epoch)}: they meet "
            "the same ceiling."
        ),
        remedy=(
            "More epochs will not lift Dice above it: have some cases labelled twice to measure "
            "the labellers' own agreement, and judge by a tolerance, evaluate --measures "
            "surface_dice@1."
        ),
        severity="warning",
        epochs=(before.epoch, last.epoch),
        numbers={"near_share": near, "ceiling": ceiling, "train_dice": last.train},
    )
