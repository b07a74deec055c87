"""SIGTERM and Ctrl-C end a verb as an exception, so that it removes its temporary files."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StoppedBySignal(KeyboardInterrupt):
    """A signal asked the verb to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class SignalRecord:
    """Which signal came; a library may answer its exception with one of its own."""

    number: int | None = None
    """None: no signal came."""

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """Raise `StoppedBySignal`: the handler of the signals."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self.number = number
        raise StoppedBySignal(number)


@contextmanager
def signals_as_exceptions() -> Iterator[SignalRecord]:
    """Raise `StoppedBySignal` in the main thread when SIGTERM or SIGINT comes.

    A second SIGTERM is ignored, because `timeout` sends two; a second Ctrl-C ends the process at
    once. A signal that the caller ignores, as `nohup … &` does, stays ignored.
    """
    record = SignalRecord()
    if threading.current_thread() is not threading.main_thread():
        yield record
        return
    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in previous.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, record.stop)
    try:
        yield record
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
