"""The networks of instances: runs, a best.json, or bundles, with the parameters for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vesuv.errors import InputError
from vesuv.inference.instances.networks import (
    open_boundary_best,
    open_boundary_bundles,
    open_boundary_members,
)
from vesuv.inference.instances.parameters import (
    InstanceSelection,
    read_selection,
    selection_of_runs,
)
from vesuv.inference.members import Member


@dataclass(frozen=True)
class NetworkOptions:
    """Options that name networks; empty and None: not given."""

    runs: Sequence[Path]
    best: Path | None
    bundles: Sequence[Path]
    checkpoints: Sequence[str] | None

    def check(self, *, predicts: bool) -> None:
        """Refuse options that exclude each other.

        Args:
            predicts: Whether networks predict; else probabilities are read.

        Raises:
            InputError: Names one of them.
        """
        is_named = {"--model": bool(self.bundles), "--best": self.best is not None}
        for option, is_given in is_named.items():
            others = [other for other, given in is_named.items() if given and other != option]
            if is_given and (self.runs or self.checkpoints or others or not predicts):
                raise InputError(
                    f"{option}: names the networks that predict --input; leave "
                    f"{', '.join(['--run', *others])} and --checkpoint out"
                )
        if predicts and not self.runs and not any(is_named.values()):
            raise InputError(
                "--run: --input needs the runs that predict it; name log/<config>/fold_<k>"
            )
        if self.checkpoints and (not predicts or len(self.checkpoints) > 1):
            raise InputError("--checkpoint: names the one that predicts --input; leave others out")

    def selection(self, parameters: Path | None) -> InstanceSelection:
        """Return the parameters of a file; without one those of the runs.

        Raises:
            InputError: They are missing or invalid.
        """
        if parameters is not None:
            return read_selection(parameters)
        if self.bundles or self.best is not None:
            option = "--model" if self.bundles else "--best"
            raise InputError(
                f"--parameters: {option} needs an instances.json of its networks; name one"
            )
        return selection_of_runs(self.runs)

    def open(self, selection: InstanceSelection, changes: Sequence[str]) -> list[Member]:
        """Read the networks.

        Raises:
            InputError: They cannot be used, or were not trained for the class of the selection.
        """
        if self.bundles:
            return open_boundary_bundles(self.bundles, selection, changes)
        if self.best is not None:
            return open_boundary_best(self.best, selection, changes)
        name = self.checkpoints[0] if self.checkpoints else None
        return open_boundary_members(self.runs, selection, name, changes)
