from __future__ import annotations

import json
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vesuv.errors import InputError
from vesuv.inference.levels import quantise
from vesuv.selection.cache import ProbabilityCache

SETTINGS = {"checkpoint_sha256": "a", "data_fingerprint": "d", "overlap": 0.5, "views": "none"}
CASE: Any = SimpleNamespace(id="c0", native_shape=(2, 3, 4))
PROBS = torch.linspace(0, 1, 24).reshape(1, 2, 3, 4)


def test_what_was_stored_is_read_by_whoever_opens_the_same_settings(tmp_path: Path) -> None:
    cache = ProbabilityCache.open(tmp_path, "best", SETTINGS)
    assert not cache.holds(CASE)

    cache.store(CASE, PROBS)
    again = ProbabilityCache.open(tmp_path, "best", dict(reversed(SETTINGS.items())))

    assert again == cache and again.holds(CASE)
    assert torch.equal(again.read(CASE), quantise(PROBS))
    key = json.loads((cache.folder / "key.json").read_text())
    assert key == {"version": 1, "checkpoint": "best", **SETTINGS}


def test_other_windows_have_a_folder_of_their_own_and_leave_the_first(tmp_path: Path) -> None:
    cache = ProbabilityCache.open(tmp_path, "best", SETTINGS)
    cache.store(CASE, PROBS)

    other = ProbabilityCache.open(tmp_path, "best", SETTINGS | {"overlap": 0.0})

    assert not other.holds(CASE)
    assert cache.holds(CASE)


def test_new_weights_delete_what_the_old_ones_predicted(tmp_path: Path) -> None:
    cache = ProbabilityCache.open(tmp_path, "best", SETTINGS)
    last = ProbabilityCache.open(tmp_path, "last", SETTINGS)
    for one in (cache, last):
        one.store(CASE, PROBS)

    ProbabilityCache.open(tmp_path, "best", SETTINGS | {"checkpoint_sha256": "b"})

    assert not cache.folder.exists()
    assert last.holds(CASE)


def test_a_damaged_or_missing_case_is_not_held(tmp_path: Path) -> None:
    cache = ProbabilityCache.open(tmp_path, "best", SETTINGS)
    cache.store(CASE, PROBS)

    (cache.folder / "c0.zarr" / "zarr.json").write_text("{")

    assert not cache.holds(CASE)
    with pytest.raises(InputError, match=r"c0\.zarr: is gone or damaged; run the command again"):
        cache.read(CASE)


def test_a_case_of_another_shape_is_not_held(tmp_path: Path) -> None:
    cache = ProbabilityCache.open(tmp_path, "best", SETTINGS)
    cache.store(CASE, PROBS)
    larger: Any = SimpleNamespace(id="c0", native_shape=(2, 3, 5))

    assert not cache.holds(larger)


@pytest.mark.parametrize("checkpoint", ["best", "*", "[a]", "?"])
def test_only_caches_of_the_checkpoint_are_deleted(tmp_path: Path, checkpoint: str) -> None:
    folder = tmp_path / "distribution/probabilities"
    other = ProbabilityCache.open(tmp_path, "a", SETTINGS)
    former = ProbabilityCache.open(tmp_path, checkpoint, SETTINGS | {"checkpoint_sha256": "0"})
    for name in (f"{checkpoint}-mine", f"{checkpoint}-0123456789abcdef"):
        (folder / name).mkdir()
        (folder / name / "thesis").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "key.json").write_text((former.folder / "key.json").read_text())
    (folder / f"{checkpoint}-fedcba9876543210").symlink_to(tmp_path / "elsewhere")

    ProbabilityCache.open(tmp_path, checkpoint, SETTINGS)

    assert not former.folder.exists()
    assert (other.folder / "key.json").exists()
    assert (tmp_path / "elsewhere" / "key.json").exists()
    assert len(list(folder.glob("*/thesis"))) == 2


@pytest.mark.parametrize(("small", "chunks"), [(0, 2), (1 << 20, 1)])
def test_a_small_case_is_one_chunk(
    small: int, chunks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vesuv.selection.cache._SMALL", small)
    cache = ProbabilityCache.open(tmp_path, "best", SETTINGS, overlap=True)
    wide: Any = SimpleNamespace(id="c0", native_shape=(1, 1, 65))  # a chunk has 64 voxels
    probs = torch.linspace(0.01, 1, 65).reshape(1, 1, 1, 65)

    cache.store(wide, probs)

    assert (
        len([path for path in (cache.folder / "c0.zarr/c").rglob("*") if path.is_file()]) == chunks
    )
    assert torch.equal(copy(cache).read(wide), quantise(probs))
