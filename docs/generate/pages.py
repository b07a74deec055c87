"""The generated pages by their name below docs/."""

from __future__ import annotations

from functools import cache

from docs.generate.commands import commands_page
from docs.generate.configuration import configuration_page
from docs.generate.interface import interface_page

NAMES = ("reference/configuration.md", "reference/commands.md", "reference/python.md")
"""Names of the generated pages; links to them are checked without generating them."""


@cache
def generated_pages() -> dict[str, str]:
    """Return name -> Markdown."""
    texts = (configuration_page(), commands_page(), interface_page())
    return dict(zip(NAMES, texts, strict=True))
