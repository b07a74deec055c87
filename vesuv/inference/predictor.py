"""The one way from a volume to a mask.

Whole-volume validation, selection, the command line and a notebook all predict through a
`Predictor`, so the mask that is judged equals, to the bit, the mask that is written. A volume goes
the way of the prepared data: storable number type, resampling to the networks' spacing, statistics,
normalising. Its probabilities come back on the volume's own grid, where cut and post-processing see
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vesuv.config.training import InferenceConfig
from vesuv.data.case import PreparedCase
from vesuv.data.labels import decode
from vesuv.data.preparation import to_storable_type
from vesuv.data.resample import resample_image, resample_probs
from vesuv.data.statistics import CaseStatistics, case_statistics
from vesuv.errors import InputError
from vesuv.inference.masks import MaskSettings
from vesuv.inference.members import Member, choose_mask, open_members
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.volume import predict_volume
from vesuv.runtime.machine import Machine, resolve
from vesuv.transforms.normalize import IntensityMap
from vesuv.types import Array, ClassArray, Progress, Say, Spacing, no_progress, silent


class Predictor:
    """Networks as a function from an image to probabilities or a mask, on the image's own grid.

    The probabilities of several networks are averaged.

    Args:
        networks: At least one; they agree in channels, classes and `data.spacing`.
        machine: Where they lie and how they compute.
        inference: Windows and mirroring; those of the first network when left out.
        mask: Cut and steps; when left out, `validation.threshold` and `inference.postprocess` of
            the first network's configuration.
    """

    def __init__(
        self,
        networks: Sequence[TrainedNetwork],
        machine: Machine,
        inference: InferenceConfig | None = None,
        mask: MaskSettings | None = None,
    ) -> None:
        self.networks = tuple(networks)
        self.machine = machine
        self.config = networks[0].config
        self.inference = inference or self.config.inference
        self.mask = mask or configured_mask(networks[0])

    @classmethod
    def of_members(cls, members: Sequence[Member], mask: MaskSettings | None = None) -> Predictor:
        """Load the networks of some checkpoints.

        Args:
            members: As `vesuv.inference.members` opens them; the first one's settings count.
            mask: Cut and steps; what the members selected when left out.
        """
        machine = resolve(members[0].config.runtime)
        networks = [TrainedNetwork.from_checkpoint(m.checkpoint, machine.device) for m in members]
        mask = mask or choose_mask(members).settings
        return cls(networks, machine, members[0].inference, mask)

    @property
    def num_channels(self) -> int:
        """Image channels that the networks were trained on."""
        return self.config.model.in_channels

    def predict(
        self,
        image: Array,
        spacing: Spacing = (1.0, 1.0, 1.0),
        progress: Progress = no_progress,
    ) -> npt.NDArray[np.float32]:
        """Return the probabilities of an image on its own grid.

        Args:
            image: (z, y, x) or (c, z, y, x), intensities as in the file, any real type.
            spacing: Voxel edges along z, y, x, in the unit of `data.spacing`.
            progress: Called with the windows that are done and all windows.

        Returns:
            (k, z, y, x): one channel of foreground probability, or one a class.

        Raises:
            InputError: Other channels than trained on, a spacing of zero, NaN in the image, or a
                network that gives values that are not finite.
        """
        return self._of_image(image, spacing, progress).numpy()

    def segment(
        self,
        image: Array,
        spacing: Spacing = (1.0, 1.0, 1.0),
        progress: Progress = no_progress,
    ) -> Array:
        """Return the mask of an image in label values, on its own grid, (z, y, x).

        Arguments and errors are those of `predict`.
        """
        return self.labels(self._of_image(image, spacing, progress))

    def labels(self, probs: Tensor) -> Array:
        """Cut probabilities (k, z, y, x), apply the steps, and return label values (z, y, x)."""
        return decode(self.classes(probs), self.config.labels)

    def classes(self, probs: Tensor) -> ClassArray:
        """Cut probabilities (k, z, y, x), apply the steps, and return class indices (z, y, x)."""
        return self.mask.classes(probs)

    def predict_case(self, case: PreparedCase, progress: Progress = no_progress) -> Tensor:
        """Return what `predict` returns for a case's own file, without reading that again."""
        (probs,) = self.ensemble_probs(case, [range(len(self.networks))], progress)
        return probs

    def ensemble_probs(
        self,
        case: PreparedCase,
        ensembles: Sequence[Sequence[int]],
        progress: Progress = no_progress,
    ) -> list[Tensor]:
        """Return `predict_case` of several ensembles, each network predicting once.

        Args:
            case: A prepared case.
            ensembles: Numbers of the networks in each ensemble, ascending.
            progress: Called with the windows that are done and all windows.
        """
        members = list(self._each(np.asarray(case.image), case.statistics, progress))
        means = (_mean([members[number] for number in ensemble]) for ensemble in ensembles)
        return [resample_probs(mean, case.native_shape) for mean in means]

    def _of_image(self, image: Array, spacing: Spacing, progress: Progress) -> Tensor:
        image = np.asarray(image)
        if image.ndim not in (3, 4) or image.size == 0 or image.dtype.kind not in "biuf":
            raise InputError(
                "an image holds real numbers, (z, y, x) or (c, z, y, x), found "
                f"{image.dtype} {image.shape}; give one volume"
            )
        channels = to_storable_type(image if image.ndim == 4 else image[np.newaxis])
        if len(channels) != self.num_channels:
            raise InputError(
                f"the networks were trained on {self.num_channels} channels, found "
                f"{len(channels)}; give the channels of training"
            )
        resampled = self._resampled(channels, spacing)
        statistics = case_statistics(resampled, None)
        mean = _mean(self._each(resampled, statistics, progress))
        z, y, x = channels.shape[1:]
        return resample_probs(mean, (z, y, x))

    def _resampled(self, channels: Array, spacing: Spacing) -> Array:
        target = self.config.data.spacing
        if target is None:
            return channels
        if len(spacing) != 3 or not all(0.0 < edge < math.inf for edge in spacing):
            raise InputError(
                f"a spacing is 3 finite voxel edges above 0, found {spacing}; correct it"
            )
        return resample_image(channels, spacing, target)

    def _each(
        self, image: Array, statistics: CaseStatistics, progress: Progress
    ) -> Iterator[Tensor]:
        """Yield each network's probabilities (k, z, y, x) of an image at the networks' spacing."""
        source = torch.from_numpy(_native(image))
        intensity: IntensityMap | None = None
        for number, one in enumerate(self.networks):
            needed = one.normalizer.for_case(statistics)
            if needed != intensity:
                intensity, mapped = needed, needed.apply(source)
            probs = predict_volume(
                one.network,
                mapped,
                self.machine,
                patch_size=one.config.sampling.patch_size,
                inference=self.inference,
                progress=_share(progress, number, len(self.networks)),
            )
            if not bool(torch.isfinite(probs).all()):
                raise InputError(
                    f"{one.source}: gives NaN or infinite probabilities; use another checkpoint"
                )
            yield probs


