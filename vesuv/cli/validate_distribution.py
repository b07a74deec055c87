"""vesuv validate_distribution: selection for predictions."""

from __future__ import annotations

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
from vesuv.errors import command
from vesuv.io.printable import number_of
from vesuv.report.page import NAME as PAGE
from vesuv.selection.choice import Choice
from vesuv.selection.held_out import open_held_out
from vesuv.selection.search import SearchResult
from vesuv.selection.summary import MEASURES, group_scores, margin, nested_estimate
from vesuv.selection.validation import check_summary_folder, summary_folder
from vesuv.selection.validation import validate_distribution as select_on_held_out

_ROWS_PER_CHECKPOINT = 2
"""Rows of each checkpoint in the printed table, beside one without post-processing."""
_MAX_ROWS = 8
_MAX_GROUPS = 4
"""Groups with a sentence: those of the lowest Dice."""


def validate_distribution(
    *,
    run: Runs,
    checkpoint: Checkpoints = None,
    overlap: str | None = None,
    views: Views | None = None,
    device: str | None = None,
    changes: Changes = (),
    dry_run: DryRun = False,
) -> None:
    """Choose checkpoint, threshold and post-processing on held-out volumes, jointly for folds.

    Args:
        run: Run folders, log/<config>/fold_<k> …
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
        folder = summary_folder(run)
        check_summary_folder(folder)
        opened = open_held_out(run, all_changes)
        outputs = [*(one.run.selected_file for one in opened), folder]
        print_selection_plan(out, opened, checkpoint, outputs)
        return
    use_threads(run, all_changes)
    validation = select_on_held_out(
        run,
        checkpoints=checkpoint,
        changes=all_changes,
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
    )
    result = validation.result
    out.print(
        _table(result, f"{number_of(len(result.problem.cases), 'held-out case')}, whole volumes")
    )
    for sentence in [*_sentences(result), validation.calibration.sentence()]:
        out.print(sentence)
    files = ", ".join(str(one.selected_file) for one in validation.runs)
    pages = ", ".join(str(one.path / PAGE) for one in validation.runs)
    out.print(f"written: {files}; tables and figures in {validation.folder}; pages anew: {pages}")
    words = ("--run", *(one.path for one in validation.runs), "--input", "...", "--output", "...")
    out.print(f"next: {command('predict', *words)}")


def _table(result: SearchResult, title: str) -> Table:
    """Return the best candidates of each checkpoint."""
    table = Table(title=title)
    has_leaderboard = result.chosen.leaderboard is not None
    names = ("candidate", "Dice", "predicted", "labelled", "off by, a case")
    for column in (*names, *(("leaderboard",) if has_leaderboard else ())):
        table.add_column(column, justify="left" if column == "candidate" else "right")
    for choice in _table_choices(result):
        cells = [
            f"{choice} *" if choice == result.chosen else str(choice),
            f"{choice.dice:.4f}",
            f"{choice.predicted_fraction:.2%}",
            f"{choice.labelled_fraction:.2%}",
            f"{choice.gap:.2%}",
        ]
        table.add_row(*cells, *((f"{choice.leaderboard:.4f}",) if has_leaderboard else ()))
    return table


def _table_choices(result: SearchResult) -> list[Choice]:
    """Return each checkpoint's best choices, and its best without post-processing; few at most."""
    rows: list[Choice] = []
    for name in dict.fromkeys(choice.checkpoint for choice in result.competing):
        choices = [choice for choice in result.ranking if choice.checkpoint == name]
        plain = [choice for choice in choices if not choice.has_postprocessing]
        rows += list(dict.fromkeys(choices[:_ROWS_PER_CHECKPOINT] + plain[:1]))
    if len(rows) <= _MAX_ROWS:
        return rows
    shown = sorted(rows, key=result.ranking.index)[:_MAX_ROWS]
    return [row for row in rows if row in shown]


def _sentences(result: SearchResult) -> list[str]:
    """Return the selection with its margin, scores by group and nested estimate, as sentences."""
    sentences = [f"selected {result.why}"]
    lead = margin(result)
    if lead is not None:
        values = ", ".join(f"{k} {lead[k]:+.4f}" for k in MEASURES if k in lead)
        sentences.append(f"margin over the next best, {lead['over']}: {values}")
    groups = sorted(group_scores(result), key=lambda row: row["dice"])
    for row in groups[:_MAX_GROUPS]:
        over = f", margin {row['margin']['dice']:+.4f}" if row["margin"] else ""
        cases = number_of(row["cases"], "case")
        sentences.append(
            f"group {row['group']}: {cases}, Dice {row['dice']:.4f}, predicted "
            f"{row['predicted_fraction']:.2%}, labelled {row['labelled_fraction']:.2%}{over}"
        )
    if len(groups) > _MAX_GROUPS:
        sentences.append(f"{len(groups) - _MAX_GROUPS} groups of higher Dice: in summary.json")
    estimate = nested_estimate(result.nested, result.problem.part_kind)
    if estimate is not None:
        values = ", ".join(f"{k} {estimate[k]:.4f}" for k in MEASURES if k in estimate)
        sentences.append(
            f"honest estimate, chosen without and scored on each {estimate['left_out']} in turn: "
            f"{values}"
        )
    return sentences
