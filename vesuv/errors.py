"""The one exception a user meets."""


class InputError(ValueError):
    """Something the user gave is wrong: the command line prints it without a traceback, status 2.

    The message is one sentence: file or key, the rule, the value found, what to do.
    """


class InputErrors(InputError):  # noqa: N818 - several of them
    """Several independent faults found in one pass, one sentence each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


RESUME = 75
"""Exit status after a signal: saved, start again with --resume (EX_TEMPFAIL of sysexits)."""


class Interrupted(Exception):  # noqa: N818 - nothing is wrong
    """A signal asked training to end; it is saved and can go on: exit status `RESUME`."""
