"""What the diagnosis found, as cards: the worst first."""

from __future__ import annotations

from typing import Any

from vesuv.report.page_files import Facts, RunFiles, mapping, number, records
from vesuv.report.page_text import figure, section, text

_RANK = {"trouble": 0, "warning": 1}
_SIGNS = {"trouble": "▲ trouble", "warning": "● warning"}


def findings(files: RunFiles) -> str:
    """Return the section of findings; says so where there are none, or no diagnosis yet."""
    if files.diagnosis is None:
        return section("findings", "Findings", '<p class="quiet">Not diagnosed yet.</p>')
    found = sorted(
        records(files.diagnosis.get("findings")), key=lambda f: _RANK.get(str(f.get("severity")), 2)
    )
    when = files.diagnosis.get("epoch")
    seen = f"as of epoch {when:g}" if number(when) else ""
    last = files.metrics.last_epoch
    if number(when) and last is not None and when < last:
        seen += f"; epoch {last} is the newest"
    if not found:
        words = f"No findings{f' {seen}' if seen else ''}."
        return section("findings", "Findings", f'<p class="quiet good">✓ {words}</p>')
    cards = "\n".join(_card(finding) for finding in found)
    note = f'<p class="note">{seen[:1].upper()}{seen[1:]}.</p>' if seen else ""
    return section(
        "findings", f"Findings ({len(found)})", f'{note}<div class="cards">{cards}</div>'
    )


def _card(finding: Facts) -> str:
    severity = str(finding.get("severity", "warning"))
    known = severity if severity in _RANK else "warning"
    sign = text(_SIGNS.get(severity, severity)) + _epochs(finding.get("epochs"))
    parts = [
        f'<p class="sign">{sign}</p>',
        f"<h3>{text(finding.get('title') or finding.get('name') or 'Finding')}</h3>",
    ]
    if finding.get("evidence"):
        parts.append(f"<p>{text(_joined(finding['evidence']))}</p>")
    if finding.get("remedy"):
        parts.append(f'<p class="remedy"><b>What to do:</b> {text(_joined(finding["remedy"]))}</p>')
    parts.append(_numbers(mapping(finding.get("numbers"))))
    return f'<article class="card {known}">{"".join(parts)}</article>'


def _joined(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _epochs(value: Any) -> str:
    if not isinstance(value, list) or len(value) != 2 or not all(map(number, value)):
        return ""
    first, last = value
    return f" · epoch {first:g}" if first == last else f" · epochs {first:g}–{last:g}"


def _numbers(numbers: Facts) -> str:
    if not numbers:
        return ""
    pairs = "".join(
        f"<div><dt>{text(name.replace('_', ' '))}</dt><dd>{_shown(value)}</dd></div>"
        for name, value in numbers.items()
    )
    return f"<details><summary>Numbers</summary><dl>{pairs}</dl></details>"


def _shown(value: Any) -> str:
    return figure(value) if number(value) else text(value)
