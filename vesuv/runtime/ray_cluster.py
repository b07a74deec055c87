"""The Ray cluster that work is spread over (extra `ray`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vesuv.errors import InputError


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """Give the module `ray`, connected; a cluster that was started here is shut down at the end.

    Raises:
        InputError: Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise InputError(
            "--engine ray: needs the package ray, found none; install vesuv[ray]"
        ) from None
    is_mine = not ray.is_initialized()
    if is_mine:
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        yield ray
    finally:
        if is_mine:
            ray.shutdown()
