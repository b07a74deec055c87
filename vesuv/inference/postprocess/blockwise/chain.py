"""Chain of steps on a volume that is larger than memory.

A step with a halo runs on blocks that are grown by it, and a step on whole components as in
`vesuv.inference.postprocess.blockwise.components`. The result of each is a mask on disk, except
that a threshold is applied whenever its voxels are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from vesuv.config.postprocess import Chain, Step
from vesuv.errors import InputError
from vesuv.inference.postprocess.blockwise.components import select_components
from vesuv.inference.postprocess.blockwise.grid import Block, within
from vesuv.inference.postprocess.blockwise.rules import OutsideRule, component_rule
from vesuv.inference.postprocess.blockwise.run import BlockRun
from vesuv.inference.postprocess.blockwise.stored_mask import StoredMask, Volume
from vesuv.inference.postprocess.holes import (
    TUNNEL_HALO,
    PlugHoles,
    fill_tunnels,
    remove_new_cavities,
)
from vesuv.types import Array, Mask, Region, Shape, Spacing


@dataclass(frozen=True)
class CutVolume:
    """Mask of a cut whose voxels depend on no others, computed whenever it is read."""

    probs: Volume
    cut: Callable[[Array], Mask]

    def read(self, box: Region) -> Mask:
        """Return the mask of a box."""
        return self.cut(self.probs.read(box))


def check_blockwise(step: Step, spacing: Spacing) -> None:
    """Refuse a step that does not say which voxels a voxel depends on.

    Raises:
        InputError: It declares neither a halo nor that it is global, or no such halo.
    """
    name = f"inference.postprocess: {step.name}: class {type(step).__name__}"
    halo = step.halo(spacing)
    if halo is None and not step.is_global:
        raise InputError(
            f"{name} does not say which voxels a voxel depends on, so it cannot run block by "
            "block; let its method halo(spacing) return their largest distance (z, y, x) in "
            "voxels, or set is_global = True for a step that needs the whole volume in memory"
        )
    if halo is not None and (len(halo) != 3 or min(halo) < 0):
        raise InputError(
            f"{name}: halo(spacing) must return three distances in voxels of at least 0, found "
            f"{halo!r:.60}; correct it"
        )


def apply_chain_blockwise(volume: Volume, chain: Chain, spacing: Spacing, run: BlockRun) -> Volume:
    """Apply steps in their order; equal to `apply_chain` on the whole volume.

    Args:
        volume: Probabilities or a mask, as for `apply_chain`.
        chain: Steps, each checked by `check_blockwise`.
        spacing: Voxel edges (z, y, x) of the volume.
        run: Blocks, and where they are processed.

    Returns:
        A mask; the files are in the scratch folder.
    """
    for step in chain:
        before, volume = volume, _apply_step(step, volume, spacing, run)
        if isinstance(before, StoredMask):
            before.remove()
    return volume


def _apply_step(step: Step, volume: Volume, spacing: Spacing, run: BlockRun) -> Volume:
    title, function = str(step), partial(_call, step, spacing)
    rule = component_rule(step, spacing)
    if rule is not None:
        return select_components(volume, rule, title, run)
    if isinstance(step, PlugHoles):
        return _plug_holes(volume, title, run)
    halo = step.halo(spacing)
    if halo is None:
        return _apply_whole(volume, function, title, run)
    if step.cuts and not any(halo):
        return CutVolume(volume, function)
    return _apply_local((volume,), function, halo, title, run)


def _call(step: Step, spacing: Spacing, volume: Array) -> Mask:
    return step(volume, spacing)


def _plug_holes(volume: Volume, title: str, run: BlockRun) -> StoredMask:
    """Apply `plug_holes`, whose parts are local but for the cavities before and after."""
    filled = select_components(volume, OutsideRule(), f"{title}, cavities", run)
    plugged = _apply_local((volume, filled), fill_tunnels, TUNNEL_HALO, f"{title}, holes", run)
    refilled = select_components(plugged, OutsideRule(), f"{title}, new cavities", run)
    masks = (volume, filled, plugged, refilled)
    result = _apply_local(masks, remove_new_cavities, TUNNEL_HALO, f"{title}, mask", run)
    for mask in (filled, plugged, refilled):
        mask.remove()
    return result


def _apply_local(
    volumes: tuple[Volume, ...],
    function: Callable[..., Mask],
    halo: Shape,
    title: str,
    run: BlockRun,
) -> StoredMask:
    """Write what a function returns for the blocks of volumes, grown by its halo."""
    mask = StoredMask(run.new_folder(), run.grid)
    work = partial(_write_local, volumes, function, halo, mask)
    run.finish_pass(title, work, run.grid.blocks())
    return mask


def _write_local(
    volumes: tuple[Volume, ...],
    function: Callable[..., Mask],
    halo: Shape,
    mask: StoredMask,
    block: Block,
) -> None:
    box = mask.grid.grown(block, halo, halo)
    result = function(*(volume.read(box) for volume in volumes))
    mask.write(block, result[within(block.region, box)])


def _apply_whole(
    volume: Volume, function: Callable[[Array], Mask], title: str, run: BlockRun
) -> StoredMask:
    """Write what a function returns for the whole volume, which it gets in memory."""
    blocks = run.grid.blocks()
    first = volume.read(blocks[0].region)
    whole = np.empty(run.grid.shape, first.dtype)
    for block in blocks:
        whole[block.region] = volume.read(block.region)
    result = function(whole)
    mask = StoredMask(run.new_folder(), run.grid)
    with run.show_progress(title, "blocks") as progress:
        for count, block in enumerate(blocks, start=1):
            mask.write(block, result[block.region])
            progress(count, len(blocks))
    return mask
