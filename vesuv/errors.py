"""Exceptions that end a command, and names of commands in messages."""

from __future__ import annotations

import re
import shlex

_NEEDS_QUOTES = re.compile(r"[^\w@%+=:,./…-]")
"""A character that a shell may read as more than itself; letters of every script may stand."""


class InputError(ValueError):
    """Invalid input of the user; the command line prints it without a traceback, exit status 2.

    The message is one sentence: file or key, rule, value found, remedy.
    """


class InputErrors(InputError):  # noqa: N818 - several of them
    """Several independent faults, with one sentence for each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


RESUME = 75
"""Exit status of interrupted training that --resume continues (EX_TEMPFAIL of sysexits)."""


class Interrupted(Exception):  # noqa: N818 - nothing is wrong
    """A signal ended training, which is saved and can be resumed; exit status `RESUME`."""


_program = "vesuv {verb}"


def name_program(pattern: str) -> None:
    """Set the name of commands in messages; only the command line calls this.

    Args:
        pattern: "vesuv {verb}" or "python bin/{verb}.py".
    """
    global _program
    _program = pattern


def command(verb: str, *arguments: object) -> str:
    """Return a command as the user types it, for a message; quoted where the shell needs it.

    Args:
        verb: train, predict, ...
        arguments: Arguments of the command.
    """
    words = (str(one) for one in arguments)
    quoted = (shlex.quote(word) if _NEEDS_QUOTES.search(word) else word for word in words)
    return " ".join([_program.format(verb=verb), *quoted])
