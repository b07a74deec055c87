"""Input volumes of a prediction, each of one file or of one file for each channel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vesuv.data.pairs import case_folders, pairs_in
from vesuv.errors import InputError
from vesuv.inference.blocks.source import Source
from vesuv.io.formats import check_ending, mask_suffix, probability_suffix, stem, suffix, volumes_in
from vesuv.io.printable import number_of, printable

_CHANNEL = re.compile(r"(?P<id>.+)_\d{4}")
_COMPANIONS = {".csv", ".db", ".html", ".ini", ".json", ".log", ".md", ".pdf", ".tsv", ".txt",
               ".xlsx", ".xml", ".yaml", ".yml", ".zip"}  # fmt: skip
"""Endings of files that lie beside volumes and are none."""


@dataclass(frozen=True)
class InputVolume:
    """One case to predict.

    Args:
        id: File name without ending and channel number.
        files: One file for each channel, or one file with all channels.
        level: Level of an OME-Zarr image.
    """

    id: str
    files: tuple[Path, ...]
    level: int = 0

    @property
    def source(self) -> Source:
        """The volume, to open or read."""
        return Source.of_files(self.files, self.level)

    @property
    def output_name(self) -> str:
        """File name of the mask, in the format of the input; PNG for a JPEG."""
        return self.id + mask_suffix(self.files[0])

    @property
    def probabilities_name(self) -> str:
        """File name of what is float32, in the format of the input; TIFF for a PNG or JPEG."""
        return self.id + probability_suffix(self.files[0])


def find_inputs(path: Path, *, num_channels: int = 1, level: int = 0) -> list[InputVolume]:
    """List the volumes at `path`, sorted by id.

    Args:
        path: A volume, a folder of volumes, or one of a folder for each volume, by whose name it is
            called; labels that lie beside images are left out.
        num_channels: Channels of a volume; files that are named by all of them, _0000, _0001 …,
            are one volume.
        level: Level of OME-Zarr images.

    Raises:
        InputError: No file that can be read, one of an unknown format, or two volumes with the
            same name.
    """
    single = bool(suffix(path)) or path.is_file()
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check --input")
    if path.is_file():
        check_ending(path)
    folders = [] if single else case_folders(path)
    files = [path] if single else _images_in(path)
    in_folders = [_volume_of_folder(folder) for folder in folders if not files]
    volumes: dict[str, InputVolume] = {}
    for one in (*_volumes_of(sorted(files), num_channels), *filter(None, in_folders)):
        if one.id in volumes:
            raise InputError(
                f"{one.files[0]}: {volumes[one.id].files[0].name} has the same name; predict them "
                "separately"
            )
        volumes[one.id] = replace(one, level=level)
    if not volumes:
        nothing = f"{path}: holds no volume in a known format; check --input"
        raise InputError(left_out_note(path) or nothing)
    return [volumes[name] for name in sorted(volumes)]


def left_out_note(path: Path) -> str | None:
    """Say how many files of a folder may be volumes of unknown formats; None for none."""
    files = path.iterdir() if path.is_dir() and not suffix(path) else ()
    others = sorted(
        file.name
        for file in files
        if not file.name.startswith(".")
        and not suffix(file)
        and file.suffix.lower() not in _COMPANIONS
        and file.is_file()
    )
    if not others:
        return None
    return (
        f"{path}: {number_of(len(others), 'file')} of unknown formats left out, first "
        f"{printable(others[0])}; convert volumes among them"
    )


def _volumes_of(files: Sequence[Path], num_channels: int) -> Iterator[InputVolume]:
    """Put the files of all channels of a volume together; others are volumes of their own."""
    groups: dict[str, list[Path]] = {}
    for file in files:
        match = _CHANNEL.fullmatch(stem(file))
        groups.setdefault(match["id"] if match else "", []).append(file)
    for name, group in groups.items():
        channels = [f"{name}_{channel:04d}" for channel in range(num_channels)]
        if num_channels > 1 and [stem(file) for file in group] == channels:
            yield InputVolume(name, tuple(group))
        else:
            yield from (InputVolume(stem(file), (file,)) for file in group)


def _volume_of_folder(folder: Path) -> InputVolume | None:
    """Return the image in the folder of a case; None where there is none."""
    images = _images_in(folder)
    if len(images) > 1:
        raise InputError(
            f"{folder}: holds {len(images)} images, the folder of a case one; name this folder, or "
            "gather the images in one folder, with --input"
        )
    return InputVolume(folder.name, tuple(images)) if images else None


def _images_in(folder: Path) -> list[Path]:
    """The volumes of a folder without x_label of pairs x_image, x_label."""
    files = volumes_in(folder)
    labels = set(pairs_in(folder).values()) if files else set()
    return [file for file in files if file not in labels]
