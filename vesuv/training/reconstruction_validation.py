"""Validation of masked reconstruction on fixed tiles with fixed masks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vesuv.config import Config
from vesuv.data.sampling import fixed_tiles
from vesuv.diagnosis import Finding
from vesuv.runtime.machine import Machine
from vesuv.training.fold_data import FoldData
from vesuv.training.reporting import MetricsRow, Reporter
from vesuv.training.train_state import TrainState
from vesuv.training.validation import NUM_PICTURES, TileScores
from vesuv.transforms.collate import Batch
from vesuv.transforms.masking import MaskedBatch, block_mask, masked_batch
from vesuv.transforms.region import read_region

MEASURE = "explained_variance"
"""Share of the variance of the masked voxels that the reconstruction explains: 1 is perfect, 0 is
as good as their mean everywhere."""
_MASK_STREAM = 8
"""Key of the random stream of the tiles' masks."""
_PICTURE_RANGE = (-2.5, 2.5)
"""Normalised intensities that are black and white in pictures."""


class ReconstructionValidation:
    """Validates how well masked blocks are reconstructed.

    Args:
        config: The whole configuration.
        data: The cases; the tiles are read once, here.
        state: The run's weights and averages.
        machine: Device and precision.
        check_stop: Called between tiles; raises Interrupted to end the pass.
    """

    def __init__(
        self,
        config: Config,
        data: FoldData,
        state: TrainState,
        machine: Machine,
        check_stop: Callable[[], None],
    ) -> None:
        self.state, self.machine, self.check_stop = state, machine, check_stop
        self.findings: tuple[Finding, ...] = ()
        section, size = config.validation, config.sampling.patch_size
        tiles = fixed_tiles(data.validation, size, section.tiles, 0.0, section.seed)
        self.tiles: list[MaskedBatch] = []
        for number, tile in enumerate(tiles):
            case = data.validation[tile.case]
            intensity_map = data.normalizer.for_case(case.statistics)
            image, label = read_region(case, tile.corner, size).tensors(intensity_map)
            key = (section.seed % 2**64, _MASK_STREAM, number)
            mask = block_mask(size, config.pretrain.block_size, config.pretrain.mask_share, key)
            batch = Batch(image[None], label[None], (case.id,))
            self.tiles.append(masked_batch(batch, mask[None]))

    def start_monitor(self, _reporter: Reporter) -> None:
        """Do nothing: the diagnosis judges segmentations."""

    def diagnose(
        self, _epoch: int, _scores: TileScores, _weights: dict[str, float], _reporter: Reporter
    ) -> None:
        """Do nothing: the diagnosis judges segmentations."""

    def score(
        self, epoch: int, _weights: dict[str, float], reporter: Reporter
    ) -> tuple[TileScores, MetricsRow]:
        """Score the weights and every average, and write a picture; see `EpochValidation.score`."""
        measure, error, outputs = self._reconstruct(self.state.network)
        reporter.log(
            f"Epoch {epoch} Val - Loss: {error:.4f} (reconstruction: {error:.4f}) "
            f"{MEASURE}: {measure:.4f}"
        )
        row: MetricsRow = {f"val/{MEASURE}": measure, "val/loss_reconstruction": error}
        for name, average in self.state.averages.started_models().items():
            score = self._reconstruct(average)[0]
            row[f"val/{name}_{MEASURE}"] = score
            self.state.save(name, average, measure=score)
        pictures = [_picture(tile, out) for tile, out in zip(self.tiles, outputs, strict=False)]
        reporter.picture(epoch, "reconstruction", torch.cat(pictures))
        return TileScores(measure, {"reconstruction": error}, {}), row

    @torch.no_grad()
    def _reconstruct(self, network: nn.Module) -> tuple[float, float, list[Tensor]]:
        """Return explained variance, mean squared error, and the first reconstructed tiles.

        Every process goes through all tiles, so that all get the same scores.
        """
        was_training = network.training
        network.eval()
        sums, pictures = torch.zeros(4, dtype=torch.float64), []
        for number, tile in enumerate(self.tiles):
            self.check_stop()
            output = self.machine.forward(network, tile.image.to(self.machine.device))
            outputs = output.float().cpu()
            mask = tile.mask.unsqueeze(1).expand_as(tile.target)
            values, errors = tile.target[mask].double(), (outputs - tile.target)[mask].double()
            sums += torch.stack(
                [values.sum(), values.square().sum(), errors.square().sum(), mask.sum()]
            )
            if number < NUM_PICTURES:
                pictures.append(outputs)
        network.train(was_training)
        total, squares, squared_errors, count = sums.tolist()
        error = squared_errors / max(count, 1.0)
        variance = squares / max(count, 1.0) - (total / max(count, 1.0)) ** 2
        return 1.0 - error / max(variance, 1e-12), error, pictures


def _picture(tile: MaskedBatch, outputs: Tensor) -> Tensor:
    """Return input, masked input and reconstruction of the middle slice side by side, in [0, 1].

    The reconstruction shows the input where that is not masked.
    """
    hidden = tile.mask.unsqueeze(1)
    reconstruction = torch.where(hidden, outputs, tile.target)
    low, high = _PICTURE_RANGE
    middle = tile.target.shape[2] // 2
    greys = [
        ((volume[0, 0, middle] - low) / (high - low)).clamp(0.0, 1.0)
        for volume in (tile.target, tile.image, reconstruction)
    ]
    greys[1] = greys[1].masked_fill(tile.mask[0, middle], 0.0)
    return torch.cat(greys, dim=1)
