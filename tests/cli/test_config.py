from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Refused, Run
from vesuv.config import load_config

Output = pytest.CaptureFixture[str]


def lines(capsys: Output) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_show_names_the_origin_of_each_value(tmp_path: Path, run: Run, capsys: Output) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("base: demo\ntrain: {epochs: 9}\n")

    run("config", "show", mine, "--set", "train.gradient_clip=1.5")

    rows = dict(line.rsplit("  # ", 1) for line in lines(capsys))
    origins = {row.strip(): origin for row, origin in rows.items()}
    assert origins["train.epochs=9"] == str(mine)
    assert origins["train.gradient_clip=1.5"] == "--set train.gradient_clip=1.5"
    assert origins["train.steps_per_epoch=40"].endswith("configs/demo.yaml")
    assert origins["train.non_finite=stop"] == "default"


def test_what_show_prints_can_be_set(run: Run, capsys: Output) -> None:
    run("config", "show", "v9_progressive")
    changes = [line.rsplit("  # ", 1)[0].strip() for line in lines(capsys)]

    assert load_config("demo", changes) == load_config("v9_progressive")


def test_diff_names_both_values(tmp_path: Path, run: Run, capsys: Output) -> None:
    (tmp_path / "mine.yaml").write_text("base: demo\ntrain: {epochs: 9}\nnoise: null\n")

    run("config", "diff", "demo", tmp_path / "mine.yaml")

    assert lines(capsys) == ["train.epochs: 16 -> 9"]


def test_diff_of_one_file_is_against_the_defaults(run: Run, capsys: Output) -> None:
    run("config", "diff", "v9_progressive")

    printed = lines(capsys)
    assert "sampling.batch_size: 2 -> 8" in printed
    assert "data.root: data/vesuvius-surface" in printed
    assert not any(line.startswith("optimizer") for line in printed)


def test_diff_of_equal_configurations_says_so(run: Run, capsys: Output) -> None:
    run("config", "diff", "demo", "demo")

    assert lines(capsys) == ["no difference"]


def test_explain_prints_meaning_range_default_and_shipped_values(run: Run, capsys: Output) -> None:
    run("config", "explain", "averaging.ema.decay")

    assert lines(capsys) == [
        "averaging.ema.decay: Weight of the old average at each step (smaller in the first steps).",
        "  number, above 0, below 1; default 0.999",
        "  demo: 0.99",
        "  fib25: 0.995",
        "  surface: 0.999",
    ]


def test_explain_prints_the_keys_of_a_section(run: Run, capsys: Output) -> None:
    run("config", "explain", "data.folds")

    assert [line.split()[0] for line in lines(capsys)] == [
        "data.folds:", "data.folds.num", "data.folds.seed", "data.folds.by", "data.folds.file",
    ]  # fmt: skip


def test_a_key_that_does_not_exist_is_refused(refused: Refused) -> None:
    assert refused("config", "explain", "train.epoch") == (
        "error: 'train.epoch': no such key; nearest valid name: train.epochs\n"
    )


def test_schema_prints_json(run: Run, capsys: Output) -> None:
    run("config", "schema")

    assert json.loads(capsys.readouterr().out)["properties"]["base"]["type"] == "string"


def test_a_configuration_that_does_not_exist_is_refused(refused: Refused) -> None:
    assert "no such configuration file" in refused("config", "show", "nowhere.yaml")
