"""Reading the text of a configuration: limits of its size, and the dialect of YAML."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from vesuv.errors import InputError
from vesuv.files import read_text as read_regular_text

_MAX_BYTES = 1 << 20
"""Length of a configuration file; the longest of ours has a hundredth of it."""
_MAX_VALUES = 100_000
"""Values of a parsed text; YAML aliases can expand a few lines to 10¹² values."""
_MAX_DEPTH = 50
"""Levels of nesting; an alias that contains itself has infinitely many."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars (1e-5 is a number, only true and false are booleans); no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"keys are text, found {key!r}", problem_mark=key_node.start_mark
                )
            if key in keys:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} stands twice", problem_mark=key_node.start_mark
                )
            keys.add(key)
        return super().construct_mapping(node, deep=deep)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Quotes text that `_Loader` or a reader of YAML 1.1 would take for another type."""


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
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def read_text(path: Path, referrer: str = "") -> str:
    """Read a text file; devices, pipes and files of more than 1 MiB are refused.

    Args:
        path: The file.
        referrer: Prefix of messages: the file and key that name `path`.

    Raises:
        InputError: It is missing, not a regular file, too long, or not text.
    """
    location = f"{referrer}{path!s:.200}"
    try:
        if not path.is_file():
            if path.exists():
                raise InputError(f"{location}: is no file; give a configuration in YAML")
            raise InputError(f"{location}: no such configuration file{_similar_file(path)}")
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise InputError(
                f"{location}: a configuration has at most {_MAX_BYTES} bytes, found {size}; give "
                "the YAML file"
            )
        return read_regular_text(path)
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise InputError(f"{location}: cannot be read as a configuration: {reason}") from None


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML 1.2 scalars safely.

    Raises:
        InputError: Names `source`, line and reason.
    """
    try:
        tree = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"{source}:{line} not valid YAML: {fault.problem}") from None
    except RecursionError:
        raise InputError(f"{source}: not valid YAML: nested too deeply") from None
    # PyYAML raises a LookupError for a tag such as !!bool on a value that it does not know.
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as fault:
        reason = " ".join(str(fault).split())
        raise InputError(f"{source}: not valid YAML: {reason:.200}") from None
    check_tree_size(tree, source)
    return tree


def dump_yaml(tree: Any, *, flow: bool | None = False) -> str:
    """Return YAML that `parse_yaml` reads back unchanged.

    Args:
        tree: Mappings, lists and scalars.
        flow: Inner lists in one line: None; all in lines of their own: False.
    """
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, default_flow_style=flow)


def check_tree_size(tree: Any, source: str) -> None:
    """Refuse trees that aliases make huge or endless, before other code walks through them.

    Raises:
        InputError: The tree has too many values or levels.
    """
    level, count = [tree], 0
    for _ in range(_MAX_DEPTH):
        level = [part for node in level for part in _parts(node)]
        count += len(level)
        if count > _MAX_VALUES:
            raise InputError(
                f"{source}: stands for more than {_MAX_VALUES} values; write them without aliases"
            )
        if not level:
            return
    raise InputError(f"{source}: is nested in more than {_MAX_DEPTH} levels; make it flatter")


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
