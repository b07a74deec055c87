"""vesuv init: a configuration for a folder of volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter
from cyclopts.validators import Number

from vesuv.cli.console import console
from vesuv.cli.options import DryRun, Switch
from vesuv.cli.progress import shown_progress
from vesuv.config.training import RuntimeConfig
from vesuv.errors import InputError, command
from vesuv.io.atomic import write_text
from vesuv.io.places import check_place
from vesuv.planning.residual_sizing import NetworkName
from vesuv.planning.speed import timing_doubt
from vesuv.planning.start import plan, read_source
from vesuv.planning.text import proposal_text
from vesuv.runtime.machine import resolve


def init(
    data: Path,
    /,
    *,
    output: Path | None = None,
    minutes: Annotated[float, Parameter(validator=Number(gt=0))] = 30.0,
    memory: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    network: NetworkName = "auto",
    overwrite: Switch = False,
    dry_run: DryRun = False,
) -> None:
    """Look at a folder of volumes and write a configuration that trains as it is.

    Nothing is asked; every choice is printed with its reason, and stands as a comment in the file.
    Known layouts: Kaggle, nnU-Net, two folders of images and labels, x_image and x_label side by
    side, OME-Zarr with labels.

    Args:
        data: Folder of the raw data.
        output: Configuration file (default: <folder>.yaml in the current folder).
        minutes: Duration of a training run.
        memory: GB that training may take (default: most of what is available).
        network: Network to propose. auto: nnU-Net's residual encoder where memory and minutes are
            enough for one of its presets, else the plain U-Net.
        overwrite: Replace an existing file.
        dry_run: Print the choices and write nothing.
    """
    file = output or Path(f"{_name(data)}.yaml")
    _check_output(file, overwrite=overwrite)
    machine = resolve(RuntimeConfig())
    torch.set_num_threads(machine.threads)
    doubt = timing_doubt(machine)
    out = console()
    with shown_progress(out, "Reading", "cases") as progress:
        source = read_source(data, progress)
    proposal = plan(source, minutes, None if memory is None else memory * 1e9, network)
    for choice in proposal.choices:
        out.print(f"{choice.topic + ':':<15}{choice.reason}")
    for warning in filter(None, (doubt, proposal.schedule.warning)):
        out.print(f"{'warning:':<15}{warning}")
    train = command("train", "--config", file, "--fold", 0)
    if dry_run:
        out.print(f"would write: {file}")
        return
    write_text(file, proposal_text(proposal, train))
    out.print(f"written: {file}; next: {train}")


def _name(data: Path) -> str:
    name = data.resolve().name
    return name.removesuffix(".zarr").removesuffix(".ome") or "data"


def _check_output(file: Path, *, overwrite: bool) -> None:
    if file.suffix not in (".yaml", ".yml"):
        raise InputError(f"--output: a configuration ends in .yaml, found {file.name}; rename it")
    if file.is_dir():
        raise InputError(f"--output: {file} is a folder; name a file in it")
    check_place(file.parent)
    if file.exists() and not overwrite:
        raise InputError(
            f"--output: {file} exists already; --overwrite replaces it, another name keeps both"
        )
