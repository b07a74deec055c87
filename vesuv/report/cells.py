"""Pictures of cells: an image beside its true and its predicted cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vesuv.io.printable import printable
from vesuv.report.figures import save_figure
from vesuv.report.instance_colours import Names, painted_instances
from vesuv.types import Array

_UNJUDGED = (0.12, 0.12, 0.14)


def cell_triptych(image: Array, truth: Names, prediction: Names, path: Path, title: str) -> None:
    """Draw the middle slice of an image, of the true cells, and of the predicted cells.

    A predicted cell has the colour of the true cell that it shares most voxels with, if it is that
    cell's largest piece; so a split cell shows a second colour, and merged cells share one.

    Args:
        image: (z, y, x).
        truth: True cells, 0 where none is judged, same shape.
        prediction: Predicted cells, same shape.
        path: PNG to write.
        title: Title of the figure.
    """
    index = len(image) // 2
    grey = np.asarray(image[index], np.float32)
    low, high = np.percentile(grey, (0.5, 99.5))
    matched = match_names(truth, prediction)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].imshow(grey, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
    axes[1].imshow(_coloured(truth[index]))
    axes[2].imshow(_coloured(matched[prediction[index]]))
    names = (f"image, slice {index}", "label (dark: none)", "prediction")
    for axis, name in zip(axes, names, strict=True):
        axis.set_title(name, fontsize="medium")
        axis.set_axis_off()
    figure.suptitle(printable(title).replace("$", r"\$"))
    save_figure(figure, path)


def match_names(truth: Names, prediction: Names) -> NDArray[np.int64]:
    """Return the true cell of each predicted one, or a new name for a further piece.

    Args:
        truth: True cells, 0 where there is none.
        prediction: Predicted cells, same shape; 0 stays 0.
    """
    judged = (truth != 0) & (prediction != 0)
    num, width = int(prediction.max()) + 1, int(truth.max()) + 1
    pairs = prediction[judged].astype(np.int64) * width + truth[judged].astype(np.int64)
    found, counts = np.unique(pairs, return_counts=True)
    names = width + np.arange(num)
    names[0] = 0
    pieces, taken = set(), set()
    for place in np.argsort(-counts, kind="stable").tolist():
        piece, cell = divmod(int(found[place]), width)
        if piece not in pieces and cell not in taken:
            names[piece] = cell
            taken.add(cell)
        pieces.add(piece)
    return names


def _coloured(names: Names) -> Array:
    """Return the colours (y, x, 3) of cells, darker at their edges."""
    colours = painted_instances(names) / 255
    colours[names == 0] = _UNJUDGED
    return colours
