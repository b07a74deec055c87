"""Options that take several values after one name, which typer does not know."""

from __future__ import annotations

_SEVERAL = ("--set", "--fold", "--run", "--checkpoint", "--predictions", "--measures")
"""Options that take several values after one name, as in --fold 0 1 2 or --set a.b=1 c.d=2."""


def spread(arguments: list[str]) -> list[str]:
    """Repeat the name of an option that takes several values before each of them."""
    spread_out: list[str] = []
    name: str | None = None
    for index, argument in enumerate(arguments):
        if argument.startswith("--"):
            name = argument if argument in _SEVERAL else None
            follows = index + 1 < len(arguments) and not arguments[index + 1].startswith("--")
            if name is None or not follows:
                spread_out.append(argument)
        elif name is not None:
            spread_out += [name, argument]
        else:
            spread_out.append(argument)
    return spread_out
