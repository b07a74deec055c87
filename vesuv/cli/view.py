"""vesuv view: volumes with labels and predictions as pictures, as films, or in a browser."""

from __future__ import annotations

import os
import signal
import sys
import webbrowser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number
from PIL import Image

from vesuv.cli.console import console
from vesuv.cli.options import Switch, named_labels, several
from vesuv.cli.signals import StoppedBySignal
from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError
from vesuv.inference.provenance import predicted_labels
from vesuv.io.urls import is_url
from vesuv.visualization.browser import load_neuroglancer, open_browser_view
from vesuv.visualization.film import check_file, is_film, write_frames
from vesuv.visualization.scene import LAYERS, Scene, open_levels, open_scene
from vesuv.visualization.slices import (
    AXES,
    chosen_slices,
    contact_sheet,
    slice_frames,
    slice_rows,
)
from vesuv.visualization.surface import LARGEST_EDGE, load_pyvista, surface_frames

_SHEET_SLICES, _FRAMES = 12, 48
_SIZES = {"--slices": 320, "--contact-sheet": 200, "--surface": 480}
"""Way of looking -> pixels of the longest edge of a panel."""
_LARGEST_EDGE = 1024
"""Edge of the level that slices are read of, where an image has levels."""
_SLICES_PER_SECOND, _VIEWS_PER_SECOND = 8, 12
_BELONGS_TO = {
    "--axis": ("--slices", "--contact-sheet"),
    "--show": ("--slices", "--contact-sheet", "--surface"),
    "--size": ("--slices", "--contact-sheet", "--surface"),
    "--level": ("--slices", "--contact-sheet", "--surface"),
    "--frames": ("--surface",),
    "--numbers": ("--surface",),
    "--port": ("--browser",),
}
"""Option -> the ways of looking that have it."""
_Panel = Literal["image", "label", "mask", "errors", "instances", "probability", "uncertainty"]


@dataclass(frozen=True)
class _Options:
    """How volumes are looked at; None and empty: not given."""

    slices: tuple[str, ...]
    number: int | None
    surface: bool
    browser: bool
    axis: str | None
    show: tuple[str, ...]
    size: int | None
    frames: int | None
    numbers: tuple[int, ...]
    level: int | None
    port: int | None

    @property
    def _ways(self) -> list[str]:
        given = {"--slices": self.slices, "--contact-sheet": self.number is not None,
                 "--surface": self.surface, "--browser": self.browser}  # fmt: skip
        return [way for way, is_given in given.items() if is_given]

    @property
    def way(self) -> str:
        """The chosen way of looking, a contact sheet if none is."""
        return self._ways[0] if self._ways else "--contact-sheet"

    def check(self) -> None:
        """Refuse two ways of looking, and options that belong to another one."""
        if len(self._ways) > 1:
            raise InputError(f"{', '.join(self._ways)}: exclude each other; give one of them")
        given = {"--axis": self.axis, "--show": self.show, "--size": self.size,
                 "--level": self.level, "--frames": self.frames, "--numbers": self.numbers,
                 "--port": self.port}  # fmt: skip
        for option, value in given.items():
            if value not in (None, ()) and self.way not in _BELONGS_TO[option]:
                ways = " and ".join(_BELONGS_TO[option])
                raise InputError(f"{option}: belongs to {ways}, found {self.way}; leave it out")


