"""vesuv curves diagnose: findings of a run of curves."""

from __future__ import annotations

from pathlib import Path

from vesuv.cli.console import console
from vesuv.curves.findings import find_faults
from vesuv.curves.page import write_page
from vesuv.curves.train import open_run
from vesuv.diagnosis import finding_lines
from vesuv.io.atomic import catch_write_errors
from vesuv.runs.history import RunHistory
from vesuv.runs.writer import write_diagnosis


def diagnose(*, run: Path) -> None:
    """Say what is the matter with a run and what to do about it; write diagnosis.json and page.

    Args:
        run: Run of `curves train`, finished, running or killed.
    """
    folder, _ = open_run(run)
    findings = find_faults(run)
    last_epoch = RunHistory.read(run).metrics.last_epoch
    write_diagnosis(folder, -1 if last_epoch is None else last_epoch, findings)
    with catch_write_errors(run):
        page = write_page(run)
    out = console()
    for line in finding_lines(findings) or ["No findings"]:
        out.print(line)
    out.print(f"page: {page}")
