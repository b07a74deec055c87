"""vesuv curves hough: the baseline, a Hough transform of masks or probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from vesuv.cli.console import console
from vesuv.cli.options import Switch
from vesuv.cli.progress import shown_progress
from vesuv.curves.folders import COLUMNS, check_output, write_picked
from vesuv.curves.hough import HoughSettings, hough_picks
from vesuv.curves.logs import read_logs
from vesuv.curves.masks import read_probs


def hough(
    *,
    input: Path,  # noqa: A002 - the option's name
    masks: Path,
    output: Path,
    threshold: Annotated[float, Parameter(validator=Number(gt=0, lte=1))] = 0.4,
    missing: float = 0.0,
    pictures: Switch = False,
    overwrite: Switch = False,
) -> None:
    """Pick logs from what a network of segmentation predicted for them.

    Args:
        input: Folder of logs.
        masks: Folder of `predict`: masks of classes 0, 1, 2, or probabilities, one file a log.
        output: Folder of the results, as that of `curves predict`.
        threshold: Smallest mean probability along a sinusoid.
        missing: Grey value of pixels without a measurement.
        pictures: Draw each log.
        overwrite: Replace earlier results.
    """
    check_output(input, output, overwrite=overwrite)
    logs = read_logs(input, COLUMNS, missing, needs_picks=False)
    out = console()
    with shown_progress(out, "Hough transform", "logs") as progress:
        for number, log in enumerate(logs, start=1):
            probs = read_probs(masks, log)
            picks = hough_picks(probs, log.hole, HoughSettings(threshold=threshold))
            write_picked(output, log, picks, pictures=pictures)
            progress(number, len(logs))
    out.print(f"written: {output}")
