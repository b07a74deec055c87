"""One prepared store for all runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import tiny_tree
from vesuv.config import Config, check
from vesuv.data.builder import open_or_prepare_store


@pytest.fixture(scope="session")
def tiny_store(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared `tiny_data`; nothing here writes into it."""
    folder = tmp_path_factory.mktemp("prepared") / "store"
    open_or_prepare_store(check(tiny_tree(tiny_data, folder), "tiny"))
    return folder


@pytest.fixture
def tiny_config(tiny_data: Path, tiny_store: Path) -> Config:
    """The configuration of `tiny_tree` with the shared store."""
    return check(tiny_tree(tiny_data, tiny_store), "tiny")
