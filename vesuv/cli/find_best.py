"""vesuv find_best: selection among configurations and their ensembles."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from vesuv.cli.console import console
from vesuv.cli.dry_run import print_selection_plan
from vesuv.cli.options import (
    Changes,
    Checkpoints,
    DryRun,
    Runs,
    use_threads,
    with_option_changes,
)
from vesuv.cli.progress import progress_on
from vesuv.config.training import Views
from vesuv.io.printable import number_of
from vesuv.selection.find_best import BEST, Comparison, check_output, open_configurations
from vesuv.selection.find_best import find_best as compare_configurations

_TEXT_COLUMNS = ("system", "chosen")
_HIDDEN_COLUMNS = ("predicted_fraction", "labelled_fraction")


def find_best(
    *,
    run: Runs,
    output: Path = BEST,
    checkpoint: Checkpoints = None,
    overlap: str | None = None,
    views: Views | None = None,
    device: str | None = None,
    changes: Changes = (),
    dry_run: DryRun = False,
) -> None:
    """Choose among configurations and their ensembles on held-out volumes.

    Args:
        run: Run folders of several configurations, log/<config>/fold_<k> …
        output: File to write.
        checkpoint: Checkpoints to try … (default all).
        overlap: Share that windows overlap: --set inference.overlap=…
        views: Average none, mirror (8), all (48): --set inference.views=…
        device: auto, cpu, cuda or mps: --set runtime.device=…
        changes: Changes to the runs' configuration: section.key=value …
        dry_run: Check everything, say what would be read and written, and write nothing.
    """
    out = console()
    all_changes = with_option_changes(changes, overlap, views, device)
    if dry_run:
        check_output(output)
        for runs in open_configurations(run, all_changes).values():
            print_selection_plan(out, runs, checkpoint, ())
        for file in (output, output.with_suffix(".csv")):
            out.print(f"would write: {file}")
        return
    use_threads(run, all_changes)
    comparison = compare_configurations(
        run,
        output,
        checkpoints=checkpoint,
        changes=all_changes,
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
    )
    out.print(_table(comparison))
    best = comparison.ranking[0]
    out.print(f"best: {best.name}: {best.result.why}")
    out.print(f"written: {output}, {output.with_suffix('.csv')}")


def _table(comparison: Comparison) -> Table:
    rows = comparison.rows()
    num_cases = len(comparison.ranking[0].result.problem.cases)
    table = Table(title=f"{number_of(num_cases, 'held-out case')}, best first")
    columns = [name for name in rows[0] if name not in _HIDDEN_COLUMNS]
    for column in columns:
        table.add_column(column, justify="left" if column in _TEXT_COLUMNS else "right")
    for row in rows:
        cells = [row[name] for name in columns]
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in cells))
    return table
