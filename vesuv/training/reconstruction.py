"""Masked reconstruction: the network learns the masked blocks of images, without labels.

The network is that of the configuration with an output layer of its own, which gives the
intensities of each voxel, and without deep supervision. All other weights have the names and shapes
of the network that segments, so that a run can start from them (`train.pretrained`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vesuv.config import Config
from vesuv.config.data import AugmentConfig
from vesuv.config.model import NetworkConfig
from vesuv.losses.reconstruction import masked_error
from vesuv.models import build_model
from vesuv.runtime.machine import Machine
from vesuv.training.fold_data import FoldData
from vesuv.training.log_lines import reconstruction_summary
from vesuv.training.reconstruction_validation import MEASURE, ReconstructionValidation
from vesuv.training.task import LossWeights, Validation
from vesuv.training.train_state import TrainState
from vesuv.transforms.collate import Batch
from vesuv.transforms.masking import MaskedBatch, block_mask, masked_batch

TERM = "reconstruction"
"""Name of the loss."""
_MASK_STREAM = 7
"""Key of the masks' random stream."""
_SPATIAL = ("flips", "quarter_turns", "rotation", "scaling")


class Reconstruction:
    """The normalised intensities of masked blocks.

    Source:
        He et al. 2022, Masked Autoencoders Are Scalable Vision Learners; Wald et al. 2025,
        Revisiting MAE pre-training for 3D medical image segmentation, for convolutional networks.
    """

    measure = MEASURE

    def __init__(self, config: Config, data: FoldData, machine: Machine) -> None:
        self.config, self.data, self.machine = config, data, machine
        self.places = machine.group.batch_places(config.sampling.batch_size)

    def build_network(self) -> nn.Module:
        return build_model(reconstructing_model(self.config.model))

    def weights(self, _epoch: int) -> LossWeights:
        return {TERM: 1.0}

    def step_weights(self, weights: LossWeights, _global_step: int) -> LossWeights:
        return weights

    def data_lines(self) -> list[str]:
        return []

    def start_line(self, epoch: int) -> str | None:
        section = self.config.pretrain
        if epoch > 0:
            return None
        return (
            f"Reconstruction of masked blocks: {section.mask_share:.0%} of blocks of "
            f"{section.block_size}³ voxels"
        )

    def batch(self, batch: Batch, epoch: int, step: int) -> Batch:
        first = step * self.config.sampling.batch_size
        section, shape = self.config.pretrain, batch.label.shape[1:]
        masks = [
            block_mask(
                shape,
                section.block_size,
                section.mask_share,
                (self.config.runtime.seed % 2**64, _MASK_STREAM, epoch, first + place),
            )
            for place in self.places
        ]
        return masked_batch(batch, torch.stack(masks).to(batch.image.device))

    def loss(
        self, scales: list[Tensor], batch: Batch, weights: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(batch, MaskedBatch)
        error = masked_error(scales[0], batch.target, batch.mask, self.machine.group)
        return weights[TERM] * error, {TERM: error.detach()}

    def validation(self, state: TrainState, check_stop: Callable[[], None]) -> Validation:
        return ReconstructionValidation(self.config, self.data, state, self.machine, check_stop)

    def summary(self, run: Path, best: float | None, best_epoch: int) -> str:
        return reconstruction_summary(self.config, run, best, best_epoch)


def reconstructing_model(config: NetworkConfig) -> NetworkConfig:
    """Return the section of the network whose outputs are the intensities of the input."""
    changes: dict[str, object] = {"out_channels": config.in_channels}
    if "deep_supervision" in type(config).model_fields:
        changes["deep_supervision"] = False
    return config.model_copy(update=changes)


def spatial_augmentation(config: AugmentConfig) -> AugmentConfig:
    """Return the augmentation without changes of intensities, which are what is learnt."""
    effects = [name for name in type(config).model_fields if name not in _SPATIAL]
    changes = {name: getattr(config, name).model_copy(update={"p": 0.0}) for name in effects}
    changes["gamma"] = changes["gamma"].model_copy(update={"p_inverted": 0.0})
    return config.model_copy(update=changes)
