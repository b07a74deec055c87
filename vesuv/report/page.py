"""The run's page: one HTML file that tells, without a network, how a run stands and why."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from datetime import datetime
from pathlib import Path

from vesuv.report.page_config import configuration
from vesuv.report.page_curves import curves
from vesuv.report.page_distribution import distribution
from vesuv.report.page_files import RunFiles, Section, read_files
from vesuv.report.page_findings import findings
from vesuv.report.page_groups import groups
from vesuv.report.page_headline import headline, title
from vesuv.report.page_images import slices
from vesuv.report.page_script import SCRIPT
from vesuv.report.page_speed import speed
from vesuv.report.page_style import STYLE

NAME = "report.html"
_SECTIONS: tuple[Section, ...] = (
    findings,
    curves,
    slices,
    distribution,
    groups,
    speed,
    configuration,
)


def write_page(run: Path, *, now: datetime | None = None) -> Path:
    """Write report.html into a run folder, from the files that lie there and nothing else.

    A file that is missing, empty or cut short only leaves its part of the page out. The page
    replaces an older one in a single step, so that a reader never meets half of it.

    Args:
        run: The run's folder.
        now: The time that the page says it was written at; the present when left out.

    Returns:
        The page's path.
    """
    target = run / NAME
    content = render(read_files(run), now or datetime.now().astimezone())
    handle, name = tempfile.mkstemp(prefix=f".{NAME}.", dir=run)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


def render(files: RunFiles, now: datetime) -> str:
    """Return the page as HTML; equal files and times give equal pages."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    sections = {part.__name__: part(files) for part in _SECTIONS}
    body = "\n".join(filter(None, sections.values()))
    header = headline(files, now, [name for name in sections if sections[name]])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title(files)} – vesuv</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{header}\n<main>\n{body}\n</main>\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
