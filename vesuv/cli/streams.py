"""Standard output and standard error that end no work when they cannot be written."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class QuietStream:
    """A text stream that drops everything from its first failed write on.

    Its reader may have ended (`| head -1`), or the disk that it writes to may be full: neither may
    cost the hours that a verb has worked.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.fault: OSError | None = None
        """Why nothing is written any more."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text; characters that the stream's encoding lacks become escapes."""
        if self.fault is None:
            try:
                self._stream.write(text)
            except UnicodeEncodeError as fault:
                self.write(text.encode(fault.encoding, "backslashreplace").decode(fault.encoding))
            except OSError as fault:
                self._end(fault)
        return len(text)

    def flush(self) -> None:
        if self.fault is None:
            try:
                self._stream.flush()
            except OSError as fault:
                self._end(fault)

    def _end(self, fault: OSError) -> None:
        self.fault = fault
        # What the stream still buffers must not fail again when Python ends and flushes it.
        with suppress(OSError), open(os.devnull, "wb") as nothing:  # noqa: PTH123 - no Path
            os.dup2(nothing.fileno(), self._stream.fileno())


@contextmanager
def quiet_streams() -> Iterator[QuietStream]:
    """Replace standard output and error by quiet ones; yield standard output."""
    _open_closed_descriptors()
    previous = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nothing:  # noqa: PTH123 - no Path
        output, errors = (QuietStream(stream or nothing) for stream in previous)
        sys.stdout, sys.stderr = cast("TextIO", output), cast("TextIO", errors)
        try:
            yield output
        finally:
            sys.stdout, sys.stderr = previous


def output_fault() -> OSError | None:
    """Return why standard output is not written any more; None: it is."""
    return sys.stdout.fault if isinstance(sys.stdout, QuietStream) else None


def _open_closed_descriptors() -> None:
    """Open the null device where the caller has closed standard input, output or error.

    A data file would get the free number otherwise, and a library's message would land in it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest free number
