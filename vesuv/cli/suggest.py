"""vesuv suggest: cubes that are worth labelling next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter
from cyclopts.validators import Number

from vesuv.cli.console import console
from vesuv.cli.networks import open_networks
from vesuv.cli.options import Changes, Checkpoints, Switch, several, with_option_changes
from vesuv.cli.progress import progress_on
from vesuv.cli.tables import rich_table
from vesuv.config.training import Views
from vesuv.data.cubes import LABELS
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.inputs import left_out_note
from vesuv.inference.predictor import Predictor
from vesuv.inference.suggestion.cubes import cube_size, table_of
from vesuv.inference.suggestion.files import FileSuggestion
from vesuv.inference.suggestion.volumes import partly_labelled_cases, unlabelled_volumes
from vesuv.io.printable import number_of


def suggest(
    *,
    output: Path,
    source: Annotated[Path | None, Parameter("--input")] = None,
    run: Annotated[tuple[Path, ...] | None, several("--run")] = None,
    best: Path | None = None,
    model: Annotated[tuple[Path, ...] | None, several("--model")] = None,
    checkpoint: Checkpoints = None,
    number: Annotated[int, Parameter(validator=Number(gte=1))] = 8,
    size: Annotated[tuple[int, ...] | None, several("--size")] = None,
    random: int | None = None,
    views: Views | None = None,
    device: str | None = None,
    changes: Changes = (),
    blocks: Switch = False,
    block_size: int = BlockSettings.block_size,
) -> None:
    """Suggest cubes to label next: those in which networks and views disagree most.

    Writes images/, labels/ with the value to ignore everywhere, suggestions.csv with places and
    scores, and train.yaml, which trains on the data of the run and on the cubes. Paint any part of
    the labels in any tool first.

    Args:
        output: New folder for the cubes.
        source: An unlabelled volume, or a folder of them (default: the partly labelled cases that
            the runs were trained on).
        run: Run folders, log/<config>/fold_<k> …
        best: best.json of find_best, in place of --run.
        model: Bundles of export, in place of --run …
        checkpoint: Checkpoints of each run … (default: the selected one).
        number: Number of cubes.
        size: Edge of the cubes in voxels, or edges along z, y, x (default: the patch of the run, 64
            at most).
        random: Seed of random places, in place of those of the largest disagreement.
        views: Compare none, mirror (8), all (48) (default: as selected; mirror where there is one
            network without views): --set inference.views=…
        device: auto, cpu, cuda or mps: --set runtime.device=…
        changes: Changes to the runs' configuration: section.key=value …
        blocks: Predict block by block also what fits into memory.
        block_size: Edge of the blocks of a large volume, a multiple of 16.
    """
    out = console()
    all_changes = with_option_changes(changes, views=views, device=device)
    members = open_networks(run, best, model, checkpoint, all_changes)
    predictor = Predictor.of_members(members)
    is_alone = random is None and not predictor.ensemble.has_several_predictions
    if is_alone and not any(change.startswith("inference.views=") for change in all_changes):
        predictor = predictor.with_views("mirror")
        out.print("one network without views: its mirrored views are compared")
    torch.set_num_threads(predictor.machine.threads)
    suggestion = FileSuggestion(
        members,
        predictor,
        output,
        number,
        cube_size(predictor, size),
        random,
        blocks,
        block_size,
        say=lambda line: out.print(line),
        show_progress=progress_on(out),
    )
    if source is None:
        volumes = partly_labelled_cases(members)
    else:
        volumes = unlabelled_volumes(source, members[0].config)
        if note := left_out_note(source):
            out.print(note)
    cubes = suggestion.run(volumes)
    out.print(rich_table(table_of(cubes)))
    out.print(f"written: {number_of(len(cubes), 'cube')} in {output}")
    out.print(f"paint {output / LABELS}, then: {suggestion.training_command()}")
