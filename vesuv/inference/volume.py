"""Prediction of one volume: sliding windows, views of test-time augmentation, weighted sum.

Windows advance row by row along z. The memory of an accelerator holds the sums of one row only
(patch height × y × x); slices that no later row touches are final and are copied to the host. So
its memory does not grow with the volume's height, and each voxel of the image is copied to it about
1 / (1 - overlap) times. On the host the sums are computed in the result itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vesuv.config.training import Average, InferenceConfig
from vesuv.inference.uncertainty import append_entropy
from vesuv.inference.views import ViewMean, enumerate_views
from vesuv.inference.windows import WindowGrid
from vesuv.models.heads import activate
from vesuv.runtime.machine import Machine
from vesuv.transforms.padding import Fill, centre_in_box
from vesuv.types import Progress, Shape, Spacing, no_progress

Network = Callable[[Tensor], Tensor]
"""Logits (b, k, z, y, x) of a batch of images (b, c, z, y, x)."""


def predict_volume(
    network: Network,
    image: Tensor,
    machine: Machine,
    *,
    patch_size: Shape,
    inference: InferenceConfig,
    spacing: Spacing = (1.0, 1.0, 1.0),
    overlapping_regions: bool = False,
    entropy: bool = False,
    progress: Progress = no_progress,
) -> Tensor:
    """Return the prediction of a whole volume, blended from Gaussian-weighted windows.

    Args:
        network: Network on the machine's device.
        image: Normalised image (c, z, y, x) on the host, of any size; an image smaller than the
            patch is centred in a larger one, see `padding`.
        machine: Device and precision; sums are float32 in any precision.
        patch_size: Edges of a window.
        inference: Overlap, windows in one forward pass, views, and what is averaged.
        spacing: Voxel edges of the image, which decide what axes views may exchange.
        overlapping_regions: Whether the network's channels are regions, see `activate`.
        entropy: Return what the uncertainty needs too, see `predict_windows`.
        progress: Called with the numbers of finished and of all windows.

    Returns:
        Weighted mean of the result of `predict_windows`, (k, z, y, x), float32, on the host.
    """
    device = machine.device
    padded, image_region = centre_in_box(image, patch_size, padding(inference.average))
    depth, height, width = padded.shape[1:]
    grid = WindowGrid.over((depth, height, width), patch_size, inference.overlap, inference.average)
    views = ViewMean(enumerate_views(inference.views, patch_size, spacing), device)
    weights_y, weights_x = grid.y.weights.to(device), grid.x.weights.to(device)
    result, slab, num_done = torch.empty(0), torch.empty(0), 0
    ends = (*grid.z.corners[1:], depth)
    for top, end, weight_z in zip(grid.z.corners, ends, grid.z.weights.to(device), strict=True):
        source = padded[:, top : top + patch_size[0]].to(device)
        for batch in grid.row(inference.batch_size):
            corners = [(grid.y.corners[j], grid.x.corners[i]) for j, i in batch]
            windows = torch.stack([_window(source, at, patch_size) for at in corners])
            channels = predict_windows(
                network,
                windows,
                machine,
                views,
                overlapping_regions,
                entropy=entropy,
                average=inference.average,
            )
            if num_done == 0:
                result = torch.zeros((channels.shape[1], depth, height, width))
                slab = _first_slab(result, patch_size[0], device)
            for window, at, (j, i) in zip(channels, corners, batch, strict=True):
                plane = weights_y[j, :, None] * weights_x[i]
                _window(slab, at, patch_size).addcmul_(window, weight_z[:, None, None] * plane)
            num_done += len(batch)
            progress(num_done, len(grid))
        slab = _next_slab(slab, result, top, end, device)
    return result[(slice(None), *image_region)]


def padding(average: Average) -> Fill:
    """Return what surrounds an image smaller than the patch.

    Repeated voxels of its faces, which look like the image: beside zeros the network sees a border
    of its own. With averages of logits, zeros as in nnU-Net, whose networks are averaged so.
    """
    return 0.0 if average == "logits" else "edge"


def _window(slab: Tensor, corner: tuple[int, int], patch_size: Shape) -> Tensor:
    """Return a view of a window of a slab that is one patch high."""
    y, x = corner
    return slab[:, :, y : y + patch_size[1], x : x + patch_size[2]]


def _first_slab(result: Tensor, height: int, device: torch.device) -> Tensor:
    """Return the sums of the first row: a part of the result, or new memory on the device."""
    slab = result[:, :height]
    return slab if _on_host(device) else torch.zeros_like(slab, device=device)


def _next_slab(slab: Tensor, result: Tensor, top: int, end: int, device: torch.device) -> Tensor:
    """Return the sums of the row at `end`; copy the final slices above it to the host."""
    height, num_final = slab.shape[1], end - top
    if _on_host(device):
        return result[:, end : end + height]
    result[:, top:end].copy_(slab[:, :num_final])
    next_slab = torch.zeros_like(slab)
    next_slab[:, : max(height - num_final, 0)].copy_(slab[:, num_final:])
    return next_slab


def _on_host(device: torch.device) -> bool:
    return device.type == "cpu"


@torch.inference_mode()
def predict_windows(
    network: Network,
    images: Tensor,
    machine: Machine,
    views: ViewMean,
    overlapping_regions: bool,
    *,
    entropy: bool = False,
    average: Average = "probabilities",
) -> Tensor:
    """Return the mean over views of the prediction (b, k, z, y, x) of a batch of windows.

    Its channels are probabilities or logits, which `vesuv.inference.ensemble.mean_prediction`
    turns into probabilities.

    Args:
        network: Network on the machine's device.
        images: Windows (b, c, z, y, x) on the device.
        machine: Device and precision.
        views: Views.
        overlapping_regions: Whether the network's channels are regions.
        entropy: Return the entropy of the probabilities as one more channel, see
            `vesuv.inference.uncertainty.append_entropy`.
        average: logits: return logits in place of probabilities; with `entropy` they come first,
            probabilities and their entropy follow.
    """

    def predict(batch: Tensor) -> Tensor:
        logits = machine.forward(network, batch).float()
        if average == "logits" and not entropy:
            return logits
        probs = activate(logits, overlap=overlapping_regions)
        if entropy:
            probs = append_entropy(probs, overlap=overlapping_regions)
        if average == "logits":
            return torch.cat([logits, probs], dim=1)
        return probs

    return views(predict, images)
