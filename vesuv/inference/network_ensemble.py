"""Networks whose predictions of a volume are averaged, at the spacing at which they work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vesuv.config import Config
from vesuv.config.training import InferenceConfig, Views
from vesuv.data.case import PreparedCase
from vesuv.data.resample import resample_image, resample_probs
from vesuv.data.statistics import CaseStatistics
from vesuv.errors import InputError
from vesuv.inference.case_memory import check_whole_case
from vesuv.inference.compilation import compiled
from vesuv.inference.ensemble import mean_prediction
from vesuv.inference.image import to_native_byte_order
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.views import enumerate_views
from vesuv.inference.volume import Network, predict_volume
from vesuv.runtime.machine import Machine
from vesuv.transforms.normalize import IntensityMap
from vesuv.types import Array, Progress, Spacing, no_progress


@dataclass(frozen=True)
class NetworkEnsemble:
    """Networks and how they predict; one is computed after the other.

    Args:
        networks: At least one; all have the same channels, classes and `data.spacing`.
        machine: Device of the networks, and precision.
        inference: Windows, views, and what is averaged.
        weights: Weight of each network in the mean; None: equal ones.
    """

    networks: tuple[TrainedNetwork, ...]
    machine: Machine
    inference: InferenceConfig
    weights: tuple[float, ...] | None = None

    @property
    def config(self) -> Config:
        return self.networks[0].config

    def with_views(self, views: Views) -> NetworkEnsemble:
        """Return the same networks, which average other views."""
        return replace(self, inference=self.inference.model_copy(update={"views": views}))

    def resample(self, image: Array, spacing: Spacing) -> Array:
        """Return an image (c, z, y, x) at the networks' spacing."""
        target = self.config.data.spacing
        return image if target is None else resample_image(image, spacing, target)

    def num_views(self, spacing: Spacing) -> tuple[int, ...]:
        """Return the number of views of each network, for an image of this spacing."""
        spacing = self.config.data.spacing or spacing
        return tuple(
            len(
                enumerate_views(
                    self.inference.views, one.config.window_size(self.inference), spacing
                )
            )
            for one in self.networks
        )

    @property
    def has_several_predictions(self) -> bool:
        """Whether several networks or views predict each voxel."""
        return len(self.networks) > 1 or self.inference.views != "none"

    def check_has_several_predictions(self) -> None:
        """Refuse the uncertainty of one network without views.

        Raises:
            InputError: There is nothing whose disagreement could be measured.
        """
        if not self.has_several_predictions:
            raise InputError(
                "uncertainty: is the disagreement of several networks or views, found one network "
                "with inference.views=none; set it to mirror, or name several runs"
            )

    def predict(
        self,
        image: Array,
        statistics: CaseStatistics,
        spacing: Spacing,
        progress: Progress = no_progress,
        *,
        entropy: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the probabilities (k, z, y, x) of an image and, with `entropy`, its uncertainty.

        Args:
            image: Result of `resample`.
            statistics: Its intensities.
            spacing: Voxel edges of the image before `resample`, in the unit of training.
            progress: Called with the numbers of finished and of all windows.
            entropy: Return the uncertainty in bits (z, y, x) too.

        Raises:
            InputError: A network's output is not finite.
        """
        members = self._members(image, statistics, spacing, progress, entropy=entropy)
        return self._mean(members, self.weights, entropy=entropy)

    def predict_case(
        self,
        case: PreparedCase,
        subsets: Sequence[Sequence[int]],
        progress: Progress = no_progress,
    ) -> list[Tensor]:
        """Return the probabilities of subsets of the networks on the grid of a case's own file.

        Args:
            case: A prepared case.
            subsets: Indices of the networks in each subset, ascending.
            progress: Called with the numbers of finished and of all windows.

        Raises:
            InputError: The case takes too much memory as a whole.
        """
        check_whole_case(case, self.config.model.out_channels, len(self.networks))
        image, spacing = np.asarray(case.image), case.native_spacing
        members = list(self._members(image, case.statistics, spacing, progress))
        is_overwritten = self.inference.average == "logits"
        probs = []
        for subset in subsets:
            own = (members[i].clone() if is_overwritten else members[i] for i in subset)
            mean, _ = self._mean(own, self.weights and [self.weights[i] for i in subset])
            probs.append(resample_probs(mean, case.native_shape))
        return probs

    def _mean(
        self, members: Iterable[Tensor], weights: Sequence[float] | None, *, entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        return mean_prediction(
            members,
            weights,
            average=self.inference.average,
            overlap=self.config.labels.targets.overlap,
            entropy=entropy,
        )

    def _members(
        self,
        image: Array,
        statistics: CaseStatistics,
        spacing: Spacing,
        progress: Progress,
        *,
        entropy: bool = False,
    ) -> Iterator[Tensor]:
        """Yield the prediction of each network, see `predict_windows`."""
        source = torch.from_numpy(to_native_byte_order(image))
        intensity: IntensityMap | None = None
        for number, (one, function) in enumerate(self._functions):
            network_intensity = one.normalizer.for_case(statistics)
            if network_intensity != intensity:
                intensity = network_intensity
                normalised = intensity.apply(source)
            prediction = predict_volume(
                function,
                normalised,
                self.machine,
                patch_size=one.config.window_size(self.inference),
                inference=self.inference,
                spacing=self.config.data.spacing or spacing,
                overlapping_regions=self.config.labels.targets.overlap,
                entropy=entropy,
                progress=_shared_progress(progress, number, len(self.networks)),
            )
            if not bool(torch.isfinite(prediction).all()):
                raise InputError(
                    f"{one.source}: gives NaN or infinite probabilities; use another checkpoint"
                )
            yield prediction

    @cached_property
    def _functions(self) -> list[tuple[TrainedNetwork, Network]]:
        """The networks with the functions that compute them."""
        is_compiled = self.inference.compile == "on"
        return [(one, compiled(one.network) if is_compiled else one.network)
                for one in self.networks]  # fmt: skip


def _shared_progress(progress: Progress, part: int, parts: int) -> Progress:
    """Return the progress of one network as a part of the progress of all networks."""

    def report(done: int, total: int) -> None:
        progress(part * total + done, parts * total)

    return report
