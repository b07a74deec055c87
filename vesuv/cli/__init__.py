"""The command line: `vesuv <verb>`, and `python bin/<verb>.py`; one file a verb.

A verb's function reads its arguments, calls the library and prints what came of it. Its docstring
is its help.
"""

import sys
from collections.abc import Sequence

_CTRL_C = 130
"""Exit status of a process that SIGINT ended, as shells count."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Exit status: 0 = done, 2 = the input is wrong, or standard output could not be written,
    75 = saved on a signal, go on with --resume, 143 and 130 = ended by SIGTERM and by Ctrl-C,
    1 = a fault of ours. Where the reader of standard output ends early, as in `| head -1`, or it is
    closed, the verb prints no more, works on to its end and has the status of that.

    Args:
        arguments: Verb and options; those of the process when left out.
    """
    try:
        # Imported here: Ctrl-C while these modules load is no traceback either.
        from vesuv.cli.command_line import call

        call(arguments)
    except KeyboardInterrupt:
        sys.exit(_CTRL_C)
