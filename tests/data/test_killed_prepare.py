"""A process that is killed while it prepares leaves a whole store: the former or the new one."""

import os
import signal
from pathlib import Path

import pytest
import yaml

from tests.conftest import tiny_tree, write_tiny_config
from tests.faults.runs import KilledAtRename, start
from vesuv.config import Config, load_config
from vesuv.data import case_builder
from vesuv.data.builder import prepare
from vesuv.data.case_paths import CasePaths
from vesuv.data.store import Store, StoredCase

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process of its own")


# Renames: the four cases, summary, digests and index, the former store aside, the new one in its
# place, and the former one to a name under which it is deleted.
@pytest.mark.parametrize(
    ("number", "done"),
    [
        (9, False),
        *(
            pytest.param(number, done, marks=pytest.mark.slow)
            for number, done in [
                (1, True),
                (7, False),
                (8, False),
                (8, True),
                (9, True),
                (10, False),
                (10, True),
            ]
        ),
    ],
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


def killed(config_file: Path, tmp_path: Path, number: int) -> Config:
    """Return a configuration whose first preparation was killed at a rename."""
    arguments = ["prepare", "--config", str(config_file)]
    running = start(arguments, tmp_path / "errors.txt", before=KilledAtRename(number, done=True))
    assert running.status() == -signal.SIGKILL, running.said
    return load_config(config_file)


@pytest.fixture
def config_file(tiny_data: Path, tmp_path: Path) -> Path:
    """A configuration with raw data of its own and no store."""
    return write_tiny_config(tiny_data, tmp_path)


def prepared_cases(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that each case that is prepared from now on is added to."""
    names: list[str] = []
    prepare_case = case_builder.prepare_case

    def listed(files: CasePaths, config: Config, store: Path) -> StoredCase:
        names.append(files.id)
        return prepare_case(files, config, store)

    monkeypatch.setattr(case_builder, "prepare_case", listed)
    return names


def test_finished_cases_of_a_killed_preparation_are_taken_over(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = killed(config_file, tmp_path, 3)
    (leftover,) = tmp_path.glob(".store.*.partial")
    finished = sorted(path.stem for path in leftover.glob("cases/c*.zarr"))
    names, notes, steps = prepared_cases(monkeypatch), list[str](), list[tuple[int, int]]()

    store = prepare(config, notes=notes.append, progress=lambda *step: steps.append(step))

    assert len(finished) == 3
    assert sorted([*finished, *names]) == ["c0", "c1", "c2", "c3"]
    assert notes == ["3 of 4 cases were prepared before vesuv was killed"]
    assert steps == [(1, 1)]
    whole = prepare(load_config(config_file, [f"data.store={tmp_path / 'whole'}"]))
    assert (store.summary, store.fingerprint) == (whole.summary, whole.fingerprint)
    assert sorted(path.relative_to(store.path) for path in store.path.rglob("*")) == sorted(
        path.relative_to(whole.path) for path in whole.path.rglob("*")
    )
    assert not list(tmp_path.glob(".store.*partial*"))


def test_a_case_that_lost_its_end_is_prepared_again(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = killed(config_file, tmp_path, 4)
    (image,) = tmp_path.glob(".store.*.partial/cases/c2.zarr/image/c/0/0/0/0")
    os.truncate(image, 100)
    names = prepared_cases(monkeypatch)

    prepare(config)

    assert names == ["c2"]


@pytest.mark.parametrize("change", ["labels.ignore=null", "raw file"])
def test_nothing_is_taken_over_by_a_preparation_of_other_data(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    config = killed(config_file, tmp_path, 4)
    if change == "raw file":
        os.utime(tmp_path / "raw" / "train.csv", ns=(5, 5))
    else:
        config = load_config(config_file, ["labels.classes={air: [0, 2], sheet: 1}", change])
    names = prepared_cases(monkeypatch)

    prepare(config)

    assert sorted(names) == ["c0", "c1", "c2", "c3"]
    assert not list(tmp_path.glob(".store.*partial*"))
