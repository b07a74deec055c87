"""vesuv curves: picks of bedding and fractures in borehole image logs; one file a verb."""

from __future__ import annotations

from cyclopts import App

_VERBS = {
    "phantom": "Make a folder of image logs with exact picks.",
    "train": "Train a detector on one fold of the wells.",
    "predict": "Pick logs with a run: tables and pictures.",
    "evaluate": "Score tables of picks against an interpreter's.",
    "diagnose": "Say what is the matter with a run and what to do about it.",
    "masks": "Write logs as flat images and masks, for a network of segmentation.",
    "hough": "Pick logs from masks or probabilities by a Hough transform: the baseline.",
}

curves = App(
    name="curves",
    help="Pick sinusoids of bedding and fractures in borehole image logs.",
    help_format="plaintext",
)
for _verb, _summary in _VERBS.items():
    curves.command(f"vesuv.cli.curves.{_verb}:{_verb}", name=_verb, help=_summary)
