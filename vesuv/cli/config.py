"""vesuv config: values of a configuration with their origins, differences, meanings, schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

from cyclopts import App, Parameter

from vesuv.cli.console import console
from vesuv.cli.options import Changes
from vesuv.cli.tables import difference_lines, yaml_text
from vesuv.config import load_config
from vesuv.config.differences import config_differences, default_differences, flat_values
from vesuv.config.explain import KeyMeaning, shipped_values
from vesuv.config.explain import explain as meanings_of
from vesuv.config.load import load_with_origins
from vesuv.config.schema import config_schema

config = App(
    name="config",
    help="Show, compare and explain configurations; write their JSON schema.",
    help_format="plaintext",
)
ConfigName = Annotated[str, Parameter(show_default=False)]


@config.command
def show(file: ConfigName, /, *, changes: Changes = ()) -> None:
    """Print every value with the file, --set or default that it is from, as --set takes it.

    Args:
        file: Configuration file (YAML), or the name of a shipped one.
        changes: Changes to the configuration: section.key=value …
    """
    settings, origins = load_with_origins(file, changes)
    rows = [
        (f"{key}={yaml_text(value)}", origins.get(tuple(key.split(".")), "default"))
        for key, value in flat_values(settings).items()
    ]
    _print_columns(rows)


@config.command
def diff(file: ConfigName, other: ConfigName | None = None, /) -> None:
    """Print the keys in which two configurations differ, or one differs from the defaults.

    Args:
        file: Configuration file (YAML), or the name of a shipped one.
        other: Another one (default: the built-in defaults).
    """
    settings = load_config(file)
    if other is None:
        rows = default_differences(settings)
    else:
        rows = config_differences(settings, load_config(other))
    for line in difference_lines(rows):
        console().print(line)


@config.command
def explain(key: str, /) -> None:
    """Print meaning, type, range and default of a key, or the keys of a section.

    Args:
        key: section.key, or a section.
    """
    out = console()
    meanings = meanings_of(key)
    for meaning in meanings:
        for line in _sentences(meaning):
            out.print(line)
    if all(meaning.keys for meaning in meanings):
        _print_columns(
            [(f"  {_title(below)}", below.meaning) for one in meanings for below in one.keys],
            separator="  ",
        )
        return
    for name, value in shipped_values(meanings[0].key).items():
        out.print(f"  {name}: {yaml_text(value)}")


@config.command
def schema() -> None:
    """Print the JSON schema of a configuration file, for editors that complete and check it.

    Save it, and begin a configuration with `# yaml-language-server: $schema=<file>`.
    """
    out = console()
    for line in json.dumps(config_schema(), indent=1, ensure_ascii=False).splitlines():
        out.print(line)


def _sentences(meaning: KeyMeaning) -> Iterator[str]:
    yield f"{_title(meaning)}: {meaning.meaning}"
    if meaning.kind:
        yield f"  {meaning.kind}; {f'default {meaning.default}' if meaning.default else 'required'}"


def _title(meaning: KeyMeaning) -> str:
    return f"{meaning.key} ({meaning.owner})" if meaning.owner else meaning.key


def _print_columns(rows: list[tuple[str, str]], separator: str = "  # ") -> None:
    width = min(max(len(left) for left, _ in rows), 60)
    for left, right in rows:
        console().print(f"{left:<{width}}{separator}{right}")