def view(
    *,
    image: str | None = None,
    label: str | None = None,
    mask: str | None = None,
    instances: str | None = None,
    probability: str | None = None,
    uncertainty: str | None = None,
    output: Path | None = None,
    slices: Annotated[tuple[str, ...], several("--slices")] = (),
    number: Annotated[int | None, Parameter("--contact-sheet", validator=Number(gte=1))] = None,
    surface: Switch = False,
    browser: Switch = False,
    axis: Literal["z", "y", "x"] | None = None,
    show: Annotated[tuple[_Panel, ...], several("--show")] = (),
    size: Annotated[int | None, Parameter(validator=Number(gte=16, lte=4096))] = None,
    frames: Annotated[int | None, Parameter(validator=Number(gte=2, lte=1000))] = None,
    numbers: Annotated[tuple[int, ...], several("--numbers")] = (),
    level: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    port: Annotated[int | None, Parameter(validator=Number(gte=1, lte=65535))] = None,
    run: Path | None = None,
    config: Path | None = None,
    classes: Annotated[tuple[str, ...], several("--classes")] = (),
    ignore: int | None = None,
    anonymous: Switch = False,
    overwrite: Switch = False,
) -> None:
    """Draw a volume with its label and prediction: slices, a contact sheet or a turning surface.

    At least one volume is needed: a file in any format, a two-dimensional image, or the address of
    a Zarr (https://…, s3://…). With --label and --mask the errors are drawn. Of large volumes only
    the slices that are drawn are read.

    Args:
        image: Image.
        label: Label.
        mask: Predicted mask.
        instances: Instances, such as cells, one number a voxel: each has a random colour, 0 none.
        probability: Predicted probabilities.
        uncertainty: Predicted uncertainty.
        output: File to write: .png, or a film .gif or .mp4 of slices or of a turning surface.
        slices: Slices below each other, with all panels, or one after another in a film: numbers
            and ranges such as 10 20 0:96:8.
        number: Slices of a contact sheet, evenly spread (12 if nothing else is chosen).
        surface: Draw the surface of instances, errors, mask or label; a film turns it (extra view).
        browser: Open neuroglancer until Ctrl-C, and write nothing (extra view).
        axis: Axis that slices lie across (default: z).
        show: Panels (default: all of slices, else instances, errors or mask). A surface of
            probability or uncertainty is the mask in their colours.
        size: Pixels of a panel's longest edge (default: slice 320, contact sheet 200, surface
            480).
        frames: Views of a turn (default: 48).
        numbers: Instances of a surface … (default: the 100 of most voxels).
        level: Level of OME-Zarr images (default: by the size of the picture).
        port: Port of neuroglancer on this computer (default: a free one).
        run: Run whose configuration names the classes, where no provenance.json beside the mask
            does. Where nothing does, each label value is a class, and 0 the background.
        config: Configuration that names them.
        classes: Label values as name=value, the background first: background=0 sheet=1.
        ignore: With --classes, label value of voxels that are not judged.
        anonymous: Read from s3 without credentials.
        overwrite: Replace the file.
    """
    paths = {
        layer: path
        for layer, path in zip(
            LAYERS, (image, label, mask, instances, probability, uncertainty), strict=True
        )
        if path is not None
    }
    options = _Options(
        slices, number, surface, browser, axis, show, size, frames, numbers, level, port
    )
    options.check()
    labels = _labels(paths, run, config, classes, ignore)
    if options.way == "--browser":
        if output is not None:
            raise InputError("--output: --browser writes no file; leave it out")
        load_neuroglancer()
        _serve(open_levels(paths, labels, anonymous=anonymous), port)
        return
    target = _checked_output(output, paths, options, overwrite=overwrite)
    edge = LARGEST_EDGE if surface else _LARGEST_EDGE
    scene = open_scene(paths, labels, level=level, largest_edge=edge, anonymous=anonymous)
    rate = _VIEWS_PER_SECOND if surface else _SLICES_PER_SECOND
    write_frames(target, _pictures(scene, options, film=is_film(target)), rate)
    console().print(f"written: {target}")


def _pictures(scene: Scene, options: _Options, *, film: bool) -> Iterable[Image.Image]:
    """Return the frames of a film, or one picture."""
    size, axis, show = options.size or _SIZES[options.way], options.axis or "z", options.show
    if options.way == "--slices":
        numbers = chosen_slices(options.slices, scene.full_shape[AXES.index(axis)], axis)
        if film:
            return slice_frames(scene, numbers, axis=axis, panels=show, size=size)
        return [slice_rows(scene, numbers, axis=axis, panels=show, size=size)]
    if len(show) > 1:
        raise InputError(f"--show: {options.way} shows one panel, found {len(show)}; name one")
    panel = show[0] if show else None
    if options.way == "--surface":
        num_frames = (options.frames or _FRAMES) if film else 1
        return surface_frames(
            scene, panel=panel, numbers=options.numbers, size=size, num_frames=num_frames
        )
    return [contact_sheet(scene, options.number or _SHEET_SLICES, axis=axis, panel=panel,
                          size=size)]  # fmt: skip


def _checked_output(
    output: Path | None, paths: Mapping[str, str], options: _Options, *, overwrite: bool
) -> Path:
    """Return the file to write, and refuse one that cannot be or must not be written."""
    if output is None:
        raise InputError("--output: needs a file .png, .gif or .mp4; name it, or use --browser")
    inputs = [Path(path).resolve() for path in paths.values() if not is_url(path)]
    if output.resolve() in inputs:
        raise InputError(f"--output: {output} is an input; name another file")
    check_file(output, overwrite=overwrite)
    if is_film(output) and options.way == "--contact-sheet":
        raise InputError(
            f"--output: a contact sheet is one picture, found {output}; write .png, or choose "
            "--slices or --surface for a film"
        )
    if options.frames is not None and not is_film(output):
        raise InputError(f"--frames: belongs to a film .gif or .mp4, found {output}; leave it out")
    if options.way == "--surface":
        load_pyvista()
    return output


def _labels(
    paths: Mapping[str, str],
    run: Path | None,
    config: Path | None,
    classes: tuple[str, ...],
    ignore: int | None,
) -> LabelsConfig | None:
    """Return the named classes, else those of the mask's provenance.json, else None."""
    named = named_labels(run, config, classes, ignore)
    if named:
        return next(iter(named.values()))
    mask = paths.get("mask")
    if mask is None or is_url(mask):
        return None
    return predicted_labels(Path(mask)) or predicted_labels(Path(mask).parent)


def _serve(levels: Sequence[Scene], port: int | None) -> None:
    """Serve neuroglancer until Ctrl-C."""
    out = console()
    page = open_browser_view(levels, port or 0)  # served while it is held
    out.print(f"neuroglancer: {page.url}")
    out.print("Ctrl-C ends it")
    has_screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if has_screen or sys.platform in ("darwin", "win32"):
        webbrowser.open(page.url)
    try:
        Event().wait()
    except StoppedBySignal as request:
        if request.number != signal.SIGINT:
            raise
