"""What ends a run early so that it can be resumed: a time limit, a pause, or a signal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vesuv.errors import Interrupted
from vesuv.runs.writer import Position
from vesuv.runtime.distributed import Group
from vesuv.training.reporting import Reporter


class TimeLimit:
    """Limit of the time of one call, which starts with this object.

    Args:
        minutes: `runtime.max_minutes`; None: no limit.
        group: Processes of the run, which all stop when the clock of one reaches the limit.
        pause_seconds: Pause after the first epoch that ends later than this; None: never.
    """

    def __init__(
        self, minutes: float | None, group: Group, pause_seconds: float | None = None
    ) -> None:
        self.group = group
        self.is_paused = False
        self._reason = f"Stopped after runtime.max_minutes={minutes}; --resume goes on"
        self._end = time.monotonic() + 60 * (minutes or float("inf"))
        self._pause = time.monotonic() + (float("inf") if pause_seconds is None else pause_seconds)

    @property
    def seconds_left(self) -> float:
        return self._end - time.monotonic()

    def is_reached(self) -> bool:
        """Return whether the run ends here; all processes call it alike."""
        return self.group.any_process(self.seconds_left < 0)[0]

    def reason_if_reached(self) -> str | None:
        """Return why the run ends here, or None; all processes call it alike."""
        return self._reason if self.is_reached() else None

    def pause_reason(self) -> str | None:
        """Begin the pause if it is due, and return why; call it between two epochs."""
        self.is_paused = self.group.any_process(time.monotonic() > self._pause)[0]
        return "Paused to set the length of the run by the time so far" if self.is_paused else None


@contextmanager
def save_on_interrupt(reporter: Reporter, save: Callable[[], Position]) -> Iterator[None]:
    """Save and report a run that a signal stops.

    Args:
        reporter: Writes the event.
        save: Saves the run; returns its epoch, and the number of finished steps.

    Raises:
        Interrupted: A signal came; the message names the run, and says how to go on.
    """
    try:
        yield
    except Interrupted as signal:
        epoch, step = save()
        reason = f"Stopped by {signal} and saved at step {step}; --resume goes on"
        reporter.event((epoch, step), "stop", reason)
        reporter.page()
        raise Interrupted(f"{reporter.run.path}: epoch {epoch}: {reason}") from None
