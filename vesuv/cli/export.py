"""vesuv export: runs or bundles as a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from vesuv.cli.console import console
from vesuv.cli.networks import open_networks
from vesuv.cli.options import Checkpoints, Switch, several
from vesuv.inference.bundle import (
    common_licence,
    model_card,
    training_facts,
    with_text_of,
    write_bundle,
)
from vesuv.inference.bundle.writing import check_output
from vesuv.inference.ensemble import check_weights


def export(
    *,
    run: Annotated[tuple[Path, ...] | None, several("--run")] = None,
    best: Path | None = None,
    model: Annotated[tuple[Path, ...] | None, several("--model")] = None,
    checkpoint: Checkpoints = None,
    weights: Annotated[tuple[float, ...] | None, several("--weights")] = None,
    output: Path,
    licence: str | None = None,
    onnx: Switch = False,
    overwrite: Switch = False,
) -> None:
    """Write runs as a bundle: one folder with all that predictions need.

    `predict --model` and `vesuv.load` read it, on any computer.

    Args:
        run: Run folders, log/<config>/fold_<k> …; several are averaged.
        best: best.json of find_best, in place of --run.
        model: Bundles, in place of --run; their texts and licence are kept.
        checkpoint: Checkpoints of each run, averaged … (default: the selected one).
        weights: Weight in the mean of each run or, by run, of each checkpoint … (default: equal;
            of bundles their own).
        output: Folder to write.
        licence: Licence of the weights, for bundle.json and the model card.
        onnx: Write <name>.onnx and processing.json too, for programs without vesuv.
        overwrite: Replace a bundle of an earlier export.
    """
    out = console()
    check_output(output, overwrite=overwrite)
    members = open_networks(run, best, model, checkpoint)
    if model and licence is None:
        licence = common_licence(model)
    if weights is not None:
        check_weights(weights, members)
        pairs = zip(members, weights, strict=True)
        members = [replace(member, weight=weight) for member, weight in pairs]
    for one in members:
        note = ", trained on since it was selected" if one.is_outdated else ""
        out.print(f"{one.folder}: {one.name}, epoch {one.checkpoint.epoch}{note}")
    facts = None if model else training_facts(members, best)
    card = model_card(members, facts, licence, onnx=onnx)
    if model:
        card = with_text_of(model, card)
    write_bundle(output, members, card, licence=licence, onnx=onnx, overwrite=overwrite)
    out.print(f"written: {output}")
    if licence is None:
        out.print("note: no licence is named; --licence states one in the bundle")
