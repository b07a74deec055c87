"""Prediction of files through the library, step by step as the command line does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from vesuv.inference.best_file import open_best
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.chosen_mask import choose_mask
from vesuv.inference.files import FilePrediction, check_output
from vesuv.inference.inputs import find_inputs
from vesuv.inference.members import open_members
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.predictor import Predictor
from vesuv.runs.checkpoints import read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.types import Say, silent


def network_of(run: RunFolder) -> nn.Module:
    """Return the network of a run's best checkpoint."""
    checkpoint = read_checkpoint(run.checkpoint("best"))
    return TrainedNetwork.from_checkpoint(checkpoint, torch.device("cpu")).network


def predict_files(
    runs: Sequence[Path],
    source: Path,
    output: Path,
    *,
    best: Path | None = None,
    threshold: float | None = None,
    postprocess: str | None = None,
    weights: Sequence[float] | None = None,
    probabilities: bool = False,
    uncertainty: bool = False,
    calibrated: bool = False,
    submission: Path | None = None,
    changes: Sequence[str] = (),
    say: Say = silent,
    overwrite: bool = False,
    blocks: BlockSettings | None = None,
) -> list[Path]:
    """Predict every volume of `source` with some runs, or with those of a best.json."""
    members = open_members(runs, changes=changes) if best is None else open_best(best, changes)
    mask = choose_mask(members, threshold, postprocess)
    check_output(source, output)
    volumes = find_inputs(source, num_channels=members[0].config.model.in_channels)
    predictor = Predictor.of_members(members, mask.settings, weights=weights)
    prediction = FilePrediction(
        members,
        mask,
        predictor,
        output,
        probabilities,
        submission,
        say=say,
        overwrite=overwrite,
        uncertainty=uncertainty,
        calibrated=calibrated,
        blocks=blocks or BlockSettings(),
    )
    return prediction.run(volumes)