def load(
    runs: str | Path | Sequence[str | Path],
    *,
    checkpoint: str | None = None,
    changes: Sequence[str] = (),
    say: Say = silent,
) -> Predictor:
    """Load one run, or several whose probabilities are averaged.

    Args:
        runs: Run folders.
        checkpoint: Name of the checkpoint; the selected one when left out, else the best.
        changes: `section.key=value` of the sections inference and runtime.
        say: Called with a sentence where the precision is not the one that was judged.

    Raises:
        InputError: Runs that cannot be used, or cannot be averaged.
    """
    paths = [runs] if isinstance(runs, (str, Path)) else runs
    members = open_members([Path(path) for path in paths], checkpoint, changes)
    if members[0].precision_note is not None:
        say(members[0].precision_note)
    return Predictor.of_members(members)


def configured_mask(network: TrainedNetwork) -> MaskSettings:
    """Return what a configuration says of cut and steps, where nothing was selected."""
    config = network.config
    threshold = config.validation.threshold if config.model.out_channels == 1 else None
    return MaskSettings(threshold, config.inference.postprocess)


def _mean(members: Iterable[Tensor]) -> Tensor:
    """Mean of tensors, added up in their order."""
    first, *others = members
    if not others:
        return first
    total = first.clone()
    for one in others:
        total += one
    return total.div_(len(others) + 1)


def _native(image: Array) -> Array:
    """Contiguous voxels in the machine's byte order, which tensors need; copied only if not so."""
    order = image.dtype.newbyteorder("=")
    return image.astype(order, order="C", copy=not image.flags.writeable)


def _share(progress: Progress, part: int, parts: int) -> Progress:
    """Count the windows of several networks as one job."""

    def counted(done: int, total: int) -> None:
        progress(part * total + done, parts * total)

    return counted
