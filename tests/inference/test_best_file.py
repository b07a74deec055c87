from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vesuv.errors import InputError
from vesuv.inference.best_file import open_best
from vesuv.inference.chosen_mask import choose_mask
from vesuv.inference.members import file_digest


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

    assert [member.folder for member in members] == [run.path for run in runs]
    mask = choose_mask(members).settings
    assert mask.cuts[0].threshold == 0.35
    assert [step.name for step in mask.cuts[0].chain] == ["remove_small"]
    assert all(member.is_outdated for member in members)  # "x" is no digest of theirs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": []}, r"members: Tuple should have at least 1 item.*, found \[\]\)"),
        ({"members": [{"run": "a"}]}, r"members\.0\.checkpoint: Field required\)"),
        ({"threshold": 1.5}, r"threshold: .* less than or equal to 1, found 1\.5\)"),
        ({"postprocess": [{"name": "shrink"}]}, r"\(postprocess\.0: there is no step 'shrink'"),
    ],
)
def test_a_file_that_says_something_else_is_refused(make_run, tmp_path, changes, message) -> None:
    path = _write(tmp_path / "best.json", [make_run("a")], **changes)

    with pytest.raises(InputError, match=r"best\.json is not what find_best writes.*" + message):
        open_best(path)


def test_a_file_of_a_newer_version_is_refused(make_run, tmp_path) -> None:
    path = _write(tmp_path / "best.json", [make_run("a")], version=2)

    with pytest.raises(
        InputError, match=r"best\.json: record version must be 1, found 2 of a newer"
    ):
        open_best(path)


def test_a_file_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"best\.json: no such file; check the path"):
        open_best(tmp_path / "best.json")


def test_runs_that_cannot_be_averaged_are_refused(make_run, tmp_path) -> None:
    runs = [make_run("a"), make_run("b", labels__classes={"background": 0, "vessel": 1})]

    with pytest.raises(InputError, match=r"must agree in labels\.classes"):
        open_best(_write(tmp_path / "best.json", runs))


def _former(path: Path, run: Path, digest: str) -> Path:
    """Write what the version before this one wrote for a run."""
    steps = [{"name": "remove_small", "voxels": 5, "connectivity": 26}]
    scores = {
        "dice": 0.5623117775463403,
        "gap": 0.1139800514800515,
        "predicted_fraction": 0.4223375160875161,
        "labelled_fraction": 0.3083574646074646,
    }
    table = [
        {"system": "a", "chosen": "a/best at threshold 0.25, remove small 5 voxels", **scores},
        {"system": "a + b", "chosen": "a/best + b/best at threshold 0.3", **scores},
    ]
    content = {
        "version": 1,
        "name": "a",
        "members": [{"run": str(run), "checkpoint": "best", "checkpoint_sha256": digest}],
        "threshold": 0.25,
        "postprocess": steps,
        **scores,
        "why": "a/best at threshold 0.25, remove small 5 voxels: the highest Dice, 0.5623, …",
        "objective": "dice",
        "tolerance": 0.5,
        "band": None,
        "margin": {"over": "a + b", "dice": 0.0, "gap": 0.0},
        "groups": [{"group": "0", "cases": 1, **scores, "margin": {"dice": 0.0, "gap": 0.0}}],
        "honest": {"left_out": "group", "dice": 0.56, "gap": 0.11, "rounds": []},
        "inference": {"overlap": 0.25, "mirror": True, "precision": "float32"},
        "table": table,
    }
    path.write_text(json.dumps(content, indent=2))
    return path


def test_a_file_of_the_former_version_opens(make_run, tmp_path) -> None:
    run = make_run("a", checkpoints=("best", "last"))
    path = _former(tmp_path / "best.json", run.path, file_digest(run.checkpoint("best")))

    (member,) = open_best(path)

    assert (member.folder, member.name, member.is_outdated) == (run.path, "best", False)
    assert (member.inference.overlap, member.inference.views) == (0.25, "mirror")
    settings = choose_mask([member]).settings
    assert (settings.cuts[0].threshold, [step.name for step in settings.cuts[0].chain]) == (
        0.25,
        ["remove_small"],
    )


def test_changes_come_after_what_the_file_says(make_run, tmp_path) -> None:
    run = make_run("a")
    path = _former(tmp_path / "best.json", run.path, "x")

    (member,) = open_best(path, ["inference.overlap=0.75"])

    assert (member.inference.overlap, member.inference.views) == (0.75, "mirror")
