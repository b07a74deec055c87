"""SIGTERM and Ctrl-C as a request to stop, which training checks at safe points."""

from __future__ import annotations

import _thread
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from vesuv.errors import Interrupted
from vesuv.runtime.distributed import SINGLE_PROCESS, Group
from vesuv.types import Say, silent


class StopRequest:
    """Context in which SIGTERM and SIGINT are recorded and do not end the process.

    A second Ctrl-C ends the process at once. Processes that train together all stop when one of
    them receives a signal.

    Args:
        group: These processes.
        say: Called in the main process, in another thread, with a line for the user who waits.
    """

    def __init__(self, group: Group = SINGLE_PROCESS, say: Say = silent) -> None:
        self.group = group
        self.say = say if group.is_main else silent
        self.signal_name: str | None = None
        self._previous_handlers: dict[signal.Signals, Any] = {}

    def check(self) -> None:
        """Raise if a signal came; call it where the state can be saved, in all processes alike.

        Raises:
            Interrupted: A signal came.
        """
        (stop_requested,) = self.group.any_process(self.signal_name is not None)
        if stop_requested:
            raise Interrupted(self.signal_name or "a signal to another process")

    def __enter__(self) -> StopRequest:
        """Install the handlers; Python allows this in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous_handlers[number] = signal.signal(number, self._record)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the previous handlers."""
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def _record(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal_name is not None:
            raise KeyboardInterrupt
        is_first, self.signal_name = self.signal_name is None, signal.Signals(number).name
        if is_first:
            # A print that the signal interrupts holds locks, so that this thread cannot print; and
            # `threading.Thread` takes locks of its own.
            _thread.start_new_thread(self._say_waiting, (self.signal_name,))

    def _say_waiting(self, signal_name: str) -> None:
        second = "; a second Ctrl-C ends it unsaved" if signal_name == "SIGINT" else ""
        with suppress(OSError):
            self.say(f"{signal_name}: the current step is finished, then the run is saved{second}")
