"""Full Betti matching by the library that defined it: the compiled part of `topolosses`."""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import numpy as np

from vesuv.errors import InputError
from vesuv.types import Mask

FeatureCounts = tuple[int, int, int]
"""Features of dimension 0, 1 and 2."""


def full_matching(
    prediction: Mask, label: Mask
) -> tuple[FeatureCounts, FeatureCounts, FeatureCounts]:
    """Match two masks of one octant by persistent homology, every cell of both.

    Takes seconds and gigabytes where the counts of `betti_matching` take a fraction.

    Returns:
        Matched, predicted and labelled features by dimension.

    Raises:
        InputError: The extra `topology` is not installed.
    """
    volumes = (np.subtract(1.0, mask, dtype=np.float64) for mask in (prediction, label))
    result = _library().compute_matching(*volumes)
    matched = np.asarray(result.num_matched)
    predicted = matched + np.asarray(result.num_unmatched_input1)
    labelled = matched + np.asarray(result.num_unmatched_input2)
    matched, predicted, labelled = (part.tolist() for part in (matched, predicted, labelled))
    return tuple(matched), tuple(predicted), tuple(labelled)


@cache
def _library() -> ModuleType:
    """Load the compiled module alone: importing the package wants torchvision, OpenCV and more."""
    package = importlib.util.find_spec("topolosses")
    for folder in (package and package.submodule_search_locations) or ():
        for suffix in EXTENSION_SUFFIXES:
            for file in sorted(Path(folder).rglob(f"betti_matching{suffix}")):
                spec = importlib.util.spec_from_file_location("betti_matching", file)
                assert spec is not None and spec.loader is not None
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    raise InputError(
        "full Betti matching needs the package 'topolosses', which is not installed; "
        "install the extra: pip install 'vesuv[topology]'"
    )
