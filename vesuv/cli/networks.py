"""The networks that a verb is given: runs, a best.json, or bundles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vesuv.errors import InputError
from vesuv.inference.best_file import open_best
from vesuv.inference.bundle import open_bundles
from vesuv.inference.members import Member, open_members


def open_networks(
    runs: Sequence[Path] | None,
    best: Path | None = None,
    bundles: Sequence[Path] | None = None,
    checkpoints: Sequence[str] | None = None,
    changes: Sequence[str] = (),
) -> list[Member]:
    """Read the networks of --run and --checkpoint, of --best or of --model.

    Raises:
        InputError: Options that exclude each other, or networks that cannot be used.
    """
    if bundles is not None:
        _refuse("--model", {"--run": runs, "--best": best, "--checkpoint": checkpoints})
        return open_bundles(bundles, changes)
    if best is not None:
        _refuse("--best", {"--run": runs, "--checkpoint": checkpoints})
        return open_best(best, changes)
    return open_members(runs or (), checkpoints, changes)


def _refuse(option: str, others: dict[str, object]) -> None:
    names = "runs and checkpoints" if option == "--best" else "networks"
    for word, value in others.items():
        if value is not None:
            raise InputError(f"{word}: {option} names {names} itself; leave one out")
