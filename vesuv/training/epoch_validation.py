"""What is judged after an epoch: the tiles, the averages, whole volumes, and what is amiss."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from vesuv.config import Config
from vesuv.diagnosis import Finding
from vesuv.losses.compound import Compound
from vesuv.runtime.machine import Machine
from vesuv.training.fold_data import FoldData
from vesuv.training.full_volumes import score_volumes
from vesuv.training.lines import validation_line
from vesuv.training.monitor import RunMonitor
from vesuv.training.reporting import Reporter, Row
from vesuv.training.slices import pictured, pictures
from vesuv.training.train_state import TrainState
from vesuv.training.validation import TileScores, ValidationTiles


class EpochValidation:
    """Judges a run's weights; changes nothing that training goes on with.

    Args:
        config: The whole configuration.
        data: The fold's cases; the validation tiles are read once, here, and kept.
        state: The run's weights and averages.
        compound: The losses.
        machine: Where to compute.
        check: May end a validation on the way.
    """

    def __init__(
        self,
        config: Config,
        data: FoldData,
        state: TrainState,
        compound: Compound,
        machine: Machine,
        check: Callable[[], None],
    ) -> None:
        self.config, self.data, self.state = config, data, state
        self.compound, self.machine, self.check = compound, machine, check
        self.monitor: RunMonitor | None = None
        self.findings: tuple[Finding, ...] = ()
        self.tiles = ValidationTiles(
            data.validation,
            [data.normalizer.for_case(case.statistics) for case in data.validation],
            config.validation,
            config.sampling.patch_size,
            config.labels.num_classes,
        )

    def watch(self, reporter: Reporter) -> None:
        """Look for findings from now on, in the process that writes."""
        if reporter.writer is not None and self.config.diagnosis.enabled:
            self.monitor = RunMonitor(
                self.config, self.data, self.tiles, self.machine, reporter.writer
            )

    def score(
        self, epoch: int, weights: dict[str, float], reporter: Reporter
    ) -> tuple[TileScores, Row]:
        """Score the weights and every average, and write pictures.

        Args:
            epoch: The epoch that ended.
            weights: Weight of each loss term in it.
            reporter: Hears and writes.

        Returns:
            The weights' scores, and the epoch's columns of metrics.csv.
        """
        network, measure = self.state.network, self.config.validation.measure
        scored = self.tiles.score(
            network, self.machine, self.compound, observe=True, check=self.check
        )
        reporter.say(validation_line(epoch, scored, weights, measure))
        row: Row = {f"val/{name}": value for name, value in scored.overlap.as_dict().items()}
        row |= {f"val/loss_{name}": value for name, value in scored.components.items()}
        row |= self._averages()
        row |= self._full_volumes(epoch, network, reporter)
        self._draw(epoch, scored, reporter)
        return scored, row

    def diagnose(
        self, epoch: int, scored: TileScores, weights: dict[str, float], reporter: Reporter
    ) -> None:
        """Look for what may be wrong with the run; call it after the epoch's row is written."""
        if self.monitor is None:
            return
        with reporter.aside("Diagnosis"):
            self.findings = self.monitor.observe(
                epoch, scored.tiles, self.state.network, self.compound, weights
            )
            reporter.findings(epoch, self.findings)

    def _averages(self) -> Row:
        row: Row = {}
        for name, average in self.state.averages.started().items():
            judged = self.tiles.score(average, self.machine, check=self.check)
            row[f"val/{name}_{self.config.validation.measure}"] = judged.measure
            self.state.save(name, average, measure=judged.measure)
        return row

    def _full_volumes(self, epoch: int, network: nn.Module, reporter: Reporter) -> Row:
        every = self.config.validation.full_every
        if not every or (epoch + 1) % every:
            return {}
        overlap = score_volumes(network, self.data, self.config, self.machine, self.check)
        reporter.say(f"Epoch {epoch} Full volumes - Dice: {overlap.dice:.4f}")
        return {"val/full_dice": overlap.dice}

    def _draw(self, epoch: int, scored: TileScores, reporter: Reporter) -> None:
        places = [
            (tile.case, self.tiles.slices[tile.place])
            for tile in pictured(self.tiles, scored.tiles)
        ]
        shown = pictures(self.tiles, scored.tiles)
        reporter.slices(epoch, shown, places, self.config.validation.threshold)
