from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.conftest import MakeRun, write_facts
from vesuv.report.overview import Overview
from vesuv.runs.history import RunHistory


def overview(run: Path) -> Overview:
    return Overview(RunHistory.read(run))


def test_the_best_is_the_first_of_the_greatest(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_text("epoch,val/dice\n0,0.5\n1,0.7\n2,nan\n3,0.7\n")

    assert overview(run).best_point("val/dice") == (1, 0.7)


def test_a_resumed_run_has_not_ended(make_run: MakeRun) -> None:
    run = make_run()
    stop = '{"epoch": 4, "kind": "stop", "line": "Early stopping"}\n'
    (run / "events.jsonl").write_text(stop)
    assert overview(run).end_reason == "Early stopping"

    (run / "events.jsonl").write_text(stop + '{"epoch": 4, "kind": "resume", "line": "again"}\n')
    assert overview(run).end_reason is None


def test_one_slow_epoch_does_not_move_the_time_left(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_text("epoch,seconds\n295,10\n296,9000\n297,10\n")

    assert overview(run).seconds_left == 20.0


def test_loss_terms_are_those_of_training_and_validation(make_run: MakeRun) -> None:
    run = make_run()
    columns = "epoch,val/loss_dice,train/loss_focal,train/loss_dice,train/loss,weight/dice"
    (run / "metrics.csv").write_text(f"{columns}\n0,1,1,1,1,1\n")

    assert overview(run).loss_terms == ["dice", "focal"]


def test_software_lists_what_is_known(make_run: MakeRun) -> None:
    run = make_run()
    write_facts(run, vesuv="1.2", git_commit="0123456789abcdef", packages={"torch": "2.13.0"})

    assert overview(run).software == "vesuv 1.2, torch 2.13.0, commit 0123456789ab"


@pytest.mark.parametrize("order", [1, -1])
def test_a_configuration_without_a_base_differs_from_the_defaults_alone(
    make_run: MakeRun, order: int
) -> None:
    run = make_run()
    defaults = overview(run).default_differences
    write_facts(run, base_differences=json.loads(json.dumps(defaults[::order])))

    assert overview(run).base_differences is None
    assert len(defaults) > 1


def test_classes_are_named_also_where_the_configuration_cannot_be_read(make_run: MakeRun) -> None:
    run = make_run()
    assert overview(run).class_names == []

    (run / "config.yaml").unlink()
    columns = [f"val/{score}[{name}]" for name in "ab" for score in ("dice", "labelled_fraction")]
    (run / "metrics.csv").write_text(f"epoch,{','.join(columns)}\n0,0.5,0.1,,0\n")

    assert overview(run).class_names == ["a", "b"]
    assert overview(run).measure_name == "mean dice"
