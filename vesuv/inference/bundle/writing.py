"""Writing of a bundle: the whole folder or nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch

from vesuv import __version__
from vesuv.config import Config, dump_config
from vesuv.errors import InputError
from vesuv.inference.bundle.onnx_export import check_onnx, write_onnx
from vesuv.inference.bundle.processing import PROCESSING, processing
from vesuv.inference.bundle.record import (
    BUNDLE,
    FORMAT_VERSION,
    MODEL_CARD,
    BundleRecord,
    NetworkRecord,
)
from vesuv.inference.members import Member, check_compatible, file_digest
from vesuv.io.atomic import atomic_replace, catch_write_errors, write_text
from vesuv.runs.checkpoints import mask_weights
from vesuv.runs.records import SelectedModel

_SETTINGS = ("validation", "selection", "inference", "runtime")
"""Sections that a run may change after training; the others are those of the checkpoint."""


def write_bundle(
    folder: Path,
    members: Sequence[Member],
    card: str,
    *,
    licence: str | None = None,
    onnx: bool = False,
    overwrite: bool = False,
) -> None:
    """Write networks as a bundle; `open_bundle` returns the same predictions to the bit.

    Args:
        folder: Folder to write.
        members: Networks whose probabilities are averaged, each with its weight in the mean.
        card: Content of model_card.md.
        licence: Licence of the weights.
        onnx: Write each network as ONNX too, and processing.json.
        overwrite: Replace a bundle that is there.

    Raises:
        InputError: The folder exists, or cannot be written; or networks that cannot be averaged.
    """
    check_output(folder, overwrite=overwrite)
    if onnx:
        check_onnx()
    check_compatible(members)
    names = network_names(members)
    with catch_write_errors(folder), atomic_replace(folder, flush=True) as temporary:
        temporary.mkdir()
        networks = [
            _write_network(temporary, name, member)
            for name, member in zip(names, members, strict=True)
        ]
        if onnx:
            _write_onnx(temporary, names, members)
        record = BundleRecord(
            format_version=FORMAT_VERSION,
            vesuv=__version__,
            licence=licence,
            labels=members[0].checkpoint.config.labels,
            networks=tuple(networks),
            files={path.name: file_digest(path) for path in sorted(temporary.iterdir())},
        )
        write_text(temporary / MODEL_CARD, card)
        _write_json(temporary / BUNDLE, record.model_dump(mode="json"))


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that exists; with `overwrite` only one that is no bundle.

    Raises:
        InputError: Names the folder.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"--output: {folder} is no folder; name another one")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / BUNDLE).is_file():
        raise InputError(
            f"--output: {folder} holds other files and no {BUNDLE}, so it is not replaced; name "
            "another folder"
        )
    if not overwrite:
        raise InputError(
            f"--output: {folder} is a bundle already; name another folder, or replace it with "
            "--overwrite"
        )


def _write_network(folder: Path, name: str, member: Member) -> NetworkRecord:
    checkpoint = member.checkpoint
    record = NetworkRecord(
        name=name,
        weight=member.weight,
        epoch=checkpoint.epoch,
        normalizer=checkpoint.normalizer,
        training_images=member.training_images,
    )
    weights_file = folder / record.weights_file
    weights = mask_weights(checkpoint.model)
    tensors = {key: value.contiguous().clone() for key, value in weights.items()}
    weights_file.write_bytes(safetensors.torch.save(tensors))
    write_text(folder / record.config_file, dump_config(_portable_config(member)))
    selected = _selection_of(member, name, file_digest(weights_file))
    return record.model_copy(update={"selected": selected})


def _write_onnx(folder: Path, names: Sequence[str], members: Sequence[Member]) -> None:
    files = [f"{name}.onnx" for name in names]
    for file, member in zip(files, members, strict=True):
        write_onnx(folder / file, member.checkpoint, members[0].inference.average)
    _write_json(folder / PROCESSING, processing(members, files))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _portable_config(member: Member) -> Config:
    """Return the configuration of the network, without the paths of its training data."""
    trained = member.checkpoint.config
    data = trained.data.model_copy(update={"root": "data", "store": None, "cubes": ()})
    settings = {key: getattr(member.config, key) for key in _SETTINGS}
    train = trained.train.model_copy(update={"pretrained": None})
    return trained.model_copy(update={"data": data, "train": train, **settings})


def _selection_of(member: Member, name: str, digest: str) -> SelectedModel | None:
    """Return the selection of the bundle's file; that of an outdated one keeps its digest."""
    if member.selected is None:
        return None
    update = {"checkpoint": name}
    if not member.is_outdated:
        update["checkpoint_sha256"] = digest
    return member.selected.model_copy(update=update)


def network_names(members: Sequence[Member]) -> list[str]:
    """Return a file name for each network, of run and checkpoint; all numbered where two agree.

    A network of a bundle keeps its name.
    """
    words = [
        one.name if one.bundle_files else f"{one.folder.resolve().name}_{one.name}"
        for one in members
    ]
    names = [re.sub(r"[^A-Za-z0-9_]+", "_", word)[:100] for word in words]
    if len(set(names)) == len(names):
        return names
    return [f"{name}_{number}" for number, name in enumerate(names, start=1)]
