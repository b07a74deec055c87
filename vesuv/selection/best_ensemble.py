"""The ensemble of a best.json on the volumes that its networks were trained without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vesuv.inference.best_file import read_best
from vesuv.inference.instances.parameters import instances_file_of
from vesuv.inference.members import inference_changes
from vesuv.runs.records import SelectedInference
from vesuv.selection.find_best import RunsByConfiguration, open_configurations
from vesuv.selection.held_out import HeldOutRun, predict_held_out
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.selection.systems import predict_ensembles
from vesuv.types import Say, ShowProgress


@dataclass(frozen=True)
class BestEnsemble:
    """Runs of one configuration, or of several that are averaged."""

    path: Path
    """best.json."""
    configurations: RunsByConfiguration
    checkpoints: Mapping[str, str]
    """Name of a configuration -> checkpoint of its runs."""

    @classmethod
    def open(cls, path: Path, changes: Sequence[str] = ()) -> Self:
        """Open the runs of a best.json, with the inference settings that it was chosen with.

        Raises:
            InputError: The file or a run cannot be used.
        """
        best = read_best(path)
        judged = inference_changes(best.inference or SelectedInference())
        runs = [Path(one.run) for one in best.members]
        configurations = open_configurations(runs, [*judged, *changes])
        checkpoints = {Path(one.run): one.checkpoint for one in best.members}
        names = {name: checkpoints[opened[0].run.path]
                 for name, opened in configurations.items()}  # fmt: skip
        return cls(path, configurations, names)

    @property
    def runs(self) -> list[HeldOutRun]:
        """Runs of the first configuration, which hold out each case once."""
        return next(iter(self.configurations.values()))

    @property
    def instances_file(self) -> Path:
        """File of the parameters of its instances."""
        return instances_file_of(self.path)

    @property
    def digests(self) -> list[str]:
        """SHA-256 of the checkpoints."""
        return [
            one.digest(self.checkpoints[name])
            for name, runs in self.configurations.items()
            for one in runs
        ]

    def predict(self, say: Say, show_progress: ShowProgress) -> list[OofPredictions]:
        """Predict the held-out cases, except cases in the cache of find_best."""
        if len(self.configurations) == 1:
            names = list(self.checkpoints.values())
            return predict_held_out(self.runs, names, say, show_progress)[0]
        ensemble = tuple(self.configurations)
        means = predict_ensembles([ensemble], self.configurations, self.checkpoints, show_progress)
        return [means[ensemble]]
