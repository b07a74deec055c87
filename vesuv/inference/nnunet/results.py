"""A results folder of nnU-Net as members of an ensemble, and their model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vesuv.config import Config, check
from vesuv.config.dataset_json import DatasetJson, read_dataset_json
from vesuv.data.statistics import DatasetStatistics
from vesuv.errors import InputError
from vesuv.inference.bundle import model_card
from vesuv.inference.members import Member
from vesuv.inference.nnunet.checkpoint import (
    NnunetCheckpoint,
    own_weights,
    read_nnunet_checkpoint,
)
from vesuv.inference.nnunet.plans import Plans, read_plans
from vesuv.models import build_model
from vesuv.runs.checkpoints import Checkpoint
from vesuv.transforms.normalize import build_normalizer

_ALL_AXES = (0, 1, 2)


@dataclass(frozen=True)
class ImportedModel:
    """Networks of a results folder.

    Args:
        members: One for each fold.
        card: Content of the bundle's model_card.md.
        notes: Sentences on what differs from nnU-Net's own prediction.
    """

    members: list[Member]
    card: str
    notes: list[str]


def read_results(
    folder: Path,
    folds: Sequence[str] | None = None,
    checkpoint: str = "final",
    licence: str | None = None,
) -> ImportedModel:
    """Read the trained networks of nnU-Net v2; nothing that the files name is executed.

    Args:
        folder: nnUNet_results/Dataset…/<trainer>__<plans>__<configuration>.
        folds: Folds: numbers, or all; None: every number that is there, else all.
        checkpoint: final or best.
        licence: Licence of the weights, for the card.

    Raises:
        InputError: A file is missing or damaged, or needs what vesuv does not have.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; name nnUNet_results/Dataset…/<trainer>__<plans>__3d_fullres"
        )
    names = [f"fold_{fold}" for fold in folds] if folds else _finished_folds(folder, checkpoint)
    checkpoints = [
        read_nnunet_checkpoint(folder / name / f"checkpoint_{checkpoint}.pth") for name in names
    ]
    plans = read_plans(folder, checkpoints[0].configuration)
    config = _config(plans, read_dataset_json(folder), checkpoints[0])
    members = [
        _member(folder / name, checkpoint, config, plans, one)
        for name, one in zip(names, checkpoints, strict=True)
    ]
    notes = _notes(plans, checkpoints)
    card = model_card(members, licence=licence) + _origin(folder, plans, checkpoints, notes)
    return ImportedModel(members, card, notes)


def _finished_folds(folder: Path, checkpoint: str) -> list[str]:
    """Return the folders of folds with a checkpoint; fold_all only where there is no other."""
    files = folder.glob(f"fold_*/checkpoint_{checkpoint}.pth")
    names = sorted(path.parent.name for path in files)
    numbered = [name for name in names if name != "fold_all"]
    if not names:
        raise InputError(
            f"{folder}: holds no fold_*/checkpoint_{checkpoint}.pth; name "
            "nnUNet_results/Dataset…/<trainer>__<plans>__3d_fullres, or another --checkpoint"
        )
    return numbered or names


def _config(plans: Plans, dataset: DatasetJson, checkpoint: NnunetCheckpoint) -> Config:
    """Return the configuration that predicts as nnU-Net does."""
    labels = _labels(dataset)
    num_channels = len(plans.normalizations)
    num_logits = len(labels["regions"]) if "regions" in labels else len(labels["classes"])
    normalize = plans.normalizations[0]
    if any(one != normalize for one in plans.normalizations):
        normalize = {"name": "by_channel", "channels": plans.normalizations}
    tree: dict[str, Any] = {
        "name": plans.dataset.replace("/", "_"),
        "data": {"root": "data", "spacing": plans.spacing, "normalize": normalize},
        "labels": labels,
        "sampling": {"patch_size": plans.patch_size},
        "model": {**plans.network, "in_channels": num_channels, "out_channels": num_logits},
        "phases": [{"epochs": [0, None], "weights": {"dice": 1.0, "cross_entropy": 1.0}}],
        "train": {"epochs": max(checkpoint.epoch, 1)},
        "inference": {
            "overlap": 0.5,
            "average": "logits",
            "views": "mirror" if checkpoint.mirror_axes == _ALL_AXES else "none",
        },
        "runtime": {"precision": "float32"},
    }
    return check(tree, str(plans.path))


def _labels(dataset: DatasetJson) -> dict[str, Any]:
    """Return the section `labels`, with the classes in the order of nnU-Net's channels.

    Raises:
        InputError: Labels that nnU-Net does not have either.
    """
    section = dataset.labels_section()
    if "regions" in section:
        return section
    classes = dict(sorted(section["classes"].items(), key=lambda entry: _first(entry[1])))
    if [_first(value) for value in classes.values()] != list(range(len(classes))):
        raise InputError(
            f"{dataset.path}: labels: nnU-Net's are 0, 1, 2 … without gaps, found "
            f"{dict(dataset.labels)!r:.200}; use the dataset.json of the results folder"
        )
    return {**section, "classes": classes}


def _first(value: int | list[int]) -> int:
    return value[0] if isinstance(value, list) else value


def _member(
    folder: Path, name: str, config: Config, plans: Plans, checkpoint: NnunetCheckpoint
) -> Member:
    if checkpoint.configuration != plans.configuration:
        raise InputError(
            f"{checkpoint.path}: was trained with configuration {checkpoint.configuration:.60}, "
            f"the first fold with {plans.configuration:.60}; import folds of one training"
        )
    with torch.device("meta"):
        expected = build_model(config.model).state_dict()
    return Member(
        folder=folder,
        name=name,
        checkpoint=Checkpoint(
            path=checkpoint.path,
            model=own_weights(checkpoint, expected, plans.file_axes),
            config=config,
            normalizer=build_normalizer(config.data.normalize, DatasetStatistics(0, None)),
            epoch=checkpoint.epoch,
            measure=None,
            training=None,
        ),
        config=config,
    )


def _notes(plans: Plans, checkpoints: Sequence[NnunetCheckpoint]) -> list[str]:
    checkpoint = checkpoints[0]
    notes = [
        "Images of another spacing are resampled before they are normalised and with another "
        "interpolation than nnU-Net's.",
        "Images are not cropped to their nonzero voxels, which changes predictions of images with "
        "an empty border.",
    ]
    if checkpoint.mirror_axes not in ((), _ALL_AXES):
        axes = ", ".join("zyx"[plans.axis_order[axis]] for axis in checkpoint.mirror_axes)
        notes.append(
            f"The model allows mirroring along {axes} only, so inference.views is none; nnU-Net "
            "mirrors along these axes."
        )
    if plans.reader == "NibabelIOWithReorient":
        notes.append(
            "nnU-Net turned the axes of each file to RAS before it read them; turn the axes of "
            "your files so too."
        )
    return notes


def _origin(
    folder: Path, plans: Plans, checkpoints: Sequence[NnunetCheckpoint], notes: Sequence[str]
) -> str:
    """Return the card's section on nnU-Net."""
    files = ", ".join(f"{one.path.parent.name}/{one.path.name}" for one in checkpoints)
    lines = [
        "",
        "## Origin",
        "",
        f"Trained by nnU-Net v2: {plans.dataset}, trainer {checkpoints[0].trainer}, configuration "
        f"{plans.configuration}; imported from {folder.resolve().name} ({files}). The sections of "
        "the configuration on training are not nnU-Net's.",
        "",
        "Predictions of images with the trained spacing agree with nnU-Net's except for rounding "
        "and the following:",
        "",
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines) + "\n"
