"""Predictor: the only code that turns volumes into masks.

Whole-volume validation, selection, the command line and notebooks all predict with a `Predictor`,
so the mask that selection scores equals, to the bit, the mask that is written. A volume is
processed as in the preparation of data: storable number type, resampling to the networks' spacing,
statistics, normalisation. The probabilities are resampled to the volume's own grid; threshold and
post-processing work there.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vesuv.config.labels import Targets
from vesuv.config.training import InferenceConfig, Views
from vesuv.data.case import PreparedCase
from vesuv.data.labels import decode
from vesuv.data.resample import resample_probs
from vesuv.data.statistics import case_statistics
from vesuv.errors import InputError, command
from vesuv.inference.chosen_mask import choose_mask, configured_mask_settings
from vesuv.inference.domain_shift import DomainCheck, InputGrid, domain_check
from vesuv.inference.ensemble import check_weights
from vesuv.inference.image import check_spacing, checked_channels
from vesuv.inference.masks import MaskSettings
from vesuv.inference.members import Member
from vesuv.inference.network_ensemble import NetworkEnsemble
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.prediction import Prediction
from vesuv.inference.temperature import calibrate, selected_temperatures
from vesuv.runtime.machine import Machine, resolve
from vesuv.types import Array, ClassArray, Progress, Say, Spacing, no_progress, silent


class Predictor:
    """Networks as a function from an image to probabilities or a mask, on the image's own grid.

    The probabilities of several networks are averaged.

    Args:
        networks: At least one; all have the same channels, classes and `data.spacing`.
        machine: Device of the networks, and precision.
        inference: Windows and views; default: those of the first network.
        mask: Threshold and post-processing; default: `validation.threshold` and
            `inference.postprocess` of the first network's configuration.
        weights: Weight of each network in the mean; None: equal ones.
        temperatures: Temperatures of calibrated probabilities; None: none were chosen.
        domain: Comparison of inputs with the training cases; None: inputs are not compared.
        say: Called with a warning for each way in which an input differs from them.
    """

    def __init__(
        self,
        networks: Sequence[TrainedNetwork],
        machine: Machine,
        inference: InferenceConfig | None = None,
        mask: MaskSettings | None = None,
        *,
        weights: Sequence[float] | None = None,
        temperatures: Sequence[float] | None = None,
        domain: DomainCheck | None = None,
        say: Say = silent,
    ) -> None:
        self.ensemble = NetworkEnsemble(
            tuple(networks),
            machine,
            inference or networks[0].config.inference,
            None if weights is None else tuple(weights),
        )
        self.machine, self.config = machine, self.ensemble.config
        self.mask = mask or configured_mask_settings(self.config)
        self.temperatures = None if temperatures is None else tuple(temperatures)
        self.domain, self.say = domain, say

    @classmethod
    def of_members(
        cls,
        members: Sequence[Member],
        mask: MaskSettings | None = None,
        say: Say = silent,
        *,
        weights: Sequence[float] | None = None,
        temperatures: Sequence[float] | None = None,
    ) -> Predictor:
        """Load the networks of checkpoints.

        Args:
            members: Checkpoints from `vesuv.inference.members`; the first one's settings apply.
            mask: Threshold and post-processing; default: those selected for the members.
            say: Called with a warning for each way in which an input differs from the training
                cases of the first member that records them.
            weights: Weight of each member; default: its own.
            temperatures: Temperatures of calibrated probabilities; default: those selected.

        Raises:
            InputError: The weights are not one positive number for each member.
        """
        if weights is None:
            weights = [one.weight for one in members]
        check_weights(weights, members)
        machine = resolve(members[0].config.runtime)
        networks = [TrainedNetwork.from_checkpoint(m.checkpoint, machine.device) for m in members]
        return cls(
            networks,
            machine,
            members[0].inference,
            mask or choose_mask(members).settings,
            weights=weights if set(weights) != {1.0} else None,
            temperatures=temperatures or selected_temperatures(members),
            domain=domain_check(members, networks),
            say=say,
        )

    def with_views(self, views: Views) -> Predictor:
        """Return a predictor of the same networks that averages other views."""
        predictor = copy(self)
        predictor.ensemble = self.ensemble.with_views(views)
        return predictor

    @property
    def networks(self) -> tuple[TrainedNetwork, ...]:
        return self.ensemble.networks

    @property
    def inference(self) -> InferenceConfig:
        return self.ensemble.inference

    @property
    def weights(self) -> tuple[float, ...] | None:
        return self.ensemble.weights

    @property
    def targets(self) -> Targets:
        """What the networks predict: the foreground classes, or regions."""
        return self.config.labels.targets

    @property
    def num_channels(self) -> int:
        """Number of image channels in training."""
        return self.config.model.in_channels

    def predict(
        self,
        image: Array,
        spacing: Spacing = (1.0, 1.0, 1.0),
        progress: Progress = no_progress,
        *,
        calibrated: bool = False,
    ) -> npt.NDArray[np.float32]:
        """Return the probabilities of an image on its own grid.

        Args:
            image: (z, y, x) or (c, z, y, x), intensities as in the file, any real type.
            spacing: Voxel edges along z, y, x, in the unit of `data.spacing`.
            progress: Called with the numbers of finished and of all windows.
            calibrated: Return calibrated probabilities, see `vesuv.inference.temperature`.
                Thresholds apply to the others.

        Returns:
            (k, z, y, x): one channel of foreground probability, or one for each class or region.

        Raises:
            InputError: Other channels than in training, a spacing of zero, NaN in the image, a
                network whose output is not finite, or no temperature for calibrated probabilities.
        """
        if calibrated:
            self.check_can_calibrate()
        probs = self._predict_and_warn(image, spacing, progress).probs
        return (self.calibrate(probs) if calibrated else probs).numpy()

    def uncertainty(
        self,
        image: Array,
        spacing: Spacing = (1.0, 1.0, 1.0),
        progress: Progress = no_progress,
    ) -> npt.NDArray[np.float32]:
        """Return the disagreement of networks, views and overlapping windows, (z, y, x).

        It is their mutual information in bits at the networks' spacing, resampled to the image's
        own grid; see `vesuv.inference.uncertainty`. Arguments are those of `predict`.

        Raises:
            InputError: There is one network without views, or as for `predict`.
        """
        self.ensemble.check_has_several_predictions()
        uncertainty = self._predict_and_warn(image, spacing, progress, uncertainty=True).uncertainty
        assert uncertainty is not None
        return uncertainty.numpy()

    def predict_on_grid(
        self,
        image: Array,
        grid: InputGrid,
        progress: Progress = no_progress,
        *,
        uncertainty: bool = False,
    ) -> Prediction:
        """Return the probabilities of `predict`, and how the image differs from training.

        Nothing is passed to `say`. The spacing is converted to the unit of training, where both
        units are known.

        Args:
            image: As for `predict`.
            grid: Spacing, unit and direction.
            progress: As for `predict`.
            uncertainty: Return the result of `uncertainty` too; the probabilities are the same.
        """
        check_spacing(grid.spacing)
        channels, spacing = checked_channels(image, self.num_channels), self.spacing_of(grid)
        resampled = self.ensemble.resample(channels, spacing)
        image_statistics = case_statistics(resampled, None)
        mean, bits = self.ensemble.predict(
            resampled, image_statistics, spacing, progress, entropy=uncertainty
        )
        z, y, x = channels.shape[1:]
        if bits is not None:
            bits = resample_probs(bits[None], (z, y, x))[0]
        shifts = []
        if self.domain is not None:
            shifts = self.domain.shifts(grid, image_statistics, channels.dtype)
        probs = resample_probs(mean, (z, y, x))
        num_views = self.ensemble.num_views(spacing)
        return Prediction(probs, shifts, num_views, image_statistics, bits)

    def calibrate(self, probs: Tensor) -> Tensor:
        """Return the calibrated probabilities of the result of `predict`, (k, z, y, x).

        Raises:
            InputError: The selection chose no temperature.
        """
        self.check_can_calibrate()
        assert self.temperatures is not None
        return calibrate(probs, self.temperatures, overlap=self.targets.overlap)

    def check_can_calibrate(self) -> None:
        """Refuse calibrated probabilities where no temperature was chosen.

        Raises:
            InputError: The selection chose no temperature.
        """
        if self.temperatures is None:
            raise InputError(
                f"{self.networks[0].source}: no temperature was selected for calibrated "
                f"probabilities; run {command('validate_distribution')} for each run"
            )

    def segment(
        self,
        image: Array,
        spacing: Spacing = (1.0, 1.0, 1.0),
        progress: Progress = no_progress,
    ) -> Array:
        """Return the mask of an image in label values, on its own grid, (z, y, x).

        Arguments and errors are those of `predict`.
        """
        return self.labels(self._predict_and_warn(image, spacing, progress).probs, spacing)

    def labels(self, probs: Tensor, spacing: Spacing = (1.0, 1.0, 1.0)) -> Array:
        """Return the label values (z, y, x) of probabilities (k, z, y, x)."""
        return decode(self.classes(probs, spacing), self.config.labels)

    def classes(self, probs: Tensor, spacing: Spacing = (1.0, 1.0, 1.0)) -> ClassArray:
        """Return the class indices (z, y, x) of probabilities (k, z, y, x).

        Args:
            probs: Result of `predict`.
            spacing: Voxel edges along z, y, x, in the unit of the training cases.
        """
        return self.mask.classes(probs, spacing)

    def input_grid(self, spacing: Spacing) -> InputGrid:
        """Return the grid of an image whose spacing is in the unit of training."""
        if self.domain is None:
            return InputGrid(spacing)
        return self.domain.grid_in_training_unit(spacing)

    def spacing_of(self, grid: InputGrid) -> Spacing:
        """Return the spacing of an input in the unit of training, where both are known."""
        return grid.spacing if self.domain is None else self.domain.spacing_of(grid)

    def predict_case(self, case: PreparedCase, progress: Progress = no_progress) -> Tensor:
        """Return the result of `predict` for a case's own file, without reading the file again."""
        (probs,) = self.ensemble.predict_case(case, [range(len(self.networks))], progress)
        return probs

    def _predict_and_warn(
        self, image: Array, spacing: Spacing, progress: Progress, *, uncertainty: bool = False
    ) -> Prediction:
        grid = self.input_grid(spacing)
        prediction = self.predict_on_grid(image, grid, progress, uncertainty=uncertainty)
        for shift in prediction.shifts:
            self.say(f"warning: {shift.message}")
        return prediction
