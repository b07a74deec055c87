"""vesuv curves masks: logs as a data set of segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from vesuv.cli.console import console
from vesuv.curves.folders import COLUMNS
from vesuv.curves.logs import read_logs
from vesuv.curves.masks import write_masks
from vesuv.errors import InputError
from vesuv.io.places import contains


def masks(
    *,
    input: Path,  # noqa: A002 - the option's name
    output: Path,
    rows: Annotated[int | None, Parameter(validator=Number(gte=8))] = None,
    missing: float = 0.0,
) -> None:
    """Write logs as flat images and masks in the Kaggle layout, and say how many hold a pick.

    Classes: background 0, bedding 1, fracture 2; the wells are the groups.

    Args:
        input: Folder of logs.
        output: Folder of the data set.
        rows: Cut logs into pieces of so many rows (default: whole logs).
        missing: Grey value of pixels without a measurement.
    """
    if contains(input, output):
        raise InputError(f"--output: {output} must not lie in the logs; name another folder")
    census = write_masks(output, read_logs(input, COLUMNS, missing), rows)
    console().print(
        f"{output}: {census['cases']} cases, {census['with_picks']} of them with foreground, "
        f"{census['picks']} picks"
    )
