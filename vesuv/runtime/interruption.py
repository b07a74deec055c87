"""SIGTERM and Ctrl-C as a request to stop, which training checks at safe points."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from vesuv.errors import Interrupted
from vesuv.runtime.distributed import SINGLE_PROCESS, Group


class StopRequest:
    """Context in which SIGTERM and SIGINT are recorded and do not end the process.

    A second Ctrl-C ends the process at once. Processes that train together all stop when one of
    them receives a signal.
    """

    def __init__(self, group: Group = SINGLE_PROCESS) -> None:
        self.group = group
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
        self.signal_name = signal.Signals(number).name
