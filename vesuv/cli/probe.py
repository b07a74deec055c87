"""vesuv probe: which family of features the labels need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter
from rich.table import Table

from vesuv.cli.console import console
from vesuv.cli.options import Changes, ConfigFile
from vesuv.cli.prepare import open_or_prepare
from vesuv.config import load_config
from vesuv.io.tables import write_json
from vesuv.runtime.machine import resolve
from vesuv.training.feature_probe import probe_features
from vesuv.training.fold_data import TrainingData, fold_data, with_channels
from vesuv.training.pretrained import read_pretrained


def probe(
    *,
    config: ConfigFile,
    pretrained: Path,
    fold: Annotated[int, Parameter("--fold")] = 0,
    changes: Changes = (),
    output: Path | None = None,
) -> None:
    """Read the labels out of frozen features, by family: geometric, textural, contextual.

    Geometric and textural features come of fixed filters, contextual ones of the coarse levels of
    the pre-trained network. A logistic regression is fitted on training cases of the fold and
    judged on its held-out cases.

    Args:
        config: Configuration file (YAML), or the name of a shipped one.
        pretrained: A pre-training, a run, a bundle or a checkpoint file.
        fold: Fold whose cases are used.
        changes: Changes to the configuration: section.key=value …
        output: Write the scores into this JSON file too.
    """
    weights = read_pretrained(pretrained)
    settings = load_config(config, changes)
    torch.set_num_threads(resolve(settings.runtime).threads)
    data = TrainingData.of_store(open_or_prepare(settings), settings)
    settings = with_channels(settings, data)
    result = probe_features(settings, fold_data(data, settings, fold), weights)
    out = console()
    for line in result.loaded.lines(settings):
        out.print(line)
    table = Table("Families", "Features", "Held-out Dice")
    for score in result.scores:
        table.add_row(score.families, str(score.num_features), f"{score.dice:.3f}")
    out.print(table)
    out.print(result.sentence)
    if output is not None:
        scores = [vars(score) for score in result.scores]
        content = {"scores": scores, "needed": result.needed, "sentence": result.sentence}
        write_json(output, content)
        out.print(f"written: {output}")
