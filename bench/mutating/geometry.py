"""The same in resampling, sampling, augmentation, and prediction block by block."""

from __future__ import annotations

from bench.mutating.trial import Mutant

DATA = (
    Mutant(
        "resampling: grids aligned at corners of voxels' centres",
        "data/resample.py",
        "centre = (np.arange(rows.start, rows.stop) + 0.5) * old / new - 0.5",
        "centre = np.arange(rows.start, rows.stop) * old / new",
    ),
    Mutant(
        "a thin sheet is lost on a coarser grid",
        "data/resample.py",
        "< 0.5 / factor - _SHARE_TOLERANCE",
        "< 0.5 - _SHARE_TOLERANCE",
    ),
    Mutant(
        "nearest voxel half a voxel off",
        "data/resample.py",
        "((np.arange(part.start, part.stop) + 0.5) * a / b)",
        "(np.arange(part.start, part.stop) * a / b)",
    ),
    Mutant(
        "a resampled region leaves the image's range",
        "data/resample_region.py",
        "intensities(self.apply(voxels, region), low, high, image.dtype)",
        "intensities(self.apply(voxels, region), -np.inf, np.inf, image.dtype)",
    ),
    Mutant(
        "block of a drawn voxel off by one at its border",
        "data/sampling.py",
        'np.searchsorted(cumulative_counts, rank_in_layer, side="right")',
        'np.searchsorted(cumulative_counts, rank_in_layer, side="left")',
    ),
    Mutant(
        "patches never reach a volume's last voxel",
        "data/sampling.py",
        "max(c - edge // 2, 0), length - edge)",
        "max(c - edge // 2, 0), max(length - edge - 1, 0))",
    ),
    Mutant(
        "pooled deviation lacks the difference of means",
        "data/statistics.py",
        "weights @ (stds**2 + (means - mean) ** 2)",
        "weights @ stds**2",
    ),
    Mutant(
        "merged moments lack the difference of means",
        "data/moments.py",
        "            self.squares += difference**2 * self.count * voxels.size / merged\n",
        "",
    ),
)

TRANSFORMS = (
    Mutant(
        "rotation: spacing divides where it multiplies",
        "transforms/spatial.py",
        "scale[None, :] / scale[:, None] / zoom",
        "scale[:, None] / scale[None, :] / zoom",
    ),
    Mutant(
        "warp: centre of the patch half a voxel off",
        "transforms/spatial.py",
        "device=device) - (edge - 1) / 2",
        "device=device) - edge / 2",
    ),
    Mutant(
        "zoom reversed",
        "transforms/spatial.py",
        "scale[:, None] / zoom",
        "scale[:, None] * zoom",
    ),
    Mutant(
        "a flipped patch at the volume's edge is padded on the wrong side",
        "transforms/patch.py",
        "        patch.box[axis] - patch.label.shape[axis] - patch.offset[axis]\n",
        "        patch.offset[axis]\n",
    ),
    Mutant(
        "a constant image is divided by zero",
        "transforms/normalize.py",
        "shift, scale = statistics.mean, _zeros_to_ones(statistics.std)",
        "shift, scale = statistics.mean, statistics.std",
    ),
    Mutant(
        "blur brightens",
        "transforms/intensity.py",
        "norm = weights[0] + 2 * sum(weights[1:])",
        "norm = sum(weights)",
    ),
    Mutant(
        "reconstruction counts voxels outside the volume",
        "transforms/masking.py",
        "masks & (batch.label != IGNORE)",
        "masks",
    ),
)

BLOCKS = (
    Mutant(
        "windows that begin at a block's last voxel are left out",
        "inference/blocks/window_range.py",
        "bisect_left(corners, part.stop + self.before)",
        "bisect_left(corners, part.stop + self.before - 1)",
    ),
    Mutant(
        "extent of a block ends one voxel early",
        "inference/blocks/window_range.py",
        "slice(max(first, 0), min(last + self.patch, self.length))",
        "slice(max(first, 0), min(last + self.patch, self.length - 1))",
    ),
    Mutant(
        "a cut window of zeros counts as an empty one",
        "inference/blocks/blending.py",
        "if is_whole and not bool(voxels.any()):",
        "if not bool(voxels.any()):",
    ),
    Mutant(
        "windows weigh alike along x",
        "inference/blocks/blending.py",
        "z[:, None, None] * (y[:, None] * x)",
        "z[:, None, None] * (y[:, None] * x.mean())",
    ),
    Mutant(
        "weights of an ensemble are lost in blocks",
        "inference/blocks/compute.py",
        "            members,\n            self.weights,\n",
        "            members,\n            None,\n",
    ),
    Mutant(
        "percentiles of tiles: other voxels than of the whole volume",
        "inference/blocks/statistics.py",
        "offset = -(rows + x.start) % step",
        "offset = -rows % step",
    ),
    Mutant(
        "a setting that is new does not stop a run that goes on",
        "inference/blocks/journal.py",
        "for name in {**earlier, **now}:",
        "for name in earlier:",
    ),
    Mutant(
        "parts: the first block belongs to none",
        "inference/blocks/plan.py",
        "blocks[self.number - 1 :: self.count]",
        "blocks[self.number :: self.count]",
    ),
    Mutant(
        "components: blocks that touch at edges are not joined",
        "inference/postprocess/blockwise/grid.py",
        "if any((dz, dy, dx)) and min(z, y, x) >= 0:",
        "if dz + dy + dx == 1 and min(z, y, x) >= 0:",
    ),
    Mutant(
        "weight of windows off their centre",
        "inference/windows.py",
        "else (patch - 1) / 2",
        "else patch / 2",
    ),
    Mutant(
        "test-time augmentation: axes are not exchanged back",
        "inference/views.py",
        "z, y, x = (self.order.index(axis) for axis in range(3))",
        "z, y, x = self.order",
    ),
)
