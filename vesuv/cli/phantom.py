"""vesuv phantom: a synthetic data set for first steps and tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from vesuv.cli.console import console
from vesuv.cli.options import Switch
from vesuv.data.phantom import make_phantom
from vesuv.data.raster_log import make_raster_logs
from vesuv.errors import InputError


def phantom(
    *,
    output: Path,
    kind: Literal["scroll", "raster_log"] = "scroll",
    cases: Annotated[int, Parameter(validator=Number(gte=2))] = 6,
    held_out: Annotated[int, Parameter(validator=Number(gte=0))] = 1,
    size: Annotated[int, Parameter(validator=Number(gte=32))] = 96,
    seed: int = 0,
    layers: Switch = False,
    overwrite: Switch = False,
) -> None:
    """Make a synthetic data set.

    Args:
        output: Folder of the data set.
        kind: scroll: volumes of rolled sheets in the Kaggle layout; raster_log: scans of paper well
            logs with two crossing curves, PNG in two folders, with the curves' true values.
        cases: Training volumes or scans.
        held_out: Further ones in test_images/.
        size: Edge of a volume in voxels, or rows of a scan.
        seed: Seed.
        layers: Label the outer layer of each sheet too, as value 3: two classes that touch (kind
            scroll).
        overwrite: Replace an existing data set.
    """
    numbers = f"{output}: {cases} training and {held_out} held-out"
    if kind == "raster_log":
        if layers:
            raise InputError("--layers: only --kind scroll has layers; leave it out")
        make_raster_logs(
            output,
            num_cases=cases,
            height=size,
            seed=seed,
            num_test=held_out,
            overwrite=overwrite,
        )
        console().print(f"{numbers} scans of {size} rows")
        return
    make_phantom(
        output,
        num_cases=cases,
        size=size,
        seed=seed,
        num_test=held_out,
        layers=layers,
        overwrite=overwrite,
    )
    console().print(f"{numbers} volumes of {size}³ voxels")
