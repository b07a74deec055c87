"""The networks that a prediction is made with, and one volume's way through them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from vesuv.config.postprocess import Chain
from vesuv.config.training import InferenceConfig, RuntimeConfig
from vesuv.data.statistics import CaseStatistics
from vesuv.errors import InputError
from vesuv.inference.ensemble import Ensemble
from vesuv.inference.volume import Progress, predict_volume
from vesuv.runs.checkpoints import Checkpoint, read_checkpoint, restore_network
from vesuv.runs.folder import RunFolder, Selected
from vesuv.runtime.machine import Machine
from vesuv.transforms.normalize import IntensityMap

Image = npt.NDArray[Any]

_AGREE: dict[str, Callable[[Checkpoint], object]] = {
    "labels.classes": lambda c: list(c.config.labels.classes.items()),
    "model.in_channels": lambda c: c.config.model.in_channels,
    "model.out_channels": lambda c: c.config.model.out_channels,
    "data.spacing": lambda c: c.config.data.spacing,
}
"""What the networks of an ensemble must have in common for their mean to mean something."""


@dataclass(frozen=True)
class Member:
    """One run's checkpoint in an ensemble."""

    run: RunFolder
    name: str
    selected: Selected | None
    """The run's choice, where it fell on this checkpoint."""
    checkpoint: Checkpoint

    @property
    def threshold(self) -> float | None:
        """The selected threshold; None where nothing was selected for this checkpoint."""
        return self.selected.threshold if self.selected else None

    @property
    def postprocess(self) -> Chain:
        """The selected steps, else those of the configuration."""
        if self.selected and self.selected.postprocess is not None:
            return self.selected.postprocess
        return self.checkpoint.config.inference.postprocess

    @property
    def outdated(self) -> bool:
        """Whether the checkpoint was trained on after it was selected."""
        chosen = self.selected.checkpoint_sha256 if self.selected else None
        return chosen is not None and chosen != self.sha256

    @cached_property
    def sha256(self) -> str:
        """Digest of the checkpoint file."""
        return file_digest(self.checkpoint.path)


def open_members(runs: Sequence[Path], checkpoint: str | None) -> list[Member]:
    """Read one checkpoint of each run: the one named, else the selected one, else the best.

    Raises:
        InputError: No run, no such checkpoint, or runs that cannot be averaged.
    """
    members = [_open_member(RunFolder.open(path), checkpoint) for path in runs]
    if not members:
        raise InputError("--run: needs at least one run folder, found none; name log/<config>/fold")
    check_agreement(members)
    return members


def check_agreement(members: Sequence[Member]) -> None:
    """Refuse networks whose probabilities cannot be averaged.

    Raises:
        InputError: Names two runs, and what they differ in.
    """
    first = members[0]
    for other in members[1:]:
        for key, value in _AGREE.items():
            mine, theirs = value(first.checkpoint), value(other.checkpoint)
            if mine != theirs:
                raise InputError(
                    f"{other.run.path}: runs of an ensemble must agree in {key}, found {theirs} "
                    f"and, in {first.run.path}, {mine}; predict with them separately"
                )


def checkpoint_path(run: RunFolder, name: str) -> Path:
    """Return the path of a run's checkpoint.

    Raises:
        InputError: The run has no checkpoint of that name.
    """
    available = run.available()
    if name not in available:
        found = ", ".join(available) or "none"
        raise InputError(f"{run.path}: checkpoint must be one of {found}, asked for {name!r}")
    return run.checkpoint(name)


def _open_member(run: RunFolder, wanted: str | None) -> Member:
    selected = run.selected()
    name = wanted or (selected.checkpoint if selected else "best")
    chosen = selected if selected and selected.checkpoint == name else None
    return Member(run, name, chosen, read_checkpoint(checkpoint_path(run, name)))


def inference_settings(
    base: InferenceConfig, overlap: float | None, mirror: bool | None
) -> InferenceConfig:
    """Return the run's settings with what the command line changes.

    Raises:
        InputError: An overlap outside [0, 1).
    """
    if overlap is not None and not 0.0 <= overlap < 1.0:
        raise InputError(f"--overlap: must be at least 0 and below 1, found {overlap}; try 0.5")
    changes = {"overlap": overlap, "mirror": mirror}
    return base.model_copy(update={k: v for k, v in changes.items() if v is not None})


def runtime_settings(base: RuntimeConfig, device: str | None) -> RuntimeConfig:
    """Return the run's settings, on another device when the command line names one.

    Raises:
        InputError: A device of unknown name.
    """
    if device is None:
        return base
    names = ("auto", "cpu", "cuda", "mps")
    if device not in names:
        raise InputError(f"--device: must be one of {', '.join(names)}, found {device!r}")
    return base.model_copy(update={"device": device})


class Predictor:
    """Checkpoints on a device, as a function from a raw image to its probabilities."""

    def __init__(
        self, checkpoints: Sequence[Checkpoint], settings: InferenceConfig, machine: Machine
    ) -> None:
        self.settings = settings
        self.machine = machine
        self.members = [(c, restore_network(c, machine.device)) for c in checkpoints]

    def __call__(
        self, image: Image, statistics: CaseStatistics, progress: Progress | None = None
    ) -> Tensor:
        """Return the probabilities (k, z, y, x) of an image at the networks' spacing.

        Args:
            image: (c, z, y, x) as it came, any real type.
            statistics: Intensities of this image.
            progress: Told the windows done and all windows.

        Raises:
            InputError: A network gives values that are not finite.
        """
        groups = self._groups(statistics)
        source = torch.from_numpy(_native(image))
        total: Tensor | None = None
        for part, ((intensity, patch_size), networks) in enumerate(groups.items()):
            probs = predict_volume(
                Ensemble(tuple(networks)),
                intensity.apply(source),
                patch_size=patch_size,
                overlap=self.settings.overlap,
                batch_size=self.settings.batch_size,
                mirror=self.settings.mirror,
                device=self.machine.device,
                precision=self.machine.precision,
                progress=_share(progress, part, len(groups)),
            ).mul_(len(networks) / len(self.members))
            total = probs if total is None else total.add_(probs)
        assert total is not None
        if not bool(torch.isfinite(total).all()):
            names = ", ".join(str(checkpoint.path) for checkpoint, _ in self.members)
            raise InputError(f"{names}: gives NaN or infinite probabilities; use another one")
        return total

    def _groups(
        self, statistics: CaseStatistics
    ) -> dict[tuple[IntensityMap, tuple[int, int, int]], list[nn.Module]]:
        """Networks that see the same windows of the same intensities run as one ensemble."""
        groups: dict[tuple[IntensityMap, tuple[int, int, int]], list[nn.Module]] = {}
        for checkpoint, network in self.members:
            intensity = checkpoint.normalizer.for_case(statistics)
            key = (intensity, checkpoint.config.sampling.patch_size)
            groups.setdefault(key, []).append(network)
        return groups


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _native(image: Image) -> Image:
    """Contiguous voxels in the machine's byte order, which tensors need; copied only if not so."""
    order = image.dtype.newbyteorder("=")
    writable = image.astype(order, order="C", copy=not image.flags.writeable)
    return writable.view("u1") if writable.dtype.kind == "b" else writable


def _share(progress: Progress | None, part: int, parts: int) -> Progress | None:
    """Count the windows of several passes as one job."""
    if progress is None or parts == 1:
        return progress
    tell = progress

    def counted(done: int, total: int) -> None:
        tell(part * total + done, parts * total)

    return counted
