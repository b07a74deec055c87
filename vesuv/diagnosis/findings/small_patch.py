"""A patch too small to show how the structure repeats, or a batch with too little of it."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.runs.records import Finding

SPACINGS = 2.0
"""Spacings that a patch must span along one axis at least: to see one piece whole and the next."""


def find(evidence: Evidence) -> Finding | None:
    """Find a patch that spans too few spacings of the foreground along every axis."""
    structure = next((o.structure for o in evidence.observations if o.structure is not None), None)
    if structure is None or structure.spacing is None:
        return None
    patch_size = evidence.config.sampling.patch_size
    spans = [edge / max(gap, 1e-6) for edge, gap in zip(patch_size, structure.spacing, strict=True)]
    if max(spans) >= SPACINGS:
        return None
    divisor = 2**evidence.config.model.halvings
    wanted = [divisor * -(-round(2 * gap) // divisor) for gap in structure.spacing]
    batch = evidence.config.sampling.batch_size
    gaps = ", ".join(f"{gap:.0f}" for gap in structure.spacing)
    thick = "" if structure.thickness is None else f", {structure.thickness:.0f} voxels thick"
    return Finding(
        name="small_patch",
        title="The patch is too small for the structure's spacing",
        evidence=(
            f"Foreground{thick}, repeats every {gaps} voxels along z, y, x in the training cases; "
            f"the patch of {list(patch_size)} spans {max(spans):.1f} of them at most, so that the "
            f"network hardly ever sees two neighbours at once; a batch of {batch} shows about "
            f"{batch * max(spans):.1f} pieces."
        ),
        remedy=(
            f"--set 'sampling.patch_size={wanted}'; if memory forbids, a smaller batch_size with "
            "runtime.accumulate, or data.spacing twice as coarse."
        ),
        severity="warning",
        epochs=(0, max(0, evidence.epoch)),
        numbers={"largest_span": max(spans), "smallest_spacing": min(structure.spacing)},
    )
