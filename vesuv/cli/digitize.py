"""vesuv digitize: curves of predicted logs as calibrated samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from vesuv.cli.console import console
from vesuv.cli.tables import rich_table
from vesuv.config import load_config
from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError
from vesuv.evaluation.curve_files import DigitizedCurve, digitize_folder
from vesuv.evaluation.digitization import NUM_SAMPLES
from vesuv.inference.provenance import PROVENANCE, predicted_labels
from vesuv.io.tables import TextTable, mean


def digitize(
    *,
    masks: Path,
    scales: Path,
    output: Path,
    truth: Path | None = None,
    samples: Annotated[int, Parameter(validator=Number(gte=2))] = NUM_SAMPLES,
    config: Path | None = None,
) -> None:
    """Turn masks of log curves into calibrated values at evenly spaced depths.

    Writes <id>.csv for each mask, a depth a line, a column for each curve; and curves.csv, a line
    for each curve with the share of rows that it was found in, and its errors with --truth.

    Args:
        masks: Folder of masks, with a class for each curve; depth runs down the image.
        scales: CSV with a line for each curve: id, curve, left, right (columns), left_value,
            right_value, top, bottom (rows), top_depth, bottom_depth.
        output: Folder of the results.
        truth: Folder of <id>.csv with the true curves: a column depth, and one for each curve.
        samples: Samples of each curve.
        config: Configuration that names the classes, where no provenance.json beside the masks
            does.
    """
    labels = _labels(masks, config)
    curves = digitize_folder(masks, scales, output, labels, num_samples=samples, truth=truth)
    out = console()
    out.print(rich_table(_table(curves)))
    number = len({one.id for one in curves})
    out.print(f"written: curves of {number} scans and curves.csv in {output}")


def _labels(masks: Path, config: Path | None) -> LabelsConfig:
    labels = load_config(config).labels if config is not None else predicted_labels(masks)
    if labels is None:
        raise InputError(
            f"--masks: {masks} has no {PROVENANCE} that names the classes; give --config"
        )
    return labels


def _table(curves: Sequence[DigitizedCurve]) -> TextTable:
    """Return the means over the scans, a line for each curve."""
    columns = list(curves[0].numbers())
    rows = []
    for name in dict.fromkeys(one.name for one in curves):
        numbers = [one.numbers() for one in curves if one.name == name]
        rows.append([name, *(f"{mean([one[key] for one in numbers]):.4g}" for key in columns)])
    return TextTable("Mean over the scans", ["curve", *columns], rows)
