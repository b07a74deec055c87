"""The patch is smaller than two spacings of the structure."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.runs.records import Finding

MIN_SPACINGS = 2.0
"""Spacings that a patch spans along some axis, so that it holds one whole piece and the next."""


def find(evidence: Evidence) -> Finding | None:
    """Find a patch that spans too few spacings of the foreground along every axis."""
    structure = next(
        (line.structure for line in evidence.observations if line.structure is not None), None
    )
    if structure is None or structure.spacing is None:
        return None
    patch_size = evidence.config.sampling.patch_size
    spans = [
        edge / max(distance, 1e-6)
        for edge, distance in zip(patch_size, structure.spacing, strict=True)
    ]
    if max(spans) >= MIN_SPACINGS:
        return None
    divisor = 2**evidence.config.model.halvings
    larger_patch = [divisor * -(-round(2 * distance) // divisor) for distance in structure.spacing]
    batch = evidence.config.sampling.batch_size
    spacing_text = ", ".join(f"{distance:.0f}" for distance in structure.spacing)
    thickness_text = (
        "" if structure.thickness is None else f", {structure.thickness:.0f} voxels thick"
    )
    return Finding(
        name="small_patch",
        title="The patch is too small for the structure's spacing",
        evidence=(
            f"Foreground{thickness_text}, repeats every {spacing_text} voxels along z, y, x in the "
            f"training cases; the patch of {list(patch_size)} spans {max(spans):.1f} of them at "
            "most, so that the network hardly ever sees two neighbours at once; a batch of "
            f"{batch} shows about {batch * max(spans):.1f} pieces."
        ),
        remedy=(
            f"--set 'sampling.patch_size={larger_patch}'; if memory forbids, a smaller batch_size "
            "with runtime.accumulate, or data.spacing twice as coarse."
        ),
        severity="warning",
        epochs=(0, max(0, evidence.epoch)),
        numbers={"largest_span": max(spans), "smallest_spacing": min(structure.spacing)},
    )
