"""Reading of a bundle: every file is checked, and no code of it is executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from vesuv import migrations
from vesuv.config import load_config
from vesuv.errors import InputError, command
from vesuv.files import check_regular, read_json
from vesuv.inference.bundle.record import BUNDLE, BundleRecord, NetworkRecord
from vesuv.inference.members import Member, check_compatible, file_digest, predicting_config
from vesuv.runs.checkpoints import Checkpoint
from vesuv.runs.fields import first_fault


def is_bundle(folder: Path) -> bool:
    """Return whether a folder holds a bundle.json."""
    try:
        return (folder / BUNDLE).is_file()
    except OSError:  # a name too long for the file system
        return False


def open_bundles(folders: Sequence[Path], changes: Sequence[str] = ()) -> list[Member]:
    """Read the networks of several bundles; arguments and errors are those of `open_bundle`."""
    members = [member for folder in folders for member in open_bundle(folder, changes)]
    check_compatible(members)
    return members


def open_bundle(folder: Path, changes: Sequence[str] = ()) -> list[Member]:
    """Read the networks of a bundle, with their selections.

    Args:
        folder: Folder that `write_bundle` wrote.
        changes: `section.key=value`, see `vesuv.inference.members.trained_config`.

    Raises:
        InputError: It is no bundle, a file is missing, damaged or changed, or the bundle is of
            another format.
    """
    record = read_record(folder)
    members = [_open_network(folder, record, network, changes) for network in record.networks]
    check_compatible(members)
    return members


def read_record(folder: Path) -> BundleRecord:
    """Read the bundle.json of a bundle.

    Raises:
        InputError: It is missing, invalid, or of another format.
    """
    path = folder / BUNDLE
    if not is_bundle(folder):
        raise InputError(
            f"{folder!s:.200}: is no bundle (no {BUNDLE}); name a folder that {command('export')} "
            "wrote"
        )
    content = migrations.BUNDLE.migrated(read_json(path), path)
    try:
        return BundleRecord.model_validate(content)
    except ValidationError as fault:
        raise InputError(f"{path}: {first_fault(fault)}; export the bundle anew") from None


def _open_network(
    folder: Path, record: BundleRecord, network: NetworkRecord, changes: Sequence[str]
) -> Member:
    names = (network.weights_file, network.config_file)
    files = {name: _checked_digest(folder / name, record.files) for name in names}
    config_with = partial(load_config, folder / network.config_file, paths_from=Path())
    checkpoint = Checkpoint(
        path=folder / network.weights_file,
        model=_read_tensors(folder / network.weights_file),
        config=config_with(),
        normalizer=network.normalizer,
        epoch=network.epoch,
        measure=None,
        training=None,
    )
    config, note = predicting_config(config_with, network.selected, changes)
    return Member(
        folder=folder,
        name=network.name,
        checkpoint=checkpoint,
        config=config,
        selected=network.selected,
        precision_note=note,
        training_images=network.training_images,
        weight=network.weight,
        bundle_files={BUNDLE: file_digest(folder / BUNDLE), **files},
    )


def _checked_digest(path: Path, recorded: Mapping[str, str]) -> str:
    """Return the digest of a file, which must be the recorded one."""
    try:
        check_regular(path)
        digest = file_digest(path)
    except OSError as fault:
        raise InputError(
            f"{path}: file of the bundle cannot be read ({fault.strerror}); copy the whole folder"
        ) from None
    if digest != recorded.get(path.name):
        wanted = recorded.get(path.name, "none")
        raise InputError(
            f"{path}: is not the file that {BUNDLE} records (SHA-256 {digest[:12]}…, recorded "
            f"{wanted[:12]}…); copy the bundle anew"
        )
    return digest


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as fault:
        reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise InputError(f"{path}: is no safetensors file ({reason:.160}); export anew") from None
