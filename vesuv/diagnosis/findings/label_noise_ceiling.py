"""The remaining errors lie at the boundary, where labels are uncertain."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.findings import lopsided_precision_recall
from vesuv.diagnosis.fit import fit_history
from vesuv.diagnosis.render import epochs, percent
from vesuv.runs.records import Finding

MIN_BOUNDARY_SHARE = 0.65
"""Smallest share of the wrong voxels that lie within one voxel of the other mask's foreground;
networks too small or too slow for the phantom had 0.36 to 0.57."""
MAX_GAP = 0.06
"""Largest gap between training and validation tiles: label noise is not learnt, so both have the
same ceiling."""
MAX_GAIN = 0.03
"""Largest gain in Dice of the training tiles over the last validations."""
NUM_VALIDATIONS = 3
MAX_CEILING = 0.68
"""Highest ceiling that is reported; labels moved by up to two voxels gave 0.59 on the phantom,
exact labels 0.78 to 0.86 at the end of a run."""


def find(evidence: Evidence) -> Finding | None:
    """Find a run that no longer improves on training tiles and whose errors lie at the boundary.

    The ceiling is the Dice after correction of every wrong voxel away from the boundary. A
    mask that is too thick or too thin errs there too: `lopsided_precision_recall` names it.
    """
    history = fit_history(evidence)
    lines = [line for line in evidence.observations if line.errors is not None]
    if len(history) < NUM_VALIDATIONS + 1 or not lines or lines[-1].errors is None:
        return None
    errors, last, earlier = lines[-1].errors, history[-1], history[-NUM_VALIDATIONS]
    num_wrong = errors.near + errors.far
    if not num_wrong or not errors.right:
        return None
    boundary_share = errors.near / num_wrong
    ceiling = 2 * errors.right / (2 * errors.right + errors.near)
    has_converged = last.train - earlier.train < MAX_GAIN and abs(last.gap) < MAX_GAP
    if boundary_share < MIN_BOUNDARY_SHARE or ceiling > MAX_CEILING or not has_converged:
        return None
    if lopsided_precision_recall.find(evidence) is not None:
        return None
    return Finding(
        name="label_noise_ceiling",
        title="The labels' boundaries set a ceiling",
        evidence=(
            f"At epoch {last.epoch} {percent(boundary_share)} of the wrong voxels lie within one "
            "voxel of foreground on the other side; with all others repaired Dice would be "
            f"{ceiling:.3f} (it is {last.validation:.3f}). Training tiles stand at "
            f"{last.train:.3f} and gained {last.train - earlier.train:+.3f} in "
            f"{epochs(earlier.epoch, last.epoch)}: they meet the same ceiling."
        ),
        remedy=(
            "More epochs will not lift Dice above it: have some cases labelled twice to measure "
            "the labellers' own agreement, and judge by a tolerance, evaluate --measures "
            "surface_dice@1."
        ),
        severity="warning",
        epochs=(earlier.epoch, last.epoch),
        numbers={"near_share": boundary_share, "ceiling": ceiling, "train_dice": last.train},
    )
