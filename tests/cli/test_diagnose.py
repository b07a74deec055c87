import json
from pathlib import Path

import pytest

from vesuv.cli import main
from vesuv.config import Config, check
from vesuv.training.train import train


def run_of(config: Config, folder: Path, **sections: object) -> Path:
    tree = config.model_dump(mode="json")
    for section, values in sections.items():
        tree[section] = values if isinstance(values, list) else {**tree[section], **values}  # type: ignore[dict-item]
    changed = check({**tree, "train": {**tree["train"], "steps_per_epoch": 2}}, "test")
    return train(changed, output=folder).path


def called(*arguments: object) -> int | str | None:
    try:
        main(["diagnose", *map(str, arguments)])
    except SystemExit as stop:
        return stop.code
    return 0


def test_a_run_that_never_learnt_is_diagnosed_from_its_folder(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_of(tiny_config, tmp_path / "run", optimizer={"lr": 1e-9})
    before = {file.name for file in path.iterdir()}
    (path / "diagnosis.json").unlink()
    (path / "report.html").unlink()
    with (path / "evidence.jsonl").open("a") as file:
        file.write('{"version": 1, "epoch": 9, "his')
    capsys.readouterr()

    assert called("--run", str(path)) == 0

    said = capsys.readouterr().out
    assert f"{path} (as of epoch 3): " in said
    assert "Trouble: The weights hardly move (still_weights)." in said
    assert "optimizer.lr=3e-08" in said
    written = json.loads((path / "diagnosis.json").read_text())
    assert written["epoch"] == 3
    assert "still_weights" in [finding["name"] for finding in written["findings"]]
    assert "The weights hardly move" in (path / "report.html").read_text()
    assert {file.name for file in path.iterdir()} == before


def test_two_runs_are_compared_by_the_measure(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run_of(tiny_config, tmp_path / "first")
    dice = [{"epochs": [0, None], "weights": {"dice": 1.0}}]
    other = run_of(tiny_config, tmp_path / "other", phases=dice)
    capsys.readouterr()

    assert called("--run", str(first), str(other)) == 0

    said = capsys.readouterr().out
    assert "By the best dice on the fixed tiles:" in said
    assert f"Warning: {first} and {other} minimise different functions" in said


def test_equal_objectives_may_be_compared(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_of(tiny_config, tmp_path / "run")
    capsys.readouterr()

    called("--run", path, path)

    assert "their losses may be compared" in capsys.readouterr().out


def test_a_run_without_a_finished_epoch_is_no_fault(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_of(tiny_config, tmp_path / "run")
    for name in ("metrics.csv", "evidence.jsonl", "events.jsonl"):
        (path / name).unlink()
    capsys.readouterr()

    assert called("--run", path) == 0
    assert "(no epoch is finished yet): no findings" in capsys.readouterr().out


def test_another_folder_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("--run", str(tmp_path)) == 2
    assert "not a run folder (no config.yaml)" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_sentence(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_of(tiny_config, tmp_path / "run")
    (path / "diagnosis.json").unlink()
    (path / "diagnosis.json").mkdir()

    assert called("--run", path) == 2
    assert "cannot be written" in capsys.readouterr().err
