"""Prediction of one volume by each network of an ensemble, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vesuv.config.training import InferenceConfig
from vesuv.data.statistics import CaseStatistics
from vesuv.errors import InputError
from vesuv.inference.image import to_native_byte_order
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.volume import Network, predict_volume
from vesuv.runtime.machine import Machine
from vesuv.transforms.normalize import IntensityMap
from vesuv.types import Array, Progress, Spacing


@dataclass(frozen=True)
class VolumeSettings:
    """Settings that all networks of a prediction share.

    Args:
        machine: Device and precision.
        inference: Windows and views.
        spacing: Voxel edges at which the networks work.
        overlapping_regions: Whether the networks' channels are regions.
        entropy: Return what the uncertainty needs too, see
            `vesuv.inference.volume.predict_windows`.
    """

    machine: Machine
    inference: InferenceConfig
    spacing: Spacing
    overlapping_regions: bool
    entropy: bool


def predict_members(
    networks: Sequence[tuple[TrainedNetwork, Network]],
    image: Array,
    statistics: CaseStatistics,
    settings: VolumeSettings,
    progress: Progress,
) -> Iterator[Tensor]:
    """Yield the prediction (k, z, y, x) of each network at the networks' spacing.

    Args:
        networks: Each network with the function that computes it.
        image: Voxels (c, z, y, x) at that spacing.
        statistics: Their intensities.
        settings: Settings of all networks.
        progress: Called with the numbers of finished and of all windows.

    Raises:
        InputError: A network whose output is not finite.
    """
    source = torch.from_numpy(to_native_byte_order(image))
    intensity: IntensityMap | None = None
    for number, (one, function) in enumerate(networks):
        network_intensity = one.normalizer.for_case(statistics)
        if network_intensity != intensity:
            intensity = network_intensity
            normalised = intensity.apply(source)
        prediction = predict_volume(
            function,
            normalised,
            settings.machine,
            patch_size=one.config.sampling.patch_size,
            inference=settings.inference,
            spacing=settings.spacing,
            overlapping_regions=settings.overlapping_regions,
            entropy=settings.entropy,
            progress=_shared_progress(progress, number, len(networks)),
        )
        if not bool(torch.isfinite(prediction).all()):
            raise InputError(
                f"{one.source}: gives NaN or infinite probabilities; use another checkpoint"
            )
        yield prediction


def _shared_progress(progress: Progress, part: int, parts: int) -> Progress:
    """Return the progress of one network as a part of the progress of all networks."""

    def report(done: int, total: int) -> None:
        progress(part * total + done, parts * total)

    return report
