"""vesuv phantom: a synthetic data set for first steps and tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from vesuv.cli.console import console
from vesuv.cli.options import Switch
from vesuv.data.phantom import make_phantom


def phantom(
    *,
    output: Path,
    cases: Annotated[int, Parameter(validator=Number(gte=2))] = 6,
    held_out: Annotated[int, Parameter(validator=Number(gte=0))] = 1,
    size: Annotated[int, Parameter(validator=Number(gte=32))] = 96,
    seed: int = 0,
    layers: Switch = False,
    overwrite: Switch = False,
) -> None:
    """Make a data set of rolled sheets in the Kaggle layout.

    Args:
        output: Folder of the data set.
        cases: Training volumes.
        held_out: Volumes in test_images/.
        size: Edge in voxels.
        seed: Seed.
        layers: Label the outer layer of each sheet too, as value 3: two classes that touch.
        overwrite: Replace an existing data set.
    """
    make_phantom(
        output,
        num_cases=cases,
        size=size,
        seed=seed,
        num_test=held_out,
        layers=layers,
        overwrite=overwrite,
    )
    console().print(
        f"{output}: {cases} training and {held_out} held-out volumes of {size}³ voxels",
    )
