"""The page of the Python interface, from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from docstring_parser import Docstring, DocstringStyle, parse
from pydantic import BaseModel

import vesuv
from vesuv.config.model import NetworkConfig
from vesuv.config.postprocess import Step
from vesuv.diagnosis import Evidence, Finding
from vesuv.losses import Loss, Prediction

_HEAD = """# Python

*Look-up: a minute. This page is generated from signatures and docstrings.*

`import vesuv` loads nothing else; each name is imported when it is first used. Arrays are
`(z, y, x)`, with channels `(c, z, y, x)`. Nothing is printed, and no thread count is set.
"""
_WIDTH = 100
_BASES = {
    "vesuv.losses.Loss": Loss,
    "vesuv.losses.Prediction": Prediction,
    "vesuv.config.model.NetworkConfig": NetworkConfig,
    "vesuv.config.postprocess.Step": Step,
    "vesuv.diagnosis.Evidence": Evidence,
    "vesuv.diagnosis.Finding": Finding,
}
"""What a package that brings parts of its own derives from or receives."""


def interface_page() -> str:
    """Return the page: the public names, the losses, and the bases of parts of one's own."""
    names = [name for name in vesuv.__all__ if name not in ("losses", "__version__")]
    parts = [_HEAD, "## Public names\n"]
    parts += [_entry(f"vesuv.{name}", getattr(vesuv, name)) for name in names]
    parts.append("## Losses\n\nEach is called with `(logits, label, valid)`.\n")
    parts += [_entry(f"vesuv.losses.{kind.__name__}", kind) for kind in _losses()]
    parts.append("## Parts of one's own\n\nA package offers them by entry points.\n")
    parts += [_entry(name, one) for name, one in _BASES.items()]
    return "\n".join(parts)


def _losses() -> list[type[Loss]]:
    return list(vesuv.losses.LOSSES.values())


def _entry(name: str, one: object) -> str:
    """Return heading, call and description; of a loss the formula alone."""
    lines = [f"### {name}\n", f"```python\n{_signature(name, one)}\n```\n"]
    lines += _description(inspect.getdoc(one) or "")
    if inspect.isclass(one) and not (issubclass(one, Loss) and one is not Loss):
        lines += [*_fields(one), *(line for method in _methods(one) for line in method)]
    return "\n".join(lines)


def _fields(kind: type) -> list[str]:
    """Return the fields of a record or section that have a description."""
    if not issubclass(kind, BaseModel) or kind is vesuv.Config:
        return []
    fields = {name: field.description for name, field in kind.model_fields.items()}
    rows = [f"- `{name}`" + (f": {_flat(text)}" if text else "") for name, text in fields.items()]
    return [*rows, ""] if rows else []


def _methods(kind: type) -> Iterator[list[str]]:
    """Yield heading and description of each public method and property of a class itself."""
    fields = getattr(kind, "__dataclass_fields__", {})
    for name, member in vars(kind).items():
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", getattr(function, "func", function))
        text = inspect.getdoc(function) if inspect.isfunction(function) else None
        if name.startswith("_") or name in fields or not text:
            continue
        is_called = inspect.isfunction(member) or isinstance(member, classmethod)
        call = _signature(name, function) if is_called else name
        yield [f"**`{call}`**\n", *_description(text)]


def _signature(name: str, one: object) -> str:
    """Return a call; of a section of the configuration the name alone, its keys have a page."""
    if not callable(one) or (inspect.isclass(one) and issubclass(one, (BaseModel, Exception))):
        return name
    call = str(inspect.signature(one)).replace("'", "")
    call = re.sub(r"<(?:function )?([\w.]+)(?: object)? at 0x[0-9a-f]+>", r"\1", call)
    call = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", call)
    call = re.sub(r"\((?:self|cls)(?:, )?", "(", call)
    call = call.removesuffix(" -> None") if inspect.isclass(one) else call
    is_short = len(name + call) < _WIDTH or (not inspect.isclass(one) and "." not in name)
    return f"{name}{call if is_short else _wrapped(call)}"


def _wrapped(signature: str) -> str:
    """Return a long signature with an argument a line."""
    inside, _, result = signature[1:].rpartition(")")
    depth, start, arguments = 0, 0, []
    for index, character in enumerate(inside):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            arguments.append(inside[start:index].strip())
            start = index + 1
    arguments.append(inside[start:].strip())
    return "(\n" + "".join(f"    {argument},\n" for argument in arguments) + f"){result}"


def _description(text: str) -> list[str]:
    """Return a docstring of Google's style as Markdown."""
    body, _, source = text.partition("\nSource:\n")
    docstring: Docstring = parse(body, style=DocstringStyle.GOOGLE)
    parts = (docstring.short_description, docstring.long_description)
    lines = [f"{_plain(part)}\n" for part in parts if part]
    rows = [f"- `{one.arg_name}`: {_flat(one.description)}" for one in docstring.params]
    if docstring.returns and docstring.returns.description:
        rows.append(f"- Returns: {_flat(docstring.returns.description)}")
    rows += [f"- Raises `{one.type_name}`: {_flat(one.description)}" for one in docstring.raises]
    rows += [f"- Source: {_flat(source)}"] if source else []
    return [*lines, *rows, ""] if rows else lines


def _flat(text: str | None) -> str:
    return _plain(" ".join((text or "").split()))


def _plain(text: str) -> str:
    """Return text in which Markdown finds no markup but code in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if number % 2 else re.sub(r"([*_<\\])", r"\\\1", part)
        for number, part in enumerate(parts)
    )
