"""Selection of whole components of a volume that is larger than memory.

Three passes over the blocks:

1. Label each block together with one voxel at the low side of each axis, so that every two
   neighbouring voxels are in one labelled box, whatever the connectivity. Measure each label's part
   in the block itself. Save the labels of the faces.
2. Each voxel of the low faces has a label of this block and one of the block that owns it: unite
   them. Faces alone are not enough, as voxels also touch across the edges and corners of blocks.
3. Merge the measures of united labels, select components, label each block again, and write the
   voxels of the selected ones. Labelling again is faster than labels of four bytes a voxel on disk.

The tables of the merge take 32 bytes a label at their peak, 62 for `keep_largest`: 38 and 73 MB a
billion voxels of noisy sheets cut at 0.5, with 1.2 million labels (`bench/blockwise.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree

import numpy as np

from vesuv.data.components import ComponentLabels, label_components
from vesuv.inference.postprocess.blockwise.grid import Block, BlockGrid, within
from vesuv.inference.postprocess.blockwise.merging import Labels, compress_paths, unite
from vesuv.inference.postprocess.blockwise.rules import Column, ComponentRule, LabelledBlock
from vesuv.inference.postprocess.blockwise.run import BlockRun
from vesuv.inference.postprocess.blockwise.stored_mask import StoredMask, Volume
from vesuv.types import Array, Mask, Region

Faces = list[ComponentLabels]
"""Labels of one layer of voxels across each axis."""


@dataclass(frozen=True)
class _Source:
    """Volume whose components are selected, and where the labels of the faces are saved."""

    volume: Volume
    rule: ComponentRule
    grid: BlockGrid
    faces: Path

    def face_file(self, block: Block) -> Path:
        return self.faces / f"{self.grid.index(block.position)}.npy"

    def labelled_box(self, block: Block) -> Region:
        """Return the block with one voxel at the low side of each axis."""
        return self.grid.grown(block, (1, 1, 1), (0, 0, 0))


@dataclass(frozen=True)
class _Selection:
    """Which labels of one block are selected."""

    block: Block
    selected: Mask

    def __str__(self) -> str:
        return str(self.block)


def select_components(volume: Volume, rule: ComponentRule, title: str, run: BlockRun) -> StoredMask:
    """Write the mask of the components that a rule selects; equal to that of the whole volume.

    Args:
        volume: Probabilities or mask; read twice.
        rule: Which components.
        title: Name of the step, for the progress.
        run: Blocks, and where they are processed.
    """
    source = _Source(volume, rule, run.grid, run.new_folder())
    blocks = run.grid.blocks()
    first_labels, columns = _measure(source, blocks, title, run)
    parents = np.arange(first_labels[-1])
    for block, unions in run.run_pass(f"{title}, seams", partial(_find_unions, source), blocks):
        own_first = first_labels[run.grid.index(block.position)]
        for neighbour, own, other in unions:
            unite(parents, own_first + own, first_labels[neighbour] + other)
    rmtree(source.faces)
    selected = select_labels(rule, parents, columns)
    selected[first_labels[:-1]] = False  # label 0 is outside the components
    parts = np.split(selected, first_labels[1:-1])
    mask = StoredMask(run.new_folder(), run.grid)
    selections = [_Selection(block, part) for block, part in zip(blocks, parts, strict=True)]
    run.finish_pass(f"{title}, mask", partial(_write_selected, source, mask), selections)
    return mask


def _measure(
    source: _Source, blocks: list[Block], title: str, run: BlockRun
) -> tuple[Labels, tuple[Column, ...]]:
    """Return the first row of each block in the tables, with their length last, and the columns."""
    measures: list[tuple[Column, ...]] = [()] * len(blocks)
    for block, columns in run.run_pass(f"{title}, labels", partial(_label, source), blocks):
        measures[run.grid.index(block.position)] = columns
    counts = [len(columns[0]) for columns in measures]
    first_labels = np.concatenate([[0], np.cumsum(counts)])
    return first_labels, tuple(np.concatenate(parts) for parts in zip(*measures, strict=True))


def _label(source: _Source, block: Block) -> tuple[Column, ...]:
    """Save the faces of one block and return the measures of its labels."""
    box = source.labelled_box(block)
    volume = source.volume.read(box)
    labels, num = label_components(source.rule.foreground(volume), source.rule.connectivity)
    inside = within(block.region, box)
    with source.face_file(block).open("wb") as file:
        for axis in range(3):
            np.save(file, labels.take(0, axis=axis))
        for axis in range(3):
            np.save(file, labels[inside].take(-1, axis=axis))
    part = LabelledBlock(block, source.grid.shape, volume[inside], labels[inside], num)
    return source.rule.measure(part)


def _find_unions(source: _Source, block: Block) -> list[tuple[int, Labels, Labels]]:
    """Return the pairs of labels of one block and a lower neighbour that share voxels.

    Returns:
        Index of the neighbour, labels of the block, and those of the neighbour.
    """
    low_faces, _ = _load_faces(source, block)
    has_layer = [int(start > 0) for start in block.start]
    unions = []
    for distance, neighbour in source.grid.lower_neighbours(block):
        _, high_faces = _load_faces(source, neighbour)
        axis = distance.index(1)
        # along an axis with distance 1: the low layer of this box, the last layer of the neighbour
        own = [
            slice(0, 1) if d else slice(layer, None)
            for d, layer in zip(distance, has_layer, strict=True)
        ]
        other = [slice(-1, None) if d else slice(None) for d in distance]
        del own[axis], other[axis]
        pairs = _unique_pairs(low_faces[axis][tuple(own)], high_faces[axis][tuple(other)])
        unions.append((source.grid.index(neighbour.position), *pairs))
    return unions


def _load_faces(source: _Source, block: Block) -> tuple[Faces, Faces]:
    """Return the labels of the low faces of the labelled box, and the high faces of the block."""
    with source.face_file(block).open("rb") as file:
        faces = [np.load(file) for _ in range(6)]
    return faces[:3], faces[3:]


def _unique_pairs(own: Array, other: Array) -> tuple[Labels, Labels]:
    is_foreground = own > 0
    assert np.array_equal(is_foreground, other > 0)
    pairs = own[is_foreground].astype(np.int64) << 32 | other[is_foreground].astype(np.int64)
    unique_pairs = np.unique(pairs)
    return unique_pairs >> 32, unique_pairs & (2**32 - 1)


def select_labels(rule: ComponentRule, parents: Labels, columns: tuple[Column, ...]) -> Mask:
    """Return whether each label is part of a selected component.

    Args:
        rule: Which components.
        parents: From `unite`; changed in place, as the columns are.
        columns: Measures of each label.
    """
    compress_paths(parents)
    is_root = parents == np.arange(len(parents))
    for merge, column in zip(rule.merges, columns, strict=True):
        merge.at(column, parents[~is_root], column[~is_root])
    selected = np.zeros(len(parents), bool)
    selected[is_root] = rule.select(*(column[is_root] for column in columns))
    return selected[parents]


def _write_selected(source: _Source, mask: StoredMask, selection: _Selection) -> None:
    """Write the mask of one block."""
    block, selected = selection.block, selection.selected
    if not selected.any():
        voxels = np.zeros(block.shape, bool)
    else:
        box = source.labelled_box(block)
        foreground = source.rule.foreground(source.volume.read(box))
        if not selected[1:].all():
            labels, _ = label_components(foreground, source.rule.connectivity)
            foreground = selected[labels]
        voxels = foreground[within(block.region, box)]
    mask.write(block, ~voxels if source.rule.is_inverted else voxels)
