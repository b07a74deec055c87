"""Start of a run in its folder: what may lie there, what a run that goes on keeps, its record."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from vesuv.config.section import Section
from vesuv.errors import InputError
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import Machine


def check_folder(run: RunFolder, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that holds a run, or that holds none to resume.

    Raises:
        InputError: It does; or it holds links, or files of the user with names of a run's; or it
            shall both go on and start again.
    """
    if resume and overwrite:
        raise InputError("--resume: goes on with a run, found --overwrite; leave one out")
    if resume and not run.exists:
        raise InputError(f"{run.path}: no run to resume; leave --resume out to start one")
    if run.exists and not resume and not overwrite:
        raise InputError(
            f"{run.path}: holds a run already; --resume goes on with it, --overwrite starts again, "
            "--output DIR writes elsewhere"
        )
    run.check_no_links()
    if not resume:
        run.check_may_be_replaced()


def check_unchanged(
    run: RunFolder, changed: Sequence[str], fold: int | str, fingerprint: str, data: object
) -> None:
    """Refuse to go on with other settings, another fold or other data.

    Args:
        run: The run's folder.
        changed: Keys that have other values and must not, as they are named to the user.
        fold: Fold to train.
        fingerprint: Digest of the data.
        data: The data, in a word.

    Raises:
        InputError: Names what differs.
    """
    if changed:
        raise InputError(
            f"{run.config_file}: a resumed run keeps its configuration, found other values for "
            f"{', '.join(changed)}; put them back, or start a new run with --output DIR"
        )
    facts = run.facts
    if facts.fold != fold:
        raise InputError(f"{run.path}: is a run of fold {facts.fold}, asked to resume fold {fold}")
    if facts.data_fingerprint != fingerprint:
        raise InputError(
            f"{run.path}: was trained on other data than {data} holds now; start a new run"
        )


def machine_facts(machine: Machine, seed: int) -> dict[str, Any]:
    """Return what run.json says of the machine and the seed of a run."""
    return {
        "seed": seed,
        "device": str(machine.device),
        "precision": machine.precision,
        "processes": machine.group.size,
    }


def record_start(
    run: RunFolder, config: Section, facts: Mapping[str, Any], *, resume: bool
) -> None:
    """Write config.yaml and run.json; the files of an earlier run go unless it goes on.

    Args:
        run: The run's folder.
        config: Configuration of the run.
        facts: Content of run.json beside the time of the start.
        resume: Whether the run goes on; it keeps the time of its start.
    """
    started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    if resume:
        started = run.facts.started or started
    else:
        with run.selection_lock():
            run.clear()
    run.create(config, {"started": started, **facts})
