"""Speed of training steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StepClock:
    """Time of the steps of an epoch, and how long they wait for their patches.

    Args:
        batch_size: Patches of one step.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.num_patches = 0
        self._start = time.monotonic()
        self._wait_seconds = 0.0

    @property
    def seconds(self) -> float:
        return max(time.monotonic() - self._start, 1e-9)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time within as waiting."""
        start = time.monotonic()
        yield
        self._wait_seconds += time.monotonic() - start

    def count_step(self) -> float:
        """Count a finished step; return the patches a second of all so far."""
        self.num_patches += self.batch_size
        return self.num_patches / self.seconds

    def row(self) -> dict[str, float]:
        """Return the columns of metrics.csv."""
        seconds = self.seconds
        return {
            "seconds": seconds,
            "patches_per_second": self.num_patches / seconds,
            "loader_wait_share": self._wait_seconds / seconds,
        }
