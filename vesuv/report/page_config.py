"""The run's configuration, first of all what it changes."""

from __future__ import annotations

import html
from typing import Any

from vesuv.config.lineage import default_differences
from vesuv.report.page_files import Facts, RunFiles, records
from vesuv.report.page_text import section, table, text, value_text

_LEGEND = '<p class="note"><span class="mark">•</span> differs from the base too</p>'
_TEXT = 200_000
"""Characters of config.yaml that are shown."""


def configuration(files: RunFiles) -> str:
    """Return the section: differences from the base, from the defaults, and the whole file."""
    facts = files.facts
    parts = [_source(facts)]
    if not files.config_text:
        parts.append('<p class="quiet">config.yaml is not there.</p>')
    elif files.config is None:
        parts.append(
            '<p class="quiet">config.yaml is not a configuration that this version reads.</p>'
        )
    defaults = default_differences(files.config) if files.config else []
    stored = records(facts.get("base_differences"))
    if stored == defaults:  # a file without a base is compared with the defaults
        stored = []
    elif stored:
        parts.append(f"<h3>Other than in its base ({len(stored)})</h3>{_differences(stored)}")
    elif "base_differences" in facts:
        parts.append("<p>Nothing differs from its base.</p>")
    if defaults:
        known = {str(row.get("key")) for row in stored}
        shown = _differences(defaults, known)
        head = f"Other than the built-in defaults ({len(defaults)})"
        parts.append(
            f"<details><summary>{head}</summary>{shown}{_LEGEND}</details>"
            if stored
            else f"<h3>{head}</h3>{shown}"
        )
    if files.config_text:
        whole = html.escape(files.config_text[:_TEXT])
        parts.append(
            "<details><summary>The whole configuration, as it was resolved</summary>"
            f'<pre class="scroll" tabindex="0">{whole}</pre></details>'
        )
    return section("configuration", "Configuration", "\n".join(filter(None, parts)))


def _source(facts: Facts) -> str:
    """The file it was read from, and the changes of the command line."""
    file, changes = facts.get("config_file"), facts.get("overrides")
    said = f"<p>Read from <code>{text(file)}</code>.</p>" if file else ""
    if isinstance(changes, list) and changes:
        chips = " ".join(f"<code>--set {text(change)}</code>" for change in changes)
        said += f'<p class="chips">Changed on the command line: {chips}</p>'
    return said


def _differences(rows: list[Facts], marked: set[str] | None = None) -> str:
    """A table; keys in `marked` differ from the base as well."""
    cells = [
        [
            f"<code>{text(row.get('key', ''))}</code>"
            + (' <span class="mark" title="differs from the base too">•</span>' if here else ""),
            _value(row.get("value")),
            _value(row["base"]) if "base" in row else '<span class="note">none</span>',
        ]
        for row in rows
        for here in [str(row.get("key")) in (marked or ())]
    ]
    headers = ("Key", "Here", "There" if marked is None else "Default")
    return table(headers, cells)


def _value(value: Any) -> str:
    """A value; a list of mappings (phases) one a line."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        lines = "".join(f"<code>{text(value_text(item))}</code>" for item in value)
        return f'<span class="lines">{lines}</span>'
    return f"<code>{text(value_text(value))}</code>"
