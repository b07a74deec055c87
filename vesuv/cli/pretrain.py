"""vesuv pretrain: masked reconstruction of unlabelled volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter

from vesuv.cli.console import console
from vesuv.cli.options import Changes, ConfigFile, DryRun, Switch
from vesuv.cli.progress import shown_progress
from vesuv.cli.train import training_listener
from vesuv.config import Config, load_config
from vesuv.config.shipped import config_path
from vesuv.data.store import Store
from vesuv.report.page import NAME as PAGE
from vesuv.runs.folder import RunFolder
from vesuv.runtime.distributed import join_processes
from vesuv.runtime.machine import for_training, resolve
from vesuv.training.pretraining import (
    as_pretraining,
    find_unlabelled,
    prepare_unlabelled,
    pretraining_folder,
    recorded_store,
    unlabelled_data,
    unlabelled_store,
    with_store,
)
from vesuv.training.resumption import resumed_config
from vesuv.training.run_start import check_folder
from vesuv.training.train import train_fold


def pretrain(
    *data: Annotated[Path, Parameter(help="Unlabelled volumes, or folders of volumes.")],
    config: ConfigFile,
    changes: Changes = (),
    output: Path | None = None,
    resume: Switch = False,
    overwrite: Switch = False,
    dry_run: DryRun = False,
) -> None:
    """Pre-train the network of a configuration on unlabelled volumes, by masked reconstruction.

    A run starts from the result with `vesuv train --pretrained`.

    Args:
        data: Unlabelled volumes, or folders of volumes, in any format that predictions read.
        config: Configuration file (YAML), or the name of a shipped one.
        changes: Changes to the configuration: section.key=value …
        output: Folder of the run (default log/<config>/pretrain).
        resume: Go on from checkpoints/last.pt; the volumes are those of the run.
        overwrite: Start again where a run lies already.
        dry_run: Check the volumes' paths, say what would be read and written, and write nothing.
    """
    with join_processes() as group:
        settings = as_pretraining(load_config(config, changes))
        run = RunFolder(output or pretraining_folder(settings))
        if group.is_main:
            check_folder(run, resume=resume, overwrite=overwrite)
        if resume:
            settings = as_pretraining(resumed_config(run, config, changes))
        if dry_run:
            _print_plan(settings, data, run)
            return
        store = _prepare(settings, data, run, resume=resume) if group.is_main else None
        group.wait()
        store = store or _prepare(settings, data, run, resume=resume)
        settings = with_store(settings, store)
        machine = for_training(resolve(settings.runtime, group), settings)
        torch.set_num_threads(machine.threads)
        origin = {
            "config_file": str(config_path(config)),
            "overrides": [*(run.facts.overrides if resume else ()), *changes],
        }
        with training_listener(console(), settings) as listener:
            train_fold(
                settings,
                unlabelled_data(store, settings),
                "all",
                run,
                machine,
                listener,
                resume=resume,
                overwrite=overwrite,
                origin=origin,
            )
        if group.is_main:
            console().print(f"page: {run.path / PAGE}")


def _print_plan(settings: Config, data: tuple[Path, ...], run: RunFolder) -> None:
    """Print what would be read and written; the volumes are not opened."""
    out = console()
    files = find_unlabelled(settings, data)
    out.print(f"would read: {len(files)} volumes")
    for path in (unlabelled_store(settings, files), run.path):
        out.print(f"would write: {path}")


def _prepare(settings: Config, data: tuple[Path, ...], run: RunFolder, *, resume: bool) -> Store:
    """Prepare the volumes, or open those of the run that goes on."""
    if resume:
        return recorded_store(run, data)
    out = console()
    with shown_progress(out, "Preparing", "volumes") as progress:
        store = prepare_unlabelled(
            settings,
            find_unlabelled(settings, data),
            progress=progress,
            notes=lambda note: out.print(note),
        )
    out.print(f"{len(store.cases)} unlabelled volumes in {store.path}")
    return store
