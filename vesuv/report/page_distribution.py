"""How probabilities and foreground fractions are distributed, and what selection made of it."""

from __future__ import annotations

from vesuv.report.page_files import RunFiles
from vesuv.report.page_histogram import histogram
from vesuv.report.page_scatter import scatter
from vesuv.report.page_selection import selection
from vesuv.report.page_text import section


def distribution(files: RunFiles) -> str:
    """Return the section of histogram, scatter and selection."""
    drawn = histogram(files) + scatter(files)
    charts = f'<div class="charts">{drawn}</div>' if drawn else ""
    return section("distribution", "Distribution", charts + selection(files.selection))
