"""The page of all keys of a configuration, from the descriptions of their fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from vesuv.config import Config
from vesuv.config.explain import KeyMeaning, explain

_HEAD = """# Configuration

*Look-up: a minute. This page is generated from the code that reads the keys.*

`vesuv config explain KEY` prints the same for one key, and which shipped files set it. A key that
is not on this page is refused. A section with a `name` has the keys of that name alone.
"""
_COLUMNS = "| key | value | default | meaning |\n|---|---|---|---|"


@cache
def section_meanings() -> dict[str, KeyMeaning]:
    """Return the meaning of each section, with its keys."""
    return {key: explain(key)[0] for key in Config.model_fields}


def configuration_page() -> str:
    """Return the page: a heading and a table of keys for each section."""
    parts = [_HEAD]
    for key, meaning in section_meanings().items():
        parts.append(f"## {key}\n\n{_text(meaning.meaning)}\n")
        if meaning.keys:
            parts += _tables(meaning)
        else:
            parts.append(f"{_COLUMNS}\n{_row(meaning)}\n")
    return "\n".join(parts)


def _tables(section: KeyMeaning) -> Iterator[str]:
    """Yield one table of the keys that every kind of the section has, then one for each kind."""
    for owner in dict.fromkeys(key.owner for key in section.keys):
        if owner:
            yield f"### {section.key} {owner.removeprefix('name: ')}\n"
        rows = [row for key in section.keys if key.owner == owner for row in _rows(key)]
        yield "\n".join([_COLUMNS, *rows, ""])


def _rows(key: KeyMeaning) -> Iterator[str]:
    """Yield the row of a key, and of those below it; steps of a chain are told once."""
    yield _row(key)
    is_repeated = key.key == "selection.postprocess"
    for below in () if is_repeated else key.keys:
        yield from _rows(below)


def _row(key: KeyMeaning) -> str:
    name = f"`{key.key}`" + (f" ({key.owner})" if key.owner and key.key.count(".") > 1 else "")
    default = f"`{key.default}`" if key.default else ("" if key.keys else "required")
    kind = key.kind or "section"
    meaning = "steps as in inference.postprocess" if _is_chain_list(key) else key.meaning
    return f"| {name} | {_text(kind)} | {default} | {_text(meaning)} |"


def _is_chain_list(key: KeyMeaning) -> bool:
    return key.key == "selection.postprocess" and not key.meaning


def _text(text: str) -> str:
    """Return text for a cell of a table: no markup, no separator."""
    for character in ("\\", "|", "<", "*", "_"):
        text = text.replace(character, f"\\{character}")
    return text


def keys_of(meanings: Iterable[KeyMeaning]) -> Iterator[str]:
    """Yield the dotted keys of some meanings and of those below them."""
    for meaning in meanings:
        yield meaning.key
        yield from keys_of(meaning.keys)
