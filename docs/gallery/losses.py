"""Each loss on the same flawed prediction: where it pulls, and what 40 steps make of it.

The logits of every voxel are optimised directly, without a network, so the pictures show the loss
alone.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from docs.gallery.drawing import (
    BLUE,
    GREY,
    IMAGES,
    ORANGE,
    WHITE,
    labelled_cube,
    painted,
    signed,
    write_row,
)
from vesuv.data.phantom import SURFACE, UNLABELLED
from vesuv.losses import LOSSES, Loss
from vesuv.types import Array

_STEPS, _RATE = 40, 0.25
_EDGE = 40
_SETTINGS = {"betti_matching": {"edge": _EDGE, "sub_patches": 1}}
"""Settings other than the defaults: the whole cube at once."""


def main() -> None:
    """Draw a row for each loss: label, prediction, pull, prediction after some steps."""
    torch.manual_seed(0)
    label = labelled_cube(_EDGE)
    surface, valid = label == SURFACE, label != UNLABELLED
    start = torch.logit(torch.from_numpy(_flawed(surface)))[None, None].float()
    target = torch.from_numpy(surface.astype(np.int64))[None]
    judged = torch.from_numpy(valid)[None]
    shown = int(np.argmax(surface[8:-8].sum((1, 2)))) + 8
    for name, kind in mask_losses().items():
        loss = kind.model_validate(_SETTINGS.get(name, {}))
        logits = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([logits], lr=_RATE)
        values: list[float] = []
        pull = torch.zeros(())
        for step in range(_STEPS):
            optimizer.zero_grad()
            value = loss(logits, target, judged)
            value.backward()  # type: ignore[no-untyped-call]
            assert logits.grad is not None
            pull = -logits.grad.clone() if step == 0 else pull
            values.append(float(value.detach()))
            optimizer.step()
        panels = [
            ("label", _label(surface[shown], valid[shown])),
            (f"prediction, loss {values[0]:.3g}", _errors(start, surface, valid, shown)),
            ("pull of the loss", signed(pull[0, 0, shown].numpy())),
            (f"{_STEPS} steps on, {values[-1]:.3g}", _errors(logits, surface, valid, shown)),
        ]
        write_row(IMAGES / "losses" / f"{name}.png", panels)


def mask_losses() -> dict[str, type[Loss]]:
    """Return the losses that judge the mask; others need an output that only training has."""
    return {name: kind for name, kind in LOSSES.items() if not getattr(kind, "auxiliary", False)}


def _flawed(surface: Array) -> Array:
    """Probabilities with faults: blur, a torn sheet, a bridge between sheets, a blob, noise."""
    rng = np.random.default_rng(0)
    probs = ndimage.gaussian_filter(surface.astype(float), 0.8)
    probs = 0.08 + 0.8 * probs / probs.max()
    n = len(surface)
    probs[:, n // 2 : n // 2 + 6] *= 0.45
    _, y, x = np.indices(surface.shape)
    blob = (y - 7) ** 2 + (x - n + 8) ** 2 < 16
    bridge = (abs(y - 3 * n // 4) < 2) & (abs(x - n // 2) < 9)
    probs[blob | bridge] = 0.75
    probs += 0.25 * ndimage.gaussian_filter(rng.standard_normal(surface.shape), 1.5)
    clipped: Array = np.clip(probs, 0.02, 0.98)
    return clipped


def _label(surface: Array, valid: Array) -> Array:
    return painted(surface.shape, (surface, WHITE), (~valid, GREY))


def _errors(logits: Tensor, surface: Array, valid: Array, z: int) -> Array:
    """White: right, orange: predicted wrongly, blue: missed, grey: not judged; at one half."""
    mask = (logits.detach()[0, 0, z] >= 0).numpy()
    truth = surface[z]
    return painted(
        truth.shape,
        (mask & truth, WHITE),
        (mask & ~truth, ORANGE),
        (~mask & truth, BLUE),
        (~valid[z], GREY),
    )


if __name__ == "__main__":
    main()
