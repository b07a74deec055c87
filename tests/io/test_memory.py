"""The memory that is left, by files as Linux writes them."""

from __future__ import annotations

import math
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from vesuv.io import memory

GIB = 2**30


def lines_of(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_lines", lambda path: files.get(str(path), "").splitlines())


def a_group(folder: Path, limit: str, usage: int, inactive: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\n")


def test_one_file_may_take_half_of_what_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/meminfo": "MemTotal: 99999999 kB\nMemAvailable: 8388608 kB\n"}
    lines_of(files, monkeypatch)

    assert memory.memory_limit() == 4 * GIB


def test_the_least_limit_of_the_control_groups_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_group(tmp_path, "max", 0, 0)
    a_group(tmp_path / "job", str(3 * GIB), 2 * GIB, GIB // 2)
    a_group(tmp_path / "job/step", str(9 * GIB), 0, 0)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_system", lambda: math.inf)
    read = memory._lines
    monkeypatch.setattr(
        memory,
        "_lines",
        lambda path: ["0::/job/step"] if str(path) == "/proc/self/cgroup" else read(path),
    )

    assert memory.available_memory() == 1.5 * GIB


def test_version_1_of_control_groups_is_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "memory/job"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(str(2 * GIB))
    (folder / "memory.usage_in_bytes").write_text(str(GIB))
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712")
    (tmp_path / "memory/memory.usage_in_bytes").write_text("5")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_system", lambda: math.inf)
    read = memory._lines
    lines = ["9:cpu:/x", "4:memory:/job"]
    monkeypatch.setattr(
        memory, "_lines", lambda path: lines if path.name == "cgroup" else read(path)
    )

    assert memory.available_memory() == GIB


def test_a_limit_of_the_address_space_counts() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31));"
        "from vesuv.io.memory import available_memory; print(available_memory())"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert 0 < float(done.stdout) < 2**31
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


def test_nothing_known_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    lines_of({}, monkeypatch)
    monkeypatch.delattr("os.sysconf")

    assert memory.available_memory() == math.inf


def test_freed_memory_goes_back_to_the_system() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    memory.give_back_freed_memory()
    parts = [bytearray(64 << 10) for _ in range(3000)]  # below the size that is mapped by itself
    del parts[:-1]  # the last one keeps the top of the heap
    held = _resident()

    memory.give_back_freed_memory()

    assert held - _resident() > 50 << 20


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
