"""The software versions of a run or a prediction."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vesuv import __version__

_PACKAGES = ("torch", "monai", "numpy", "zarr")


def software() -> dict[str, Any]:
    """Return the versions of vesuv, Python and the packages that results depend on."""
    return {
        "vesuv": __version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


@functools.cache
def _git_commit() -> str | None:
    """Return the commit of the source tree; None for an installed package."""
    try:
        process = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() or None
