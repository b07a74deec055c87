"""Pages of docs/ as their blocks of code, links and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown.extensions.toc import slugify

DOCS = Path(__file__).parents[2] / "docs"
_FENCE = re.compile(
    r"(?:^<!-- (?P<marker>[^>]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.M)


@dataclass(frozen=True)
class Block:
    """A block of code; `marker` is the comment on the line above it."""

    page: str
    language: str
    text: str
    marker: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each line of a shell block, comments left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(line, comments=True) for line in lines]
        return [one for one in words if one]


@cache
def page_names() -> tuple[str, ...]:
    """Names of the written pages below docs/."""
    return tuple(sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")))


@cache
def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Blocks of code of a page in their order."""
    return [
        Block(page, match["language"], match["text"], match["marker"] or "")
        for match in _FENCE.finditer(text_of(page))
    ]


def prose(page: str) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", text_of(page))


def code_spans(page: str) -> list[str]:
    """Code within sentences and tables."""
    return _CODE.findall(prose(page))


def links(page: str) -> Iterator[tuple[str, str]]:
    """Yield file and anchor of each relative link; the file is empty for the page itself."""
    for target in _LINK.findall(prose(page)):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            yield file, anchor


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page."""
    plain = (re.sub(r"[`*\\]", "", heading) for heading in _HEADING.findall(text))
    return {slugify(heading, "-") for heading in plain}
