"""SIGTERM and Ctrl-C become a request that training honours when its state is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from vesuv.errors import Interrupted
from vesuv.runtime.distributed import ALONE, Group


class StopRequest:
    """Between `with` and its end, SIGTERM and SIGINT are kept instead of ending the process.

    A second Ctrl-C ends it at once, as if nobody had listened. Of several processes that train
    together all stop when one was asked to.
    """

    def __init__(self, group: Group = ALONE) -> None:
        self.group = group
        self.name: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def check(self) -> None:
        """Call this wherever the run's state is whole, in all processes at the same point.

        Raises:
            Interrupted: A signal came.
        """
        (asked,) = self.group.agree(self.name is not None)
        if asked:
            raise Interrupted(self.name or "a signal to another process")

    def __enter__(self) -> StopRequest:
        """Listen; only the main thread may, in another one nothing changes."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._keep)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _keep(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.name is not None:
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name
