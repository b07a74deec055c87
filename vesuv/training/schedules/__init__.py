"""Learning-rate schedules by `scheduler.name`, one per file."""

from __future__ import annotations

from vesuv.config.training import SchedulerConfig
from vesuv.training.schedules.cosine import CosineSchedule
from vesuv.training.schedules.plateau import PlateauSchedule
from vesuv.training.schedules.poly import PolySchedule

SCHEDULES: dict[str, type[SchedulerConfig]] = {
    "plateau": PlateauSchedule,
    "cosine": CosineSchedule,
    "poly": PolySchedule,
}
"""Name in the configuration -> schedule."""
