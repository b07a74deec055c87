"""vesuv import_nnunet: a trained nnU-Net as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from vesuv.cli.console import console
from vesuv.cli.options import Switch, several
from vesuv.inference.bundle import write_bundle
from vesuv.inference.bundle.writing import check_output
from vesuv.inference.nnunet import read_results


def import_nnunet(
    results: Path,
    /,
    *,
    output: Path,
    fold: Annotated[tuple[str, ...] | None, several("--fold")] = None,
    checkpoint: Literal["final", "best"] = "final",
    licence: str | None = None,
    overwrite: Switch = False,
) -> None:
    """Write a trained nnU-Net v2 as a bundle, for `predict --model` and `train --pretrained`.

    No code that the files name is executed.

    Args:
        results: Folder nnUNet_results/Dataset…/<trainer>__<plans>__3d_fullres.
        output: Folder to write.
        fold: Folds …, numbers or all; several are averaged (default: all numbers that are there).
        checkpoint: checkpoint_final.pth or checkpoint_best.pth.
        licence: Licence of the weights, for bundle.json and the model card.
        overwrite: Replace a bundle that is there.
    """
    out = console()
    check_output(output, overwrite=overwrite)
    model = read_results(results, fold, checkpoint, licence)
    for one in model.members:
        out.print(f"{one.checkpoint.path}: epoch {one.checkpoint.epoch}")
    write_bundle(output, model.members, model.card, licence=licence, overwrite=overwrite)
    for note in model.notes:
        out.print(f"note: {note}")
    out.print(f"written: {output}")
