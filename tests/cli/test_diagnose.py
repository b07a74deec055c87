import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.studies.conftest import FakeWorker
from vesuv.cli import diagnose, main
from vesuv.config import Config, check
from vesuv.runs.folder import RunFolder
from vesuv.studies.records import Job, Record
from vesuv.studies.work import train_and_score
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
    assert "optimizer.lr=0.0005" in said
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


def unfinished_run(config: Config, path: Path) -> Path:
    """A run without a finished epoch."""
    made = run_of(config, path)
    for name in ("metrics.csv", "evidence.jsonl", "events.jsonl"):
        (made / name).unlink()
    return made


def test_a_run_without_a_finished_epoch_is_no_fault(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = unfinished_run(tiny_config, tmp_path / "run")
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


class WorkerInThisProcess:
    """Trains and scores a job without a process of its own."""

    def train_all(self, jobs: Sequence[Job]) -> Iterator[Record]:
        for job in jobs:
            record = train_and_score(job)
            record.write(job.record_file)
            yield record

    def time(self, job: Job, _seconds: float) -> float:
        raise AssertionError(f"{job}: a budget of steps needs no times")


@pytest.mark.slow
def test_remedies_are_trained_and_compared(
    tiny_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = run_of(tiny_config, tmp_path / "run", optimizer={"lr": 1e-9})
    monkeypatch.setattr(diagnose, "ProcessWorker", lambda _set_up: WorkerInThisProcess())
    capsys.readouterr()

    assert called("--run", path, "--steps", 4, "--seeds", 1) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "as it is: the configuration of the run" in lines
    assert "still_weights: optimizer.lr=0.0005" in lines
    assert f"page: {path}/remedies/study.html" in lines
    assert any(line.startswith("1/3 as it is, fold 0, seed 1: dice 0.") for line in lines)
    assert "one pair of runs gives no interval" in "".join(lines[-2:])
    config = RunFolder(path / "remedies/still_weights/fold_0_seed_1").config
    assert (config.optimizer.lr, config.train.epochs, config.runtime.seed) == (5e-4, 4, 1)


def test_failed_trainings_are_an_error_at_the_end(
    tiny_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = run_of(tiny_config, tmp_path / "run", optimizer={"lr": 1e-9})
    worker = FakeWorker(failing="still_weights, fold 0, seed 0")
    monkeypatch.setattr(diagnose, "ProcessWorker", lambda _set_up: worker)

    assert called("--run", path, "--steps", 4, "--output", tmp_path / "out") == 2

    assert f"{tmp_path}/out: 1 of 6 runs failed, study.md names them;" in capsys.readouterr().err


def test_without_a_remedy_nothing_is_trained(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = unfinished_run(tiny_config, tmp_path / "run")
    capsys.readouterr()

    assert called("--run", path, "--try", 1) == 0

    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "Nothing is trained: there is no remedy that can be tried."
    assert not (path / "remedies").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--try", "1", "--steps", "4"], "--steps: --try gives the length of the trainings alr"),
        (["--resume"], "--seeds, --output, --resume: belong to the trial of remedies; give --try"),
        (["--try", "1", "--run", "other"], "--run: remedies are tried for one run, found 2"),
        (["--try", "0"], "--try"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("--run", tmp_path, *words) == 2
    assert message in capsys.readouterr().err


def test_a_seed_is_named_once(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_of(tiny_config, tmp_path / "run")

    assert called("--run", path, "--steps", 4, "--seeds", 1, 1) == 2
    assert "--seeds: names each number once, found 1 1" in capsys.readouterr().err
