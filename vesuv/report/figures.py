"""PNG figures, drawn without a display and without matplotlib's global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vesuv.io.atomic import atomic_replace, catch_write_errors
from vesuv.io.printable import printable
from vesuv.report.pictures import FOREGROUND, class_colours
from vesuv.report.study import ArmCurve

_BACKGROUND, _CHOSEN = "#9aa5b1", "#1f4e79"
_TRANSPARENT = "#00000000"
_IGNORED = "#b8b8b8"
_OPACITY = 0.65
"""Opacity of the classes over the image."""


@dataclass(frozen=True)
class ThresholdLine:
    """Scores of a checkpoint by threshold."""

    name: str
    thresholds: Sequence[float]
    predicted_fraction: Sequence[float]
    dice: Sequence[float]


def distribution(
    path: Path,
    *,
    histogram: NDArray[np.int64],
    lines: Sequence[ThresholdLine],
    labelled_fraction: float,
    threshold: float | None,
    title: str,
    class_name: str | None = None,
) -> None:
    """Draw the selected checkpoint's probabilities, and every checkpoint's scores by threshold.

    Args:
        path: PNG to write.
        histogram: Voxels by probability, (2, bins): labelled background, labelled foreground; of
            one class of several by score: labelled otherwise, labelled so.
        lines: One for each checkpoint; empty for several classes.
        labelled_fraction: Foreground share of the labels, drawn as a horizontal line.
        threshold: The selected threshold; None without one.
        title: Title of the figure.
        class_name: One of several classes, whose histogram it is.
    """
    figure = Figure(figsize=(13, 4) if lines else (6, 4), layout="constrained")
    axes = figure.subplots(1, 3 if lines else 1, squeeze=False)[0]
    _draw_histogram(axes[0], histogram, class_name)
    if lines:
        for line in lines:
            axes[1].plot(
                line.thresholds, line.predicted_fraction, marker=".", label=_plain(line.name)
            )
            axes[2].plot(line.thresholds, line.dice, marker=".", label=_plain(line.name))
        axes[1].axhline(labelled_fraction, color="black", linestyle=":", label="labels")
        axes[1].set(xlabel="threshold", ylabel="predicted foreground fraction", ylim=(0, None))
        axes[2].set(xlabel="threshold", ylabel="Dice, mean over cases", ylim=(0, 1))
        axes[1].legend(fontsize="small")
        axes[2].legend(fontsize="small")
    if threshold is not None:
        for axis in axes:
            axis.axvline(threshold, color=_CHOSEN, linestyle="--")
    figure.suptitle(_plain(title))
    save_figure(figure, path)


def threshold_curves(
    path: Path,
    thresholds: Sequence[float],
    scores: Mapping[str, Sequence[float]],
    *,
    threshold: float | None,
    title: str,
) -> None:
    """Draw scores by threshold.

    Args:
        path: PNG to write.
        thresholds: Thresholds of the scores.
        scores: Name of a score in [0, 1] -> its values.
        threshold: The selected threshold; None if the cases have different ones.
        title: Title of the figure.
    """
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axis = figure.subplots()
    for name, values in scores.items():
        style = "--" if "fraction" in name else "-"
        axis.plot(thresholds, values, style, marker=".", label=name.replace("_", " "))
    if threshold is not None:
        axis.axvline(threshold, color=_CHOSEN, linestyle="--")
    axis.set(xlabel="threshold", ylim=(0, 1))
    axis.legend(fontsize="small")
    figure.suptitle(_plain(title))
    save_figure(figure, path)


def calibration(
    path: Path,
    *,
    voxels: NDArray[np.int64],
    probability: NDArray[np.float64],
    foreground: NDArray[np.int64],
    title: str,
) -> None:
    """Draw the frequency of labelled foreground and the number of voxels by probability.

    Args:
        path: PNG to write.
        voxels: Number of valid voxels in bins of equal width over [0, 1].
        probability: Sum of their probabilities.
        foreground: Number of voxels labelled as foreground.
        title: Title of the figure.
    """
    figure = Figure(figsize=(5, 6), layout="constrained")
    curve_axes, count_axes = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    filled = voxels > 0
    mean_probability = probability[filled] / voxels[filled]
    frequency = foreground[filled] / voxels[filled]
    curve_axes.plot([0, 1], [0, 1], color="black", linestyle=":", label="calibrated")
    curve_axes.plot(mean_probability, frequency, marker="o", color=FOREGROUND)
    curve_axes.set(ylabel="frequency of labelled foreground", xlim=(0, 1), ylim=(0, 1))
    curve_axes.legend(fontsize="small")
    count_axes.stairs(voxels, np.linspace(0, 1, len(voxels) + 1), fill=True, color=_BACKGROUND)
    count_axes.set(xlabel="foreground probability", ylabel="voxels", yscale="log")
    figure.suptitle(_plain(title))
    save_figure(figure, path)


def study_curves(path: Path, curves: Sequence[ArmCurve], *, measure: str, title: str) -> None:
    """Draw the validation curves of a study's runs over minutes and over steps.

    Args:
        path: PNG to write.
        curves: One for each run; runs of an arm have one colour.
        measure: What the curves show.
        title: Title of the figure.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axis, column, name in zip(panels, (0, 1), ("minutes of training", "steps"), strict=True):
        drawn: set[str] = set()
        for curve in curves:
            axis.plot(
                [point[column] for point in curve.points],
                [point[2] for point in curve.points],
                color=f"C{curve.number % 10}",
                marker=".",
                label=None if curve.arm in drawn else _plain(curve.arm),
            )
            drawn.add(curve.arm)
        axis.set(xlabel=name, xlim=(0, None))
    panels[0].set(ylabel=measure)
    panels[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend(fontsize="small")
    figure.suptitle(_plain(title))
    save_figure(figure, path)


def triptych(
    image: NDArray[np.generic],
    label: NDArray[np.integer[Any]],
    prediction: NDArray[np.integer[Any]],
    path: Path,
    title: str,
    class_names: Sequence[str],
) -> None:
    """Draw image, label and prediction of the slice with the most labelled foreground.

    Several foreground classes have a colour each, and a legend.

    Args:
        image: (z, y, x).
        label: Class index (z, y, x); 255, ignored, is drawn grey.
        prediction: Class index (z, y, x).
        path: PNG to write.
        title: Title of the figure.
        class_names: Names of the class indices, background first.
    """
    foreground = (label > 0) & (label != 255)
    index = int(np.argmax(foreground.sum(axis=(1, 2))))
    grey = np.asarray(image[index], dtype=np.float32)
    low, high = np.percentile(grey, (0.5, 99.5))
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    axes = figure.subplots(1, 3)
    foreground_names = class_names[1:]
    colours = class_colours(len(foreground_names)) if len(class_names) > 2 else [FOREGROUND]
    names = (f"image, slice {index}", "label (grey: ignored)", "prediction")
    for axis, name, classes in zip(axes, names, (None, label, prediction), strict=True):
        axis.imshow(grey, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
        if classes is not None:
            _draw_classes(axis, np.asarray(classes[index]), colours)
        axis.set_title(name, fontsize="medium")
        axis.set_axis_off()
    if len(class_names) > 2:
        handles = [
            Patch(color=colour, alpha=_OPACITY, label=_plain(name))
            for name, colour in zip(foreground_names, colours, strict=True)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize="small")
    figure.suptitle(_plain(title))
    save_figure(figure, path)


def _plain(text: str) -> str:
    """Return text that Matplotlib draws as it is, although `$` begins a formula."""
    return printable(text).replace("$", r"\$")


def _draw_histogram(axis: Axes, histogram: NDArray[np.int64], class_name: str | None) -> None:
    labels = ("background", "foreground")
    if class_name is not None:
        labels = ("otherwise", _plain(class_name))
    edges = np.linspace(0, 1, histogram.shape[1] + 1)
    for counts, name, colour in zip(histogram, labels, (_BACKGROUND, FOREGROUND), strict=True):
        share = counts / max(int(counts.sum()), 1)
        axis.stairs(share, edges, fill=True, alpha=0.6, color=colour, label=f"labelled {name}")
    xlabel = "foreground probability" if class_name is None else "score that the threshold cuts"
    axis.set(xlabel=xlabel, ylabel="share of the label's voxels", yscale="log")
    axis.legend(fontsize="small")


def _draw_classes(
    axis: Axes, classes: NDArray[np.integer[Any]], class_colours: Sequence[str]
) -> None:
    """Overlay colours: background transparent, ignored grey, and those of the classes."""
    colours = [_TRANSPARENT, *class_colours, _IGNORED]
    num_classes = len(colours) - 1
    index = classes.astype(np.int64)
    axis.imshow(
        np.where(index == 255, num_classes, index),
        cmap=ListedColormap(colours),
        vmin=-0.5,
        vmax=num_classes + 0.5,
        alpha=_OPACITY,
        interpolation="nearest",
    )


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG whole or not at all; a missing folder is made.

    Raises:
        InputError: The file cannot be written.
    """
    FigureCanvasAgg(figure)
    with catch_write_errors(path), atomic_replace(path, ending=".png") as temporary:
        figure.savefig(temporary, dpi=110)
