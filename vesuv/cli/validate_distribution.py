"""vesuv validate_distribution: what to predict with."""

from __future__ import annotations

from rich.table import Table

from vesuv.cli.console import console
from vesuv.cli.options import (
    Changes,
    Checkpoints,
    Runs,
    use_threads_of,
    with_short_words,
)
from vesuv.cli.progress import progress_on
from vesuv.selection.choice import Choice
from vesuv.selection.search import SearchResult
from vesuv.selection.validation import validate_distribution as select
from vesuv.selection.verdict import MEASURES, Verdict

_SHOWN = 2
"""Rows of each checkpoint in the printed table, beside one without post-processing."""


def validate_distribution(
    *,
    run: Runs,
    checkpoint: Checkpoints = None,
    overlap: str | None = None,
    mirror: bool | None = None,
    device: str | None = None,
    changes: Changes = (),
) -> None:
    """Choose checkpoint, cut and post-processing on whole held-out volumes, jointly for folds.

    Args:
        run: Run folders, log/<config>/fold_<k> …
        checkpoint: Checkpoints to try … (default all).
        overlap: Share that windows overlap: --set inference.overlap=…
        mirror: Average over flips: --set inference.mirror=…
        device: auto, cpu, cuda or mps: --set runtime.device=…
        changes: Changes to the runs' configuration: section.key=value …
    """
    out = console()
    all_changes = with_short_words(changes, overlap, mirror, device)
    use_threads_of(run, all_changes)
    validation = select(
        run,
        checkpoints=checkpoint,
        changes=all_changes,
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
    )
    num_cases = len(validation.verdict.problem.cases)
    out.print(_table(validation.verdict, f"{num_cases} held-out cases, whole volumes"))
    for sentence in _sentences(validation.verdict):
        out.print(sentence)
    files = ", ".join(str(one.selected_file) for one in validation.runs)
    out.print(f"written: {files}; {validation.folder}")


def _table(verdict: Verdict, title: str) -> Table:
    """Return the best candidates of each checkpoint."""
    result = verdict.result
    table = Table(title=title)
    board = result.chosen.leaderboard is not None
    names = ("candidate", "Dice", "predicted", "labelled", "off by, a case")
    for column in (*names, *(("leaderboard",) if board else ())):
        table.add_column(column, justify="left" if column == "candidate" else "right")
    for choice in _shown(result):
        cells = [
            f"{choice} *" if choice == result.chosen else str(choice),
            f"{choice.dice:.4f}",
            f"{choice.predicted_fraction:.2%}",
            f"{choice.labelled_fraction:.2%}",
            f"{choice.gap:.2%}",
        ]
        table.add_row(*cells, *((f"{choice.leaderboard:.4f}",) if board else ()))
    return table


def _shown(result: SearchResult) -> list[Choice]:
    """Return each checkpoint's first choices, and its first without steps to compare with."""
    shown: list[Choice] = []
    for name in dict.fromkeys(choice.checkpoint for choice in result.competing):
        of_name = [choice for choice in result.ranking if choice.checkpoint == name]
        plain = [choice for choice in of_name if not choice.postprocess]
        shown += list(dict.fromkeys(of_name[:_SHOWN] + plain[:1]))
    return shown


def _sentences(verdict: Verdict) -> list[str]:
    """Say what was selected, and how sure that is."""
    sentences = [f"selected {verdict.result.why}"]
    margin, honest = verdict.margin(), verdict.honest()
    if margin is not None:
        values = ", ".join(f"{k} {margin[k]:+.4f}" for k in MEASURES if k in margin)
        sentences.append(f"margin over the next best, {margin['over']}: {values}")
    for row in verdict.groups():
        over = f", margin {row['margin']['dice']:+.4f}" if row["margin"] else ""
        sentences.append(
            f"group {row['group']}: {row['cases']} cases, Dice {row['dice']:.4f}, predicted "
            f"{row['predicted_fraction']:.2%}, labelled {row['labelled_fraction']:.2%}{over}"
        )
    if honest is not None:
        values = ", ".join(f"{k} {honest[k]:.4f}" for k in MEASURES if k in honest)
        sentences.append(
            f"honest estimate, chosen without and scored on each {honest['left_out']} in turn: "
            f"{values}"
        )
    return sentences
