"""Every command's arguments; each reads its input and calls one entry function.

Verbs import what they need when they run: `vesuv --help` answers without loading torch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from vesuv import __version__
from vesuv.errors import InputError, InputErrors

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train, select and explain 3D segmentation of thin, rare, self-touching structures.",
)

_SEVERAL = ("--set", "--fold", "--run", "--checkpoint")
"""Options that take several values after one name, as in --fold 0 1 2 or --set a.b=1 c.d=2."""

ConfigFile = Annotated[Path, typer.Option("--config", help="Configuration file (YAML).")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Changes to the configuration: section.key=value …"),
]
Runs = Annotated[list[Path], typer.Option("--run", help="Run folders, log/<config>/fold_<k> …")]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        Console().print(__version__)
        raise typer.Exit


@app.command()
def prepare(
    config: ConfigFile,
    changes: Changes = None,
    overwrite: Annotated[bool, typer.Option(help="Prepare again from the start.")] = False,
) -> None:
    """Read the raw data, check every case, write the store and its census."""
    from vesuv.commands.prepare import prepare as entry
    from vesuv.config import load_config

    entry(load_config(config, changes or ()), overwrite=overwrite)


@app.command()
def train(
    config: ConfigFile,
    fold: Annotated[list[str], typer.Option("--fold", help="Fold numbers …, or all.")],
    changes: Changes = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run (default log/<config>/fold_<k>).")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from checkpoints/last.pt.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Start again where a run lies already.")] = False,
) -> None:
    """Train one fold or several in sequence."""
    from vesuv.commands.train import train as entry
    from vesuv.config import load_config

    folds = [_fold(text) for text in fold]
    loaded = load_config(config, changes or ())
    entry(loaded, folds, output=output, resume=resume, overwrite=overwrite)


def _fold(text: str) -> int | Literal["all"]:
    if text == "all":
        return "all"
    if not text.isdigit():
        raise InputError(f"--fold: must be a number from 0, or all; found {text!r}")
    return int(text)


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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; 0 = done, 2 = the input is wrong, 1 = a fault of ours."""
    try:
        app(spread(sys.argv[1:] if arguments is None else arguments))
    except InputError as fault:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        for sentence in fault.faults if isinstance(fault, InputErrors) else [str(fault)]:
            console.print(f"error: {sentence}", markup=False)
        sys.exit(2)
