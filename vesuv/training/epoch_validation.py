"""Validation after an epoch: tiles, averaged weights, whole volumes and diagnosis."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from vesuv.config import Config
from vesuv.diagnosis import Finding
from vesuv.evaluation.class_scores import Row
from vesuv.evaluation.measure import split_column
from vesuv.io.printable import printable
from vesuv.losses.compound import Compound
from vesuv.runtime.machine import Machine
from vesuv.training.fold_data import FoldData
from vesuv.training.full_volumes import score_volumes
from vesuv.training.log_lines import validation_lines, volume_lines
from vesuv.training.monitor import RunMonitor
from vesuv.training.reporting import MetricsRow, Reporter
from vesuv.training.slices import tile_pictures, tiles_with_picture
from vesuv.training.train_state import TrainState
from vesuv.training.validation import TileScores, ValidationTiles


class EpochValidation:
    """Validates a run's weights without effect on its training.

    Args:
        config: The whole configuration.
        data: The fold's cases; the validation tiles are read once, here.
        state: The run's weights and averages.
        compound: The losses.
        machine: Device and precision.
        check_stop: Called during validation; raises Interrupted to end it.
    """

    def __init__(
        self,
        config: Config,
        data: FoldData,
        state: TrainState,
        compound: Compound,
        machine: Machine,
        check_stop: Callable[[], None],
    ) -> None:
        self.config, self.data, self.state = config, data, state
        self.compound, self.machine, self.check_stop = compound, machine, check_stop
        self.monitor: RunMonitor | None = None
        self.findings: tuple[Finding, ...] = ()
        self.tiles = ValidationTiles(
            data.validation,
            [data.normalizer.for_case(case.statistics) for case in data.validation],
            config.validation,
            config.sampling.patch_size,
            config.labels.targets,
        )

    def start_monitor(self, reporter: Reporter) -> None:
        """Start the diagnosis, in the main process only."""
        if reporter.writer is not None and self.config.diagnosis.enabled:
            self.monitor = RunMonitor(
                self.config, self.data, self.tiles, self.machine, reporter.writer
            )

    def score(
        self, epoch: int, weights: dict[str, float], reporter: Reporter
    ) -> tuple[TileScores, MetricsRow]:
        """Score the weights and every average, and write pictures.

        Args:
            epoch: The finished epoch.
            weights: Weight of each loss term in it.
            reporter: Writes log lines and pictures.

        Returns:
            The weights' scores, and the epoch's columns of metrics.csv.
        """
        network, targets = self.state.network, self.config.labels.targets
        measure = self.config.validation.measure
        scores = self.tiles.score(
            network, self.machine, self.compound, observe=True, check_stop=self.check_stop
        )
        for line in validation_lines(epoch, scores, weights, measure, targets):
            reporter.log(line)
        row = _columns("val/", scores.overlap)
        row |= {f"val/loss_{name}": value for name, value in scores.components.items()}
        row |= self._score_averages()
        row |= self._score_full_volumes(epoch, network, reporter)
        self._write_slices(epoch, scores, reporter)
        return scores, row

    def diagnose(
        self, epoch: int, scores: TileScores, weights: dict[str, float], reporter: Reporter
    ) -> None:
        """Update the findings; call it after the epoch's row is written."""
        if self.monitor is None:
            return
        with reporter.log_errors("Diagnosis"):
            self.findings = self.monitor.observe(
                epoch, scores.tiles, self.state.network, self.compound, weights
            )
            reporter.findings(epoch, self.findings)

    def _score_averages(self) -> MetricsRow:
        row: MetricsRow = {}
        for name, average in self.state.averages.started_models().items():
            scores = self.tiles.score(average, self.machine, check_stop=self.check_stop)
            row[f"val/{name}_{self.config.validation.measure}"] = scores.measure
            self.state.save(name, average, measure=scores.measure)
        return row

    def _score_full_volumes(self, epoch: int, network: nn.Module, reporter: Reporter) -> MetricsRow:
        every = self.config.validation.full_every
        if not every or (epoch + 1) % every:
            return {}
        overlap = score_volumes(network, self.data, self.config, self.machine, self.check_stop)
        for line in volume_lines(epoch, overlap, self.config.labels.targets):
            reporter.log(line)
        by_class = {name: value for name, value in overlap.items() if split_column(name)[1]}
        return {"val/full_dice": overlap["dice"], **_columns("val/full_", by_class)}

    def _write_slices(self, epoch: int, scores: TileScores, reporter: Reporter) -> None:
        slice_numbers = [
            (tile.case, self.tiles.middle_slices[tile.index])
            for tile in tiles_with_picture(self.tiles, scores.tiles)
        ]
        pictures = tile_pictures(self.tiles, scores.tiles)
        labels, threshold = self.config.labels, self.config.validation.threshold
        class_names = labels.names if labels.num_classes > 2 else ()
        reporter.slices(epoch, pictures, slice_numbers, threshold, class_names)


def _columns(prefix: str, scores: Row) -> MetricsRow:
    """Name scores as metrics.csv does; a class that is not there has empty cells."""
    return {
        printable(f"{prefix}{name}"): None if math.isnan(value) else value
        for name, value in scores.items()
    }
