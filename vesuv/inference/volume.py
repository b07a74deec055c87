"""One volume through a network that sees patches: windows, mirrored copies, a weighted sum.

Windows advance row by row along z. An accelerator keeps the sums of one row only (patch height × y
× x); slices that no later row touches are final and leave for the host. Its memory therefore does
not grow with the volume's height, and each voxel of the image goes there about 1 / (1 - overlap)
times. On the host the result itself holds the sums.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vesuv.config.training import InferenceConfig
from vesuv.inference.windows import WindowGrid
from vesuv.models.heads import activate
from vesuv.runtime.machine import Machine
from vesuv.transforms.padding import centre_in_box
from vesuv.types import Progress, Shape, no_progress

Network = Callable[[Tensor], Tensor]
"""Logits (b, k, z, y, x) of a batch of images (b, c, z, y, x)."""

_FLIPS = tuple(
    axes for count in range(4) for axes in itertools.combinations((2, 3, 4), count)
)  # axes of a batch


def predict_volume(
    network: Network,
    image: Tensor,
    machine: Machine,
    *,
    patch_size: Shape,
    inference: InferenceConfig,
    progress: Progress = no_progress,
) -> Tensor:
    """Return the probabilities of a whole volume, blended from Gaussian-weighted windows.

    Args:
        network: Lies on the machine's device.
        image: Normalised image (c, z, y, x) on the host, any size; what is smaller than the patch
            is centred in zeros.
        machine: Where and how to compute; sums are float32 under any precision.
        patch_size: Edges of a window.
        inference: Overlap, windows in one forward pass, and whether to average over flips.
        progress: Called with the windows that are done and all windows.

    Returns:
        Probabilities (k, z, y, x), float32, on the host.
    """
    device = machine.device
    padded, inside = centre_in_box(image, patch_size)
    depth, height, width = padded.shape[1:]
    grid = WindowGrid.over((depth, height, width), patch_size, inference.overlap)
    flips = _FLIPS if inference.mirror else _FLIPS[:1]
    weights_y, weights_x = grid.y.weights.to(device), grid.x.weights.to(device)
    result, slab, done = torch.empty(0), torch.empty(0), 0
    ends = (*grid.z.corners[1:], depth)
    for top, end, weight_z in zip(grid.z.corners, ends, grid.z.weights.to(device), strict=True):
        source = padded[:, top : top + patch_size[0]].to(device)
        for batch in grid.row(inference.batch_size):
            corners = [(grid.y.corners[j], grid.x.corners[i]) for j, i in batch]
            windows = torch.stack([_window(source, at, patch_size) for at in corners])
            probs = _probabilities(network, windows, machine, flips)
            if done == 0:
                result = torch.zeros((probs.shape[1], depth, height, width))
                slab = _first_slab(result, patch_size[0], device)
            for window, at, (j, i) in zip(probs, corners, batch, strict=True):
                plane = weights_y[j, :, None] * weights_x[i]
                _window(slab, at, patch_size).addcmul_(window, weight_z[:, None, None] * plane)
            done += len(batch)
            progress(done, len(grid))
        slab = _next_slab(slab, result, top, end, device)
    return result[(slice(None), *inside)]


def _window(slab: Tensor, corner: tuple[int, int], patch_size: Shape) -> Tensor:
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


@torch.inference_mode()
def _probabilities(
    network: Network, images: Tensor, machine: Machine, flips: Sequence[tuple[int, ...]]
) -> Tensor:
    """Mean over flips of the probabilities of a batch of windows."""
    total: Tensor | None = None
    for axes in flips:
        logits = machine.forward(network, images.flip(axes) if axes else images)
        probs = activate(logits.float())
        probs = probs.flip(axes) if axes else probs
        total = probs if total is None else total + probs
    assert total is not None
    return total if len(flips) == 1 else total / len(flips)
