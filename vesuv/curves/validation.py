"""Validation of a detector on whole logs, and the line of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vesuv.curves.config import CurvesConfig
from vesuv.curves.detector import Detector
from vesuv.curves.logs import ImageLog
from vesuv.curves.picking import pick_log
from vesuv.curves.pictures import write_example
from vesuv.curves.scores import TOLERANCES, LogPicks, best_threshold, score
from vesuv.runtime.machine import Machine
from vesuv.training.reporting import MetricsRow

MEASURE = f"best_f1@{TOLERANCES[-1]:g}"
"""Score of the best checkpoint: F1 at the best threshold."""
_LOWEST = 0.05
"""Probability of the weakest picks that are scored."""


@dataclass(frozen=True)
class FoldLogs:
    """Logs of a fold."""

    train: tuple[ImageLog, ...]
    validation: tuple[ImageLog, ...]


@dataclass(frozen=True)
class LogValidation:
    """Scores of whole logs of validation wells, and of as many rows of training wells.

    Args:
        config: The whole configuration.
        logs: The fold's logs.
        machine: Device and precision.
        run: Folder that the example is drawn into.
        check: Called before each log; it may raise to end the run.
    """

    config: CurvesConfig
    logs: FoldLogs
    machine: Machine
    run: Path
    check: Callable[[], None]

    def __call__(self, detector: Detector) -> MetricsRow:
        """Return the columns of metrics.csv; write the example."""
        detector.eval()
        threshold = self.config.picking.threshold
        held_out = self._judged(detector, self.logs.validation)
        above = [log.above(threshold) for log in held_out]
        write_example(self.run, self.logs.validation, above)
        num_rows = sum(log.num_rows for log in self.logs.validation)
        seen = self._judged(detector, first_rows(self.logs.train, num_rows))
        detector.train()
        scores = score(above, self.config.strips.rows)
        best = best_threshold(held_out, TOLERANCES[-1])
        return {
            **{f"val/{name}": value for name, value in scores.items()},
            "val/best_threshold": best[0],
            f"val/{MEASURE}": best[1],
            f"train/{MEASURE}": best_threshold(seen, TOLERANCES[-1])[1],
        }

    def _judged(self, detector: Detector, logs: Sequence[ImageLog]) -> list[LogPicks]:
        strips, picking = self.config.strips, self.config.picking
        judged = []
        for log in logs:
            self.check()
            picks = pick_log(detector, log, strips, picking, self.machine, lowest=_LOWEST)
            judged.append(LogPicks(log.id, log.num_rows, picks, log.picks))
        return judged


def epoch_text(row: MetricsRow) -> str:
    """Return an epoch's numbers in a line."""
    text = f"Train - Loss: {row['train/loss']:.4f}"
    if "val/f1@1" in row:
        names = {"f1@1": "F1 ±1", "f1@2": "F1 ±2", "false_per_strip": "false picks a strip"}
        scores = [f"{words} {row[f'val/{name}']:.3f}" for name, words in names.items()]
        best = f"best F1 ±2 {row[f'val/{MEASURE}']:.3f} at {row['val/best_threshold']:.2f}"
        text += f"; Val - {', '.join([*scores, best])}"
    return text


def first_rows(logs: Sequence[ImageLog], num_rows: int) -> tuple[ImageLog, ...]:
    """Return the first rows of logs, about `num_rows` in all."""
    share = max(1, num_rows // max(len(logs), 1))
    return tuple(
        replace(
            log,
            image=log.image[:share],
            picks=tuple(pick for pick in log.picks if pick.row <= share - 1),
        )
        for log in logs
    )
