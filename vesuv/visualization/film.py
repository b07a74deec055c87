"""Pictures written as PNG, GIF or MP4, whole or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vesuv.errors import InputError
from vesuv.io.atomic import atomic_replace, catch_write_errors

PICTURE, FILMS = ".png", (".gif", ".mp4")
_COLOURS = 128
"""Colours of a frame of a GIF."""
_QUALITY = "20"
"""Constant rate factor of H.264: lower is better, 18 to 28 is usual."""


def check_file(path: Path, *, overwrite: bool) -> None:
    """Check that a picture or film may be written, and that its encoder is there.

    Raises:
        InputError: The ending is unknown, the file exists, or a package is missing.
    """
    if path.suffix.lower() not in (PICTURE, *FILMS):
        raise InputError(
            f"--output: {path} must end in {PICTURE}, {' or '.join(FILMS)}, found "
            f"{path.suffix or 'none'!r}; rename it"
        )
    if path.is_dir():
        raise InputError(f"--output: {path} is a folder; name a file")
    if path.exists() and not overwrite:
        raise InputError(
            f"--output: {path} exists already; name another file, or replace it with --overwrite"
        )
    if path.suffix.lower() == ".mp4":
        _load_av()


def is_film(path: Path) -> bool:
    """Return whether a file is a film by its ending."""
    return path.suffix.lower() in FILMS


def write_frames(
    path: str | Path, frames: Iterable[Image.Image], frames_per_second: int = 10
) -> None:
    """Write a picture, or the frames of a film.

    Args:
        path: File that ends in .png, .gif or .mp4; replaced if it exists.
        frames: Pictures of one size; a PNG takes the first.
        frames_per_second: Speed of a film.

    Raises:
        InputError: As `check_file`, or the file cannot be written.
    """
    path = Path(path)
    check_file(path, overwrite=True)
    ending = path.suffix.lower()
    with catch_write_errors(path), atomic_replace(path, ending=ending) as temporary:
        if ending == PICTURE:
            next(iter(frames)).save(temporary, optimize=True)
        elif ending == ".gif":
            _write_gif(temporary, frames, frames_per_second)
        else:
            _write_mp4(temporary, frames, frames_per_second)


def _write_gif(path: Path, frames: Iterable[Image.Image], frames_per_second: int) -> None:
    first, *others = (_with_few_colours(frame) for frame in frames)
    duration = round(1000 / frames_per_second)
    first.save(path, save_all=True, append_images=others, duration=duration, loop=0, optimize=True)


def _with_few_colours(frame: Image.Image) -> Image.Image:
    """Return a frame with a palette of its own, which holds rare colours too."""
    method = Image.Quantize.MAXCOVERAGE
    return frame.quantize(_COLOURS, method=method, dither=Image.Dither.NONE)


def _write_mp4(path: Path, frames: Iterable[Image.Image], frames_per_second: int) -> None:
    """Write H.264, which all browsers play; it needs edges of even length."""
    av = _load_av()
    remaining: Iterator[Image.Image] = iter(frames)
    first = next(remaining)
    width, height = (edge + edge % 2 for edge in first.size)
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=frames_per_second)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": _QUALITY}
        for frame in itertools.chain([first], remaining):
            even = Image.new("RGB", (width, height), "white")
            even.paste(frame, (0, 0))
            picture = av.VideoFrame.from_ndarray(np.asarray(even), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _load_av() -> Any:
    try:
        import av
    except ImportError:
        raise InputError(
            "--output: a film .mp4 needs the package av, found none; install vesuv[view], or write "
            ".gif"
        ) from None
    return av
