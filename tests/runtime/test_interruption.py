import os
import signal
import threading

import pytest

from vesuv.errors import Interrupted
from vesuv.runtime.interruption import StopRequest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_for_the_next_check(number: signal.Signals) -> None:
    with StopRequest() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted, match=number.name):
            stop.check()


@pytest.mark.parametrize(
    ("number", "end"),
    [(signal.SIGTERM, "is saved"), (signal.SIGINT, "a second Ctrl-C ends it unsaved")],
)
def test_the_user_is_told_once_what_a_signal_waits_for(number: signal.Signals, end: str) -> None:
    lines: list[str] = []
    heard = threading.Event()

    def say(line: str) -> None:
        lines.append(line)
        heard.set()

    with StopRequest(say=say):
        os.kill(os.getpid(), number)
        assert heard.wait(5)  # while the step still runs
        os.kill(os.getpid(), signal.SIGTERM)

    [line] = lines
    assert line.startswith(f"{number.name}: the current step is finished")
    assert line.endswith(end)


def test_a_second_ctrl_c_does_not_wait() -> None:
    with StopRequest(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_signal_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_do_not_change_signal_handlers() -> None:
    before, handlers = signal.getsignal(signal.SIGTERM), []

    def enter_in_thread() -> None:
        with StopRequest() as stop:
            stop.check()
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter_in_thread)
    thread.start()
    thread.join()

    assert handlers == [before]
