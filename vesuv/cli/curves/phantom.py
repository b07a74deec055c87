"""vesuv curves phantom: image logs for first steps, studies and tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from vesuv.cli.console import console
from vesuv.cli.options import Switch
from vesuv.curves.phantom import make_phantom


def phantom(
    *,
    output: Path,
    wells: Annotated[int, Parameter(validator=Number(gte=1))] = 6,
    rows: Annotated[int, Parameter(validator=Number(gte=100))] = 3000,
    per_strip: Annotated[float, Parameter(validator=Number(gte=0, lte=10))] = 1.5,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    overwrite: Switch = False,
) -> None:
    """Make a folder of image logs with exact picks: wells.csv, images/, picks/.

    Args:
        output: Folder of the logs.
        wells: Number of wells.
        rows: Rows of each image; a row is 5 mm.
        per_strip: Mean number of picks in 100 rows.
        seed: Seed.
        overwrite: Replace an existing phantom.
    """
    make_phantom(
        output, wells=wells, rows=rows, per_strip=per_strip, seed=seed, overwrite=overwrite
    )
    console().print(f"{output}: {wells} wells of {rows} rows")
