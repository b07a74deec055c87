import json
from pathlib import Path

import pytest
import yaml

from tests.diagnosis.conftest import TREE
from vesuv.diagnosis import diagnose
from vesuv.diagnosis.evidence import Evidence
from vesuv.errors import InputError
from vesuv.runs.records import RunEvent

METRICS = """epoch,train/loss,val/dice,weight/dice,weight/focal,val/full_dice
0,0.9,0.4,1,0,
1,0.8,,0.8,0.2,nan
2,0.7,0.5,0.8,0.2,inf
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(TREE))
    (folder / "metrics.csv").write_text(METRICS)
    lines = [{"version": 1, "epoch": epoch, "movement": 0.1} for epoch in (0, 2)]
    (folder / "evidence.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    event = {"epoch": 1, "step": 0, "kind": "phase", "line": "Phase 2 begins"}
    (folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    facts = {"version": 1, "fold": 0, "data_fingerprint": "x", "validation_cases": []}
    (folder / "run.json").write_text(json.dumps({**facts, "store": str(tmp_path / "store")}))
    return folder


def test_a_run_folder_is_read_whole(run: Path) -> None:
    evidence = Evidence.read(run)

    assert evidence.epoch == 2 and evidence.validation_epochs == [0, 2]
    assert evidence.points("val/dice") == [(0, 0.4), (2, 0.5)]
    assert evidence.last_values("train/loss", 2) == [0.8, 0.7]
    assert evidence.value_at("val/dice", 1) is None and evidence.value_at("nothing", 0) is None
    assert evidence.weights(0) == {"dice": 1.0}
    assert evidence.weights(1) == {"dice": 0.8, "focal": 0.2}
    assert evidence.points("val/full_dice") == []
    assert evidence.events == (RunEvent(epoch=1, kind="phase", line="Phase 2 begins"),)
    assert [line.epoch for line in evidence.observations] == [0, 2]
    assert evidence.facts.fold == 0 and evidence.labels is None


def test_the_stores_census_is_read_while_it_is_there(run: Path, tmp_path: Path) -> None:
    census = {"values": {"0": 0.9, "1": 0.1}, "foreground": 0.1, "ignore": 0.0}
    kept = {**census, "patches_with_foreground": 0.25}
    line = {"version": 1, "epoch": 0, "labels": kept}
    (run / "evidence.jsonl").write_text(json.dumps(line) + "\n")

    without = Evidence.read(run).labels
    (tmp_path / "store").mkdir()
    now = {**census, "patches_with_foreground": 0.5, "groups": {}}
    (tmp_path / "store" / "census.json").write_text(json.dumps(now))
    with_store = Evidence.read(run).labels

    assert without is not None and without.patches_with_foreground == 0.25
    assert with_store is not None and with_store.patches_with_foreground == 0.5


HOSTILE = [
    '{"version": 1, "epoch": 3, "moveme',
    "",
    "null",
    "[1, 2]",
    "\x00\xff garbage",
    '{"version": 2, "epoch": 3}',
    '{"version": 1}',
    '{"version": 1, "epoch": "three"}',
    '{"version": 1, "epoch": 3, "histogram": "none"}',
    '{"version": 1, "epoch": 3, "histogram": {"foreground": [1, 2], "background": []}}',
    '{"version": 1, "epoch": 3, "movement": NaN}',
    '{"version": 1, "epoch": 3, "groups": {"a": 2}}',
    '{"version": 1, "epoch": 3, "gradients": {"cosines": 1, "norms": 2}}',
    "[" * 10_000,
]


@pytest.mark.parametrize("line", HOSTILE)
def test_a_line_that_is_half_written_or_hostile_is_skipped(run: Path, line: str) -> None:
    with (run / "evidence.jsonl").open("a", encoding="utf-8", errors="replace") as file:
        file.write(line + "\n")
    with (run / "events.jsonl").open("a", encoding="utf-8", errors="replace") as file:
        file.write(line + "\n")

    evidence = Evidence.read(run)

    assert [seen.epoch for seen in evidence.observations] == [0, 2]
    assert len(evidence.events) == 1
    diagnose(evidence)


def test_a_row_that_a_kill_left_half_written_is_skipped(run: Path) -> None:
    with (run / "metrics.csv").open("a") as file:
        file.write("3,0.6,0.")

    assert Evidence.read(run).epoch == 2


def test_a_run_killed_before_its_first_epoch_is_no_fault(run: Path) -> None:
    for name in ("metrics.csv", "evidence.jsonl", "events.jsonl", "run.json"):
        (run / name).unlink()

    evidence = Evidence.read(run)

    assert evidence.epoch == -1 and diagnose(evidence) == ()


def test_a_census_that_is_no_census_is_left_out(run: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "census.json").write_text('{"values": 3}')

    assert Evidence.read(run).labels is None


def test_a_folder_without_a_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a run folder \(no config.yaml\)"):
        Evidence.read(tmp_path)
