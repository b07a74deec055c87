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
