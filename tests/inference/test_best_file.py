from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vesuv.errors import InputError
from vesuv.inference.files import PredictOptions, predict
from vesuv.inference.masking import choose_masking
from vesuv.selection.best_file import open_best


def _write(path: Path, runs: list[Any], **changes: Any) -> Path:
    members = [
        {"run": str(run.path), "checkpoint": "best", "checkpoint_sha256": "x"} for run in runs
    ]
    steps = [{"name": "remove_small", "voxels": 5, "connectivity": 26}]
    content = {"version": 1, "members": members, "threshold": 0.35, "postprocess": steps}
    path.write_text(json.dumps(content | changes))
    return path


def test_every_member_has_the_threshold_and_the_steps_of_the_whole(make_run, tmp_path) -> None:
    runs = [make_run("a"), make_run("b", seed=1)]

    members = open_best(_write(tmp_path / "best.json", runs))

    assert [member.run.path for member in members] == [run.path for run in runs]
    masking = choose_masking(members, None, None)
    assert masking.threshold == 0.35
    assert [step.name for step in masking.chain] == ["remove_small"]
    assert all(member.outdated for member in members)  # "x" is no digest of theirs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "needs version 1, members, threshold and postprocess"),
        ({"members": []}, "needs version 1, members"),
        ({"members": [{"run": "a"}]}, "needs version 1, members"),
        ({"threshold": 1.5}, "threshold must be from 0 to 1 or null, found 1.5"),
        ({"postprocess": [{"name": "shrink"}]}, "postprocess.*there is no step 'shrink'"),
    ],
)
def test_a_file_that_says_something_else_is_refused(make_run, tmp_path, changes, message) -> None:
    path = _write(tmp_path / "best.json", [make_run("a")], **changes)

    with pytest.raises(InputError, match=message):
        open_best(path)


def test_a_file_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"--best: .*best.json cannot be read as JSON"):
        open_best(tmp_path / "best.json")


def test_runs_that_cannot_be_averaged_are_refused(make_run, tmp_path) -> None:
    runs = [make_run("a"), make_run("b", labels__classes={"background": 0, "vessel": 1})]

    with pytest.raises(InputError, match=r"must agree in labels\.classes"):
        open_best(_write(tmp_path / "best.json", runs))


def test_runs_beside_the_file_are_refused(tmp_path) -> None:
    options = PredictOptions(best=tmp_path / "best.json")

    with pytest.raises(InputError, match="--best: says which runs and checkpoints"):
        predict([tmp_path / "run"], tmp_path, tmp_path / "out", options)
