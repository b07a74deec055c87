"""The page of the command line, from its own help."""

from __future__ import annotations

import re

from cyclopts import App

from vesuv.cli.command_line import make_app

_HEAD = """# Commands

*Look-up: a minute. This page is generated from the command line's own help.*

Each verb exists twice: `vesuv train …` after `pip install`, and `python bin/train.py …` in a clone.
`vesuv <verb> --help` prints the same text. Exit status: 0 done; 2 the input is wrong, one sentence
says how; 75 saved on a signal, go on with `--resume`; 130 and 143 ended by Ctrl-C and SIGTERM;
1 a fault of vesuv.
"""


def commands_page() -> str:
    """Return the page: a heading, the call and the options of each verb."""
    app = make_app()
    verbs = [name for name in app if not name.startswith("-") and "-" not in name]
    return "\n".join([_HEAD, *(_verb(app[name]) for name in verbs)])


def _verb(app: App) -> str:
    """Return the part of one verb, with headings two levels below the page's own."""
    text = app.generate_docs(output_format="markdown", include_hidden=False, heading_level=2)
    text = re.sub(r"^## Table of Contents\n.*?(?=^#|\*\*)", "", text, flags=re.M | re.S)
    text = re.sub(r"^```console\n", "```console\nvesuv ", text, flags=re.M)
    text = re.sub(r"\[(`[a-z]+`)\]\(#[^)]*\)", r"\1", text)
    return _escaped(text)


def _escaped(text: str) -> str:
    """Let Markdown show `<config>` outside of code instead of taking it for markup."""
    parts = re.split(r"(```.*?```|`[^`\n]*`)", text, flags=re.S)
    return "".join(
        part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts)
    )
