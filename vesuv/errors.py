"""The exceptions that end a command, and how a message names a command."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave is wrong: the command line prints it without a traceback, status 2.

    The message is one sentence: file or key, the rule, the value found, what to do.
    """


class InputErrors(InputError):  # noqa: N818 - several of them
    """Several independent faults found in one pass, one sentence each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


RESUME = 75
"""Exit status after a signal: saved, start again with --resume (EX_TEMPFAIL of sysexits)."""


class Interrupted(Exception):  # noqa: N818 - nothing is wrong
    """A signal asked training to end; it is saved and can go on: exit status `RESUME`."""


_program = "vesuv {verb}"


def name_program(pattern: str) -> None:
    """Set how messages name a verb of the command line; called by the command line alone.

    Args:
        pattern: Holds "{verb}": "vesuv {verb}", or "python bin/{verb}.py".
    """
    global _program
    _program = pattern


def command(verb: str, *arguments: object) -> str:
    """Return a command as the user would type it, for a message.

    Args:
        verb: train, predict, ...
        arguments: Words behind it.
    """
    return " ".join([_program.format(verb=verb), *map(str, arguments)])
