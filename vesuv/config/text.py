"""The text of a configuration: which files are read, which YAML is understood, and how much."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from vesuv.errors import InputError

_MOST_BYTES = 1 << 20
"""Length of a configuration file; the longest of ours is a hundredth of it."""
_MOST_VALUES = 100_000
"""Values that a text may stand for: with aliases a few lines can stand for 10¹²."""
_DEEPEST = 50
"""Levels of nesting; an alias that holds itself has no last one."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars: 1e-5 is a number, only true and false are booleans, a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"keys are text, found {key!r}", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} stands twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    (
        "float",
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf)$",
        list("-+0123456789."),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def read_text(path: Path, asked_by: str = "") -> str:
    """Read a file of some length; a device, a pipe or a volume given by mistake has no end.

    Args:
        path: The file.
        asked_by: What names it, for the message.

    Raises:
        InputError: It is missing, no file, too long, or no text.
    """
    where = f"{asked_by}{path!s:.200}"
    try:
        if not path.is_file():
            if path.exists():
                raise InputError(f"{where}: is no file; give a configuration in YAML")
            raise InputError(f"{where}: no such configuration file{_similar_file(path)}")
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise InputError(
                f"{where}: a configuration has at most {_MOST_BYTES} bytes, found {size}; give the "
                "YAML file"
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise InputError(f"{where}: cannot be read as a configuration: {reason}") from None


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML 1.2 scalars safely; a fault is one sentence with the line."""
    try:
        tree = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        where = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"{source}:{where} not valid YAML: {fault.problem}") from None
    except RecursionError:
        raise InputError(f"{source}: not valid YAML: nested too deeply") from None
    # A tag such as !!bool makes PyYAML look a value up that is not there.
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as fault:
        reason = " ".join(str(fault).split())
        raise InputError(f"{source}: not valid YAML: {reason:.200}") from None
    refuse_endless(tree, source)
    return tree


def refuse_endless(tree: Any, source: str) -> None:
    """Refuse what is small as text and endless as a tree, before anything walks through it."""
    level, count = [tree], 0
    for _ in range(_DEEPEST):
        level = [part for node in level for part in _parts(node)]
        count += len(level)
        if count > _MOST_VALUES:
            raise InputError(
                f"{source}: stands for more than {_MOST_VALUES} values; write them without aliases"
            )
        if not level:
            return
    raise InputError(f"{source}: is nested in more than {_DEEPEST} levels; make it flatter")


def _parts(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, (list, tuple, set)) else ()


def _similar_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist"
    names = [p.name for p in path.parent.glob("*.yaml")]
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.4)
    return f"; did you mean {path.parent / close[0]}?" if close else ""
