"""Files and functions stay short enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE_LINES = {"vesuv": 300, "bin": 300, "docs": 300, "bench": 600, "tests": 600}
BODY_LINES = 40
"""Lines of a function in vesuv/ beside its signature and docstring."""
POSITIONAL_ARGUMENTS = 6
"""Arguments of a function in vesuv/ that may be given without their names."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def body_lines(function: Function) -> int:
    """Return the lines from the first statement after the docstring to the last."""
    body = function.body if ast.get_docstring(function) is None else function.body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def positional_arguments(function: Function) -> list[str]:
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


@pytest.mark.parametrize("folder", FILE_LINES)
def test_files_are_short(folder: str) -> None:
    lines = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in sources(folder)}

    assert lines
    assert {path: num for path, num in lines.items() if num > FILE_LINES[folder]} == {}


def test_functions_are_short_and_take_few_arguments() -> None:
    long: dict[tuple[str, str], int] = {}
    wide: dict[tuple[str, str], list[str]] = {}
    for path in sources("vesuv"):
        for function in functions(ast.parse(path.read_text())):
            name = (path.relative_to(ROOT).as_posix(), function.name)
            if body_lines(function) > BODY_LINES:
                long[name] = body_lines(function)
            if len(positional_arguments(function)) > POSITIONAL_ARGUMENTS:
                wide[name] = positional_arguments(function)

    assert long == {}
    assert wide == {}


def test_lines_and_arguments_are_those_that_a_reader_counts() -> None:
    (function,) = functions(
        ast.parse(
            "class A:\n"
            "    def f(self, a, b=1, *, c):\n"
            '        """Two\n        lines."""\n'
            "        first = a\n\n"
            "        return [\n            first,\n        ]\n"
        )
    )

    assert body_lines(function) == 5
    assert positional_arguments(function) == ["a", "b"]
