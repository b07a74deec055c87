"""vesuv curves masks: logs as a data set of segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from vesuv.cli.console import console
from vesuv.cli.options import Changes, ConfigFile
from vesuv.curves.config import load_curves_config
from vesuv.curves.logs import folds_of, read_logs
from vesuv.curves.masks import write_masks
from vesuv.errors import InputError
from vesuv.io.places import contains


def masks(
    *,
    config: ConfigFile,
    output: Path,
    rows: Annotated[int | None, Parameter(validator=Number(gte=8))] = None,
    changes: Changes = (),
) -> None:
    """Write logs as flat images and masks in the Kaggle layout, and say how many hold a pick.

    Classes: background 0, bedding 1, fracture 2. The folds are those of `curves train`.

    Args:
        config: Configuration of curves (YAML), or the name of a shipped one: geobfdt.
        output: Folder of the data set.
        rows: Cut logs into pieces of so many rows (default: whole logs).
        changes: Changes to the configuration: logs.root=log/curves/data …
    """
    settings = load_curves_config(config, changes)
    root = Path(settings.logs.root)
    if contains(root, output):
        raise InputError(f"--output: {output} must not lie in the logs; name another folder")
    logs = read_logs(root, settings.strips.columns, settings.logs.missing)
    census = write_masks(output, folds_of(logs, settings.logs.folds, settings.logs.seed), rows)
    console().print(
        f"{output}: {census['cases']} cases, {census['with_picks']} of them with foreground, "
        f"{census['picks']} picks"
    )
