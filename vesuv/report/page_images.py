"""Slices of the validation tiles: image, label, probability and errors."""

from __future__ import annotations

import base64
import struct
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesuv.report.page_files import RunFiles
from vesuv.report.page_text import percent, section, text

Grey = NDArray[np.uint8]
_IGNORED = 77
"""How slices.npz codes a voxel that is not judged."""
_MOST = 4
_LONGEST_EDGE = 320

_RIGHT, _EXTRA, _MISSED = (0, 168, 126), (240, 150, 0), (96, 180, 240)
"""True positive, false positive, false negative: told apart by every kind of colour vision."""
_HATCH = ((92, 96, 104), (58, 61, 67))
_INK = (232, 236, 241)
_STOPS = ((0.0, (10, 14, 32)), (0.25, (38, 62, 128)), (0.5, (120, 122, 128)),
          (0.75, (214, 176, 74)), (1.0, (255, 244, 190)))  # fmt: skip


@dataclass(frozen=True)
class Slice:
    """One tile's middle slice, (y, x) each."""

    case: str
    image: Grey
    label: Grey
    probability: Grey
    threshold: float

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """Where nothing is judged."""
        ignored: NDArray[np.bool_] = self.label == _IGNORED
        return ignored

    @property
    def foreground(self) -> NDArray[np.bool_]:
        """Where the label is any class but the background."""
        return (self.label > 0) & ~self.ignored

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Where the probability reaches the threshold."""
        reached: NDArray[np.bool_] = self.probability.astype(np.float64) / 255.0 >= self.threshold
        return reached


def slices(files: RunFiles) -> str:
    """Return the section of pictures; empty where none were stored."""
    shown = _read(files)
    if not shown:
        return ""
    rows = "\n".join(_row(one) for one in shown)
    body = f"{_legend(shown[0].threshold)}\n{rows}"
    return section("slices", "Slices", body)


def png(pixels: NDArray[np.uint8]) -> str:
    """Return a picture, (y, x) grey or (y, x, 3) colours, as a data URI."""
    height, width = pixels.shape[:2]
    kind = 2 if pixels.ndim == 3 else 0
    lines = pixels.reshape(height, -1)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), lines], axis=1).tobytes()
    content = (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(raw, 6))
        + _chunk(b"IEND", b"")
    )
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _read(files: RunFiles) -> list[Slice]:
    try:
        with np.load(files.path / "slices.npz", allow_pickle=False) as stored:
            stacks = [np.asarray(stored[name]) for name in ("image", "label", "probability")]
            cases = [str(case) for case in np.atleast_1d(stored["cases"])]
            threshold = float(np.asarray(stored["threshold"]).ravel()[0])
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error):
        return []
    if any(s.ndim != 3 or s.dtype != np.uint8 or s.shape != stacks[0].shape for s in stacks):
        return []
    if 0 in stacks[0].shape:
        return []
    threshold = threshold if 0.0 <= threshold <= 1.0 else 0.5
    stride = -(-max(stacks[0].shape[1:]) // _LONGEST_EDGE)
    image, label, probability = (stack[:_MOST, ::stride, ::stride] for stack in stacks)
    return [
        Slice(case, image[i], label[i], probability[i], threshold)
        for i, case in zip(range(len(image)), [*cases, *[""] * _MOST], strict=False)
    ]


def _row(one: Slice) -> str:
    grey = np.repeat(one.image[..., None], 3, axis=2)
    judged = ~one.ignored
    label = _hatched(np.where(one.foreground[..., None], _INK, (24, 27, 32)), one.ignored)
    case = text(one.case)
    panels = [
        ("image", png(one.image), f"Image of case {case}"),
        ("label", png(label), f"Label of case {case}"),
        ("probability", png(_coloured(one.probability)), f"Foreground probability, case {case}"),
        ("errors", png(_errors(one, grey)), f"Errors of case {case}: {_counted(one)}"),
    ]
    cells = "".join(
        f'<div><img src="{source}" alt="{alt}" width="{one.image.shape[1]}" '
        f'height="{one.image.shape[0]}"><span>{name}</span></div>'
        for name, source, alt in panels
    )
    share = percent(float(judged.mean()))
    return (
        f'<figure class="slice"><figcaption><h3>Case {case}</h3><p class="note">{_counted(one)}; '
        f'{share} of the slice is judged</p></figcaption><div class="panels">{cells}</div></figure>'
    )


def _counted(one: Slice) -> str:
    predicted, foreground = one.predicted & ~one.ignored, one.foreground
    right = int((predicted & foreground).sum())
    total = int(predicted.sum()) + int(foreground.sum())
    dice = f"Dice {2 * right / total:.3f}" if total else "nothing to find, nothing found"
    return (
        f"{dice}: {right:,} right, {int((predicted & ~foreground).sum()):,} too many, "
        f"{int((foreground & ~predicted).sum()):,} missed voxels"
    )


def _errors(one: Slice, grey: Grey) -> Grey:
    """Colours over the dimmed image; what is rightly left out stays image."""
    predicted, foreground = one.predicted, one.foreground
    colours = 0.6 * grey.astype(np.float64)
    for where, colour in (
        (predicted & foreground, _RIGHT),
        (predicted & ~foreground, _EXTRA),
        (~predicted & foreground, _MISSED),
    ):
        colours[where] = 0.25 * colours[where] + 0.85 * np.array(colour)
    return _hatched(colours, one.ignored)


def _hatched(colours: NDArray[np.generic], where: NDArray[np.bool_]) -> Grey:
    """Stripes over what is not judged."""
    y, x = np.indices(where.shape)
    width = max(2, max(where.shape) // 48)
    stripes = np.array(_HATCH)[((x + y) // width) % 2]
    clipped = np.clip(np.asarray(colours, dtype=np.float64), 0, 255)
    return np.where(where[..., None], stripes, clipped).astype(np.uint8)


def _coloured(probability: Grey) -> Grey:
    """From dark blue for 0 over grey for a half to pale yellow for 1."""
    at = [255 * stop for stop, _ in _STOPS]
    values = np.arange(256)
    ramp = np.stack(
        [np.interp(values, at, [colour[c] for _, colour in _STOPS]) for c in range(3)], axis=1
    )
    table: Grey = ramp.round().astype(np.uint8)
    return table[probability]


def _legend(threshold: float) -> str:
    def chip(colour: tuple[int, int, int], name: str) -> str:
        return f'<li><i style="background:rgb{colour}"></i>{name}</li>'

    ramp = ",".join(f"rgb{colour} {100 * stop:.0f}%" for stop, colour in _STOPS)
    chips = (
        chip(_RIGHT, "rightly found")
        + chip(_EXTRA, "too much (false positive)")
        + chip(_MISSED, "missed (false negative)")
        + f'<li><i style="background:repeating-linear-gradient(135deg,rgb{_HATCH[0]} 0 3px,'
        f'rgb{_HATCH[1]} 3px 6px)"></i>ignored: not judged</li>'
        + f'<li>probability 0 <i class="ramp" style="background:linear-gradient(90deg,{ramp})"></i>'
        " 1</li>"
    )
    return (
        f'<p class="note">Middle slices of validation tiles; foreground from probability '
        f'{threshold:g} on.</p><ul class="legend chips">{chips}</ul>'
    )
