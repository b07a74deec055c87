"""The patch is too small for the spacing of the structure, or for the depth of the network."""

from __future__ import annotations

from vesuv.config import Config
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import others_text
from vesuv.runs.observation import Structure
from vesuv.runs.records import Finding

MIN_SPACINGS = 2.0
"""Spacings that a patch spans along some axis, so that it holds one whole piece and the next."""
MIN_LOWEST_EDGE = 4
"""Voxels of the patch's longest edge at the network's lowest level (nnU-Net plans the same): with
fewer, hardly any voxel has its surroundings within the patch."""


def find(evidence: Evidence) -> Finding | None:
    """Find a patch of too few spacings of the foreground, or of too few voxels at the lowest level.

    Of several classes the one with the fewest spacings is described.
    """
    return _finding_of_spacing(evidence) or _finding_of_depth(evidence)


def _finding_of_spacing(evidence: Evidence) -> Finding | None:
    structures = evidence.structures
    spans = {
        name: _largest_span(evidence.config, structure.spacing)
        for name, structure in structures.items()
        if structure.spacing is not None
    }
    too_few = {name: span for name, span in spans.items() if span < MIN_SPACINGS}
    if not too_few:
        return None
    name = min(too_few, key=lambda key: too_few[key])
    span, structure = too_few[name], structures[name]
    assert structure.spacing is not None
    batch = evidence.config.sampling.batch_size
    subject = f"Class {name!r}" if evidence.has_several_classes else "Foreground"
    spacing_text = ", ".join(f"{distance:.0f}" for distance in structure.spacing)
    thickness_text = (
        "" if structure.thickness is None else f", {structure.thickness:.0f} voxels thick"
    )
    return Finding(
        name="small_patch",
        title="The patch is too small for the structure's spacing"
        if not evidence.has_several_classes
        else f"The patch is too small for the spacing of class {name!r}",
        evidence=(
            f"{subject}{thickness_text}, repeats every {spacing_text} voxels along z, y, x in the "
            f"training cases; the patch of {list(evidence.config.sampling.patch_size)} spans "
            f"{span:.1f} of them at most, so that the network hardly ever sees two neighbours at "
            f"once; a batch of {batch} shows about {batch * span:.1f} pieces."
            + others_text(len(too_few) - 1)
        ),
        remedy=_remedy(evidence.config, structure),
        severity="warning",
        epochs=(0, max(0, evidence.epoch)),
        numbers={"largest_span": span, "smallest_spacing": min(structure.spacing)},
    )


def _finding_of_depth(evidence: Evidence) -> Finding | None:
    extent = next((s.extent for s in evidence.structures.values() if s.extent is not None), None)
    patch_size, divisors = evidence.config.sampling.patch_size, _divisors(evidence.config)
    lowest = max(edge // divisor for edge, divisor in zip(patch_size, divisors, strict=True))
    if extent is None or lowest >= MIN_LOWEST_EDGE:
        return None
    wanted = [
        min(MIN_LOWEST_EDGE, length // d) * d for d, length in zip(divisors, extent, strict=True)
    ]
    larger_patch = [max(old, edge) for old, edge in zip(patch_size, wanted, strict=True)]
    if larger_patch == list(patch_size):
        return None
    return Finding(
        name="small_patch",
        title="The patch is too small for the depth of the network",
        evidence=(
            f"At the network's lowest level the patch of {list(patch_size)} has {lowest} voxels "
            f"along its longest edge, fewer than {MIN_LOWEST_EDGE}, while the smallest training "
            f"case has {list(extent)}: most of what the network could see of a voxel's "
            "surroundings lies outside the patch."
        ),
        remedy=(
            f"--set 'sampling.patch_size={larger_patch}'; if memory forbids, a smaller model.depth."
        ),
        severity="warning",
        epochs=(0, max(0, evidence.epoch)),
        numbers={"lowest_edge": lowest},
    )


def _divisors(config: Config) -> list[int]:
    """Voxels of the patch along each axis that are one voxel of the lowest level."""
    return [2**halvings for halvings in config.model.halvings]


def _largest_span(config: Config, spacing: tuple[float, float, float]) -> float:
    edges = config.sampling.patch_size
    return max(edge / max(distance, 1e-6) for edge, distance in zip(edges, spacing, strict=True))


def _remedy(config: Config, structure: Structure) -> str:
    patch_size, larger_patch = list(config.sampling.patch_size), _larger_patch(config, structure)
    if larger_patch == patch_size:
        return (
            "The cases are no larger than the patch: take larger ones, or data.spacing twice as "
            "coarse."
        )
    return (
        f"--set 'sampling.patch_size={larger_patch}'; if memory forbids, a smaller batch_size "
        "with runtime.accumulate, or data.spacing twice as coarse."
    )


def _larger_patch(config: Config, structure: Structure) -> list[int]:
    """Two spacings along each axis, as far as they fit into the smallest training case."""
    divisors = _divisors(config)
    patch_size = config.sampling.patch_size
    spacing, extent = structure.spacing or patch_size, structure.extent or (None,) * 3
    wanted = []
    for divisor, distance, length in zip(divisors, spacing, extent, strict=True):
        edge = divisor * -(-round(2 * distance) // divisor)
        wanted.append(edge if length is None else min(edge, divisor * (length // divisor)))
    return [max(old, edge) for old, edge in zip(patch_size, wanted, strict=True)]
