"""Loading of trained runs and bundles as one predictor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vesuv.errors import InputError
from vesuv.inference.bundle import is_bundle, open_bundles
from vesuv.inference.members import open_members
from vesuv.inference.predictor import Predictor
from vesuv.types import Say, silent


def load(
    runs: str | Path | Sequence[str | Path],
    *,
    checkpoint: str | Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
    changes: Sequence[str] = (),
    say: Say = silent,
) -> Predictor:
    """Load a run or a bundle, or an ensemble of several whose probabilities are averaged.

    Args:
        runs: Run folders, or bundles of `vesuv export`.
        checkpoint: Name of the checkpoint, or of several that are averaged; default: the selected
            one, else the best.
        weights: Weight of each network in the mean, by run and then by checkpoint; default: those
            of the bundle, equal ones for runs.
        changes: `section.key=value` of the sections inference and runtime.
        say: Called with a message where the precision is not that of the selection, and with a
            warning for each way in which an input differs from the training cases.

    Raises:
        InputError: Runs or bundles that cannot be used, or cannot be averaged.
    """
    paths = [runs] if isinstance(runs, (str, Path)) else runs
    names = (checkpoint,) if isinstance(checkpoint, str) else checkpoint
    folders = [Path(path) for path in paths]
    if not any(map(is_bundle, folders)):
        members = open_members(folders, names, changes)
    elif names is None:
        members = open_bundles(folders, changes)
    else:
        raise InputError(f"checkpoint: a bundle has none to choose from, found {names[0]!r}")
    if members[0].precision_note is not None:
        say(members[0].precision_note)
    return Predictor.of_members(members, say=say, weights=weights)
