"""The page's curves over epochs: which columns share a chart, and what is to be said of them."""

from __future__ import annotations

from vesuv.report.page_charts import Chart, Series, draw
from vesuv.report.page_files import Point, RunFiles, finite, mapping, number
from vesuv.report.page_text import section, text
from vesuv.report.page_timeline import Timeline, timeline_of

_COLOURS = 7
_DASHES = ("", "7 3", "2 3", "9 3 2 3")


def curves(files: RunFiles) -> str:
    """Return the section of all curves but those of speed."""
    if files.metrics.last_epoch is None:
        return section("curves", "Curves", "<p>No epoch is finished yet.</p>")
    timeline = timeline_of(files)
    charts = [
        _measure(files),
        _precision_recall(files),
        _fractions(files),
        _terms(files),
        _total(files),
        _learning_rate(files),
        _gradient(files),
        _patches(files),
        _skipped(files),
    ]
    drawn = "\n".join(draw(chart, timeline) for chart in charts)
    return section("curves", "Curves", f'{_key(timeline)}\n<div class="charts">{drawn}</div>')


def _key(timeline: Timeline) -> str:
    """What the shading and the marks mean, in words."""
    said = []
    if timeline.spans():
        phases = "".join(
            f'<li value="{phase.index + 1}">epochs {phase.epochs}: {text(phase.weights)}</li>'
            for phase in timeline.phases
        )
        said.append(f"<p>Shaded: phases of the loss.</p><ol>{phases}</ol>")
    if timeline.kinds:
        across = (
            " Lines through the charts mark all but noise and the end." if timeline.lines else ""
        )
        said.append(f"<p>Marked above the first chart: {timeline.counted()}.{across}</p>")
        said.append(timeline.listed())
    return f'<div class="said">{"".join(said)}</div>' if said else ""


def _column(files: RunFiles, column: str, name: str, colour: int, dash: str = "") -> Series:
    return Series(name, files.metrics.points(column), colour, dash)


def _measure(files: RunFiles) -> Chart:
    measure = files.measure
    best = files.best()
    train: list[Point] = [
        (float(line["epoch"]), float(value))
        for line in files.evidence
        for value in [mapping(line.get("train")).get(measure)]
        if number(value)
    ]
    lines = [
        _column(files, f"val/{measure}", "validation tiles", 0),
        Series("training tiles", train, 4, _DASHES[2]),
        _column(files, f"val/ema_{measure}", "moving average of weights (EMA)", 2, _DASHES[1]),
        _column(files, f"val/swa_{measure}", "averaged weights (SWA)", 3, _DASHES[3]),
        _column(files, "val/full_dice", "whole volumes (Dice)", 1),
    ]
    return Chart(
        f"Measure: {text(measure)}",
        lines,
        note="On fixed tiles; no weight of the loss can change it. Schedule, early stopping and "
        "the best checkpoint watch the line of the validation tiles.",
        levels=[(best[1], f"best {best[1]:.4f}, epoch {best[0]:g}")] if best else (),
        wide=True,
    )


def _precision_recall(files: RunFiles) -> Chart:
    return Chart(
        "Precision and recall",
        [
            _column(files, "val/precision", "precision", 0),
            _column(files, "val/recall", "recall", 1, _DASHES[1]),
        ],
        note="Of the validation tiles. Far apart: too much or too little is predicted.",
    )


def _fractions(files: RunFiles) -> Chart:
    return Chart(
        "Foreground: predicted against labelled",
        [
            _column(files, "val/predicted_fraction", "predicted", 0),
            _column(files, "val/labelled_fraction", "labelled", 5, _DASHES[1]),
        ],
        note="Share of the judged voxels of the validation tiles.",
        share=True,
        zero=True,
    )


def _terms(files: RunFiles) -> Chart:
    """Each term without its weight, so that it is one function through all phases."""
    names = list(
        dict.fromkeys(
            column.split("/loss_", 1)[1]
            for column in files.metrics.columns
            if column.startswith(("val/loss_", "train/loss_"))
        )
    )
    lines = []
    for index, name in enumerate(names):
        colour = index % _COLOURS
        lines.append(_column(files, f"val/loss_{name}", f"{name}, validation", colour))
        lines.append(_column(files, f"train/loss_{name}", f"{name}, training", colour, _DASHES[2]))
    return Chart(
        "Terms of the loss",
        lines,
        note="Each without its weight: a term is one function in every phase.",
        log=_spread(lines),
    )


def _total(files: RunFiles) -> Chart:
    lines = [_column(files, "train/loss", "training loss, weighted sum", 0)]
    many = len(files.config.phases) > 1 if files.config else False
    warning = (
        "<strong>Totals of different phases are different functions</strong>: the line is cut at "
        "each change, and heights on its two sides do not compare."
        if many
        else "The sum that is minimised. Runs with other weights minimise another function."
    )
    log = _spread(lines)
    return Chart("Training loss", lines, note=warning, breaks=many, log=log)


def _learning_rate(files: RunFiles) -> Chart:
    lines = [_column(files, "lr", "learning rate", 0)]
    return Chart("Learning rate", lines, note="At each epoch's last step.", log=True)


def _gradient(files: RunFiles) -> Chart:
    clip = files.config.train.gradient_clip if files.config else None
    lines = [_column(files, "train/gradient_norm", "mean norm before clipping", 0)]
    return Chart(
        "Gradient norm",
        lines,
        note="" if clip is None else f"Steps above {clip:g} are clipped.",
        levels=[(clip, f"clipped at {clip:g}")] if clip is not None else (),
        log=True,
    )


def _patches(files: RunFiles) -> Chart:
    return Chart(
        "What the patches hold",
        [
            _column(files, "train/foreground_share", "foreground, of judged voxels", 0),
            _column(files, "train/ignored_share", "ignored voxels", 5, _DASHES[1]),
            _column(files, "train/patches_with_foreground", "patches with foreground", 2),
        ],
        note="Of the patches that each epoch trained on.",
        share=True,
        zero=True,
    )


def _skipped(files: RunFiles) -> Chart:
    """Drawn only where a step was skipped."""
    points = files.metrics.points("skipped_steps")
    happened = any(value > 0 for _, value in finite(points))
    return Chart(
        "Skipped steps",
        [Series("since the start", points if happened else [], 1)],
        note="Steps whose loss or gradient was not finite.",
        zero=True,
        whole=True,
    )


def _spread(lines: list[Series]) -> bool:
    """Say whether spikes would flatten everything else on a linear axis."""
    values = sorted(value for line in lines for _, value in finite(line.points))
    if len(values) < 10 or values[0] <= 0:
        return False
    return values[-1] > 8 * values[int(0.9 * (len(values) - 1))]
