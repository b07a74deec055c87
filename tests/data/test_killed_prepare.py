"""A process that is killed while it prepares leaves a whole store: the former or the new one."""

import os
import signal
from pathlib import Path

import pytest
import yaml

from tests.conftest import tiny_tree
from tests.faults.runs import KilledAtRename, start
from vesuv.config import load_config
from vesuv.data.builder import prepare
from vesuv.data.store import Store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process of its own")


# Renames: the four cases, summary, digests and index, the former store aside, the new one in its
# place, and the former one to a name under which it is deleted.
@pytest.mark.parametrize(
    ("number", "done"),
    [(1, True), (7, False), (8, False), (8, True), (9, False), (9, True), (10, False), (10, True)],
)
def test_a_store_is_whole_wherever_its_making_is_killed(
    tiny_data: Path, tmp_path: Path, number: int, done: bool
) -> None:
    config_file = tmp_path / "tiny.yaml"
    config_file.write_text(yaml.safe_dump(tiny_tree(tiny_data, tmp_path / "store")))
    before = prepare(load_config(config_file))
    folds = before.path / "folds.yaml"
    folds.write_text("# edited\n" + folds.read_text())
    former_file = (before.path / "store.json").stat().st_ino
    arguments = ["prepare", "--config", str(config_file), "--overwrite"]

    running = start(arguments, tmp_path / "errors.txt", before=KilledAtRename(number, done))
    assert running.status() == -signal.SIGKILL, running.said

    assert prepare(load_config(config_file)) == before == Store.open(before.path)
    assert folds.read_text().startswith("# edited\n")
    is_former = (before.path / "store.json").stat().st_ino == former_file
    assert is_former == ((number, done) < (9, True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["errors.txt", "store", "tiny.yaml"]
