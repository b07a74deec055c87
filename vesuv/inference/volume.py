"""One volume through a network that sees patches: windows, mirrored copies, a weighted sum.

Windows advance row by row along z. An accelerator keeps the sums of one row only (patch height × y
× x); slices that no later row touches are final and leave for the host. Its memory therefore does
not grow with the volume's height, and each voxel of the image goes there about 1 / (1 - overlap)
times. On the host the result itself holds the sums.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vesuv.inference.windows import Triple, WindowGrid

Network = Callable[[Tensor], Tensor]
"""Probabilities (b, k, z, y, x) of a batch of images (b, c, z, y, x)."""

Progress = Callable[[int, int], None]
"""Told the number of windows done and of all windows."""

_FLIPS = tuple(
    axes for count in range(4) for axes in itertools.combinations((2, 3, 4), count)
)  # axes of a batch


def predict_volume(
    network: Network,
    image: Tensor,
    *,
    patch_size: Triple,
    overlap: float,
    batch_size: int,
    mirror: bool,
    device: torch.device,
    precision: Literal["float32", "bfloat16"],
    progress: Progress | None = None,
) -> Tensor:
    """Return the probabilities of a whole volume, blended from Gaussian-weighted windows.

    Args:
        network: Gives probabilities, not logits, and lives on `device`.
        image: Normalised image (c, z, y, x) on the host, any size; what is smaller than the patch
            is centred in zeros.
        patch_size: Edges of a window (z, y, x).
        overlap: Share of a window that its neighbour covers, in [0, 1).
        batch_size: Windows in one forward pass.
        mirror: Average over the eight flips.
        device: Where the network runs.
        precision: bfloat16 runs the network under autocast; sums are float32 either way.
        progress: Called after each forward pass.

    Returns:
        Probabilities (k, z, y, x), float32, on the host.
    """
    padded, inside = _pad_to_patch(image, patch_size)
    depth, height, width = padded.shape[1:]
    grid = WindowGrid.over((depth, height, width), patch_size, overlap)
    forward = _Forward(network, mirror, device, precision)
    weights_y, weights_x = grid.y.weights.to(device), grid.x.weights.to(device)
    result, slab, done = torch.empty(0), torch.empty(0), 0
    ends = (*grid.z.corners[1:], depth)
    for top, end, weight_z in zip(grid.z.corners, ends, grid.z.weights.to(device), strict=True):
        source = padded[:, top : top + patch_size[0]].to(device)
        for batch in grid.row(batch_size):
            corners = [(grid.y.corners[j], grid.x.corners[i]) for j, i in batch]
            probs = forward(torch.stack([_window(source, at, patch_size) for at in corners]))
            if done == 0:
                result = torch.zeros((probs.shape[1], depth, height, width))
                slab = _first_slab(result, patch_size[0], device)
            for window, at, (j, i) in zip(probs, corners, batch, strict=True):
                plane = weights_y[j, :, None] * weights_x[i]
                _window(slab, at, patch_size).addcmul_(window, weight_z[:, None, None] * plane)
            done += len(batch)
            if progress is not None:
                progress(done, len(grid))
        slab = _next_slab(slab, result, top, end, device)
    return result[(slice(None), *inside)]


def _window(slab: Tensor, corner: tuple[int, int], patch_size: Triple) -> Tensor:
    """View a window of a slab that is one patch high."""
    y, x = corner
    return slab[:, :, y : y + patch_size[1], x : x + patch_size[2]]


def _first_slab(result: Tensor, height: int, device: torch.device) -> Tensor:
    """Open the sums of the first row: part of the result, or as much memory on the device."""
    slab = result[:, :height]
    return slab if _on_host(device) else torch.zeros_like(slab, device=device)


def _next_slab(slab: Tensor, result: Tensor, top: int, end: int, device: torch.device) -> Tensor:
    """Move on to the row at `end`; what lies before it is final."""
    height, rows = slab.shape[1], end - top
    if _on_host(device):
        return result[:, end : end + height]
    result[:, top:end].copy_(slab[:, :rows])
    moved = torch.zeros_like(slab)
    moved[:, : max(height - rows, 0)].copy_(slab[:, rows:])
    return moved


def _on_host(device: torch.device) -> bool:
    return device.type == "cpu"


def _pad_to_patch(image: Tensor, patch_size: Triple) -> tuple[Tensor, tuple[slice, ...]]:
    """Centre an image smaller than the patch in zeros; also return where it then lies."""
    pads, inside = [], []
    for length, patch in zip(image.shape[1:], patch_size, strict=True):
        missing = max(patch - length, 0)
        before = missing // 2
        pads.append((before, missing - before))
        inside.append(slice(before, before + length))
    if not any(itertools.chain(*pads)):
        return image, tuple(inside)
    return F.pad(image, [*pads[2], *pads[1], *pads[0]]), tuple(inside)


class _Forward:
    """A network on a batch of windows: autocast, and the mean over flips when asked."""

    def __init__(
        self, network: Network, mirror: bool, device: torch.device, precision: str
    ) -> None:
        self.network = network
        self.flips = _FLIPS if mirror else _FLIPS[:1]
        self.device = device
        self.bfloat16 = precision == "bfloat16"

    def __call__(self, images: Tensor) -> Tensor:
        total: Tensor | None = None
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16),
        ):
            for axes in self.flips:
                probs = self.network(images.flip(axes) if axes else images).float()
                probs = probs.flip(axes) if axes else probs
                total = probs if total is None else total + probs
        assert total is not None
        return total if len(self.flips) == 1 else total / len(self.flips)
