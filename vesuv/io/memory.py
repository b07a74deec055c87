"""How much memory one file may claim, and how freed memory is given back."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MEMORY_SHARE = 0.5
"""Share of the available memory that the voxels of one file may take."""
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 2.0**60
"""Limits above are none: version 1 of control groups states a huge number for "no limit"."""


def memory_limit() -> float:
    """Return the bytes that one file may claim: `MEMORY_SHARE` of the available memory."""
    return MEMORY_SHARE * available_memory()


def available_memory() -> float:
    """Return the bytes of memory that this process can take without swapping.

    The least of: what the system says is available, what the limits of its control groups (a
    container, a batch job) leave, and what `ulimit -v` leaves. Infinite where nothing is stated.
    """
    return max(0.0, min(_system(), _address_space(), *_control_groups()))


def peak_memory() -> float:
    """Return the most bytes of memory that this process has held so far; 0 where not known."""
    for line in _lines(Path("/proc/self/status")):
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return float(value.split()[0]) * 1024
    return 0.0


def give_back_freed_memory() -> None:
    """Give memory that was freed back to the system, where the C library can do so.

    Without it glibc keeps what each thread freed, which adds up over many blocks.
    """
    with suppress(OSError, AttributeError):  # not Linux, or another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _system() -> float:
    """MemAvailable of Linux; elsewhere all memory of the machine."""
    for line in _lines(Path("/proc/meminfo")):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return float(value.split()[0]) * 1024
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def _address_space() -> float:
    """What `ulimit -v` leaves."""
    try:
        import resource
    except ImportError:  # Windows
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return math.inf
    pages = [line.split()[0] for line in _lines(Path("/proc/self/statm"))]
    return limit - float(pages[0]) * resource.getpagesize() if pages else float(limit)


def _control_groups() -> Iterator[float]:
    """What the limit of each control group of this process leaves; caches can be given back."""
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, place = line.split(":", 2)
        if controllers == "":
            top, names = _CGROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = _CGROUPS / "memory"
            names = (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
        else:
            continue
        folder = top / place.lstrip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(top):
                yield _left_in_group(group, *names)


def _left_in_group(group: Path, limit_name: str, usage_name: str, cache_name: str) -> float:
    limit, usage = _number(group / limit_name), _number(group / usage_name)
    if limit is None or usage is None or limit > _UNLIMITED:
        return math.inf
    entries = (line.split() for line in _lines(group / "memory.stat"))
    caches = [float(entry[1]) for entry in entries if entry[0] == cache_name]
    return limit - usage + sum(caches)


def _number(path: Path) -> float | None:
    """The number in a file; None where there is none, as in "max"."""
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
