"""The compiled Betti matching of the package `topolosses`, which is the extra `topology`."""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

from vesuv.errors import InputError


@cache
def betti_library() -> ModuleType:
    """Load the compiled module alone: importing the package wants torchvision, OpenCV and more.

    Raises:
        InputError: The extra `topology` is not installed.
    """
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
