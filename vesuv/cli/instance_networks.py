"""The networks of instances: runs, a best.json, or bundles, with the parameters for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vesuv.errors import InputError
from vesuv.inference.best_file import open_best
from vesuv.inference.bundle import open_bundles
from vesuv.inference.instances.networks import open_boundary_ensemble, open_boundary_members
from vesuv.inference.instances.parameters import (
    InstanceSelection,
    instances_file_of,
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
        self.check_best()
        if self.bundles and (self.runs or self.best or self.checkpoints or not predicts):
            raise InputError(
                "--model: names the networks that predict --input; leave --run, --best and "
                "--checkpoint out"
            )
        if predicts and not self.runs and not self.bundles and self.best is None:
            raise InputError(
                "--run: --input needs the runs that predict it; name log/<config>/fold_<k>"
            )
        if self.checkpoints and (not predicts or len(self.checkpoints) > 1):
            raise InputError("--checkpoint: names the one that predicts --input; leave others out")

    def check_best(self) -> None:
        """Refuse runs and checkpoints beside a best.json.

        Raises:
            InputError: Names the option.
        """
        for option, value in {"--run": self.runs, "--checkpoint": self.checkpoints}.items():
            if value and self.best is not None:
                raise InputError(
                    f"{option}: --best names runs and checkpoints itself; leave one out"
                )

    def selection(self, parameters: Path | None) -> InstanceSelection:
        """Return the parameters of a file; without one those of the runs or of best.json.

        Raises:
            InputError: They are missing or invalid.
        """
        if parameters is not None:
            return read_selection(parameters)
        if self.best is not None:
            return read_selection(instances_file_of(self.best), self.best)
        if self.bundles:
            raise InputError(
                "--parameters: --model needs an instances.json of its networks; name one"
            )
        return selection_of_runs(self.runs)

    def open(self, selection: InstanceSelection, changes: Sequence[str]) -> list[Member]:
        """Read the networks.

        Raises:
            InputError: They cannot be used, or were not trained for the class of the selection.
        """
        if self.bundles:
            return open_boundary_ensemble(partial(open_bundles, self.bundles), selection, changes)
        if self.best is not None:
            return open_boundary_ensemble(partial(open_best, self.best), selection, changes)
        name = self.checkpoints[0] if self.checkpoints else None
        return open_boundary_members(self.runs, selection, name, changes)
