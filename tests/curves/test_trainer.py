"""Runs of a small detector: equal seeds, resuming, and eight strips by heart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vesuv.curves.checkpoint import load_detector, read_detector
from vesuv.curves.config import CurvesConfig, load_curves_config
from vesuv.curves.detector import Detector, picks_of
from vesuv.curves.logs import read_logs
from vesuv.curves.matching import CurveLoss
from vesuv.curves.phantom import make_phantom
from vesuv.curves.scores import LogPicks, score
from vesuv.curves.strips import StripSampler
from vesuv.curves.train import open_run, train_curves
from vesuv.curves.trainer import CurvesTrainer
from vesuv.curves.validation import FoldLogs
from vesuv.errors import InputError, Interrupted
from vesuv.runs.checkpoints import save_content
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import resolve
from vesuv.training.reporting import Listener, StepProgress


def trained(
    small_logs: Path, run: Path, *changes: str, fold: int = 0, **options: object
) -> CurvesTrainer:
    config = load_curves_config(small_logs / "small.yaml", changes)
    machine = resolve(config.runtime.shared())
    return train_curves(config, fold, RunFolder(run), machine, **options)  # type: ignore[arg-type]


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return read_detector(run / f"checkpoints/{name}.pt").model


def assert_equal(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert _scores(one) == _scores(other)


def _scores(run: Path) -> list[list[str]]:
    """Lines of metrics.csv without the columns of time."""
    lines = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    timed = [i for i, name in enumerate(lines[0]) if name in ("seconds", "strips_per_second")]
    return [[cell for i, cell in enumerate(line) if i not in timed] for line in lines]


@pytest.fixture(scope="module")
def run(small_logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "one"
    trained(small_logs, folder)
    return folder


def test_a_run_leaves_what_every_run_leaves(run: Path) -> None:
    names = {path.name for path in run.iterdir()}

    expected = {"config.yaml", "run.json", "metrics.csv", "train.log", "events.jsonl"}
    assert expected | {"report.html", "picks.png", "checkpoints", "diagnosis.json"} <= names
    page = (run / "report.html").read_text()
    assert "Whole logs of the validation wells, epoch 1" in page
    assert 'src="data:image/png;base64,' in page
    facts = RunFolder(run).facts
    assert not set(facts.train_cases) & set(facts.validation_cases)


def test_equal_seeds_give_equal_runs(run: Path, small_logs: Path, tmp_path: Path) -> None:
    trained(small_logs, tmp_path / "again")
    trained(small_logs, tmp_path / "other", "runtime.seed=1")

    assert_equal(run, tmp_path / "again")
    assert not torch.equal(
        weights(run)["begin.weight"], weights(tmp_path / "other")["begin.weight"]
    )


@pytest.mark.parametrize("stop", [(0, 2), (0, 3), (1, 1)])
def test_an_interrupted_run_goes_on_to_the_same_end(
    run: Path, small_logs: Path, tmp_path: Path, stop: tuple[int, int]
) -> None:
    path = tmp_path / "stopped"
    requests = []

    def step(at: StepProgress) -> None:
        if (at.epoch, at.step) == stop:
            requests[0].signal_name = "SIGTERM"

    class Recorded(CurvesTrainer):
        def fit(self) -> float | None:
            requests.append(self.stop_request)
            return super().fit()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vesuv.curves.train.CurvesTrainer", Recorded)
        with pytest.raises(Interrupted, match="saved at step"):
            trained(small_logs, path, listener=Listener(step=step))
    trained(small_logs, path, resume=True)

    assert_equal(run, path)


def test_a_longer_run_continues_a_finished_one(small_logs: Path, tmp_path: Path) -> None:
    trained(
        small_logs, tmp_path / "a", "scheduler={name: plateau, warmup_epochs: 0}", "train.epochs=1"
    )
    trained(
        small_logs,
        tmp_path / "a",
        "scheduler={name: plateau, warmup_epochs: 0}",
        "train.epochs=2",
        resume=True,
    )
    trained(
        small_logs, tmp_path / "b", "scheduler={name: plateau, warmup_epochs: 0}", "train.epochs=2"
    )

    assert_equal(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize(
    ("changes", "fold", "sentence"),
    [
        (["detector.queries=5"], 0, "keeps its configuration, found other values for detector.q"),
        (["runtime.seed=5"], 0, "found other values for runtime.seed"),
        ([], 1, "is a run of fold 0, asked to resume fold 1"),
        (["logs.folds=3"], 0, "3 folds need as many groups of wells, found 2"),
    ],
)
def test_a_run_resumes_as_it_is_only(
    run: Path, small_logs: Path, changes: list[str], fold: int, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        trained(small_logs, run, *changes, fold=fold, resume=True)


def test_a_run_on_other_logs_does_not_resume(run: Path, small_logs: Path, tmp_path: Path) -> None:
    make_phantom(tmp_path / "logs", wells=2, rows=200, per_strip=6.0, seed=1)

    with pytest.raises(InputError, match="was trained on other data than"):
        trained(small_logs, run, f"logs.root={tmp_path / 'logs'}", resume=True)


def test_wrong_folders_and_folds_are_refused(run: Path, small_logs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds a run already"):
        trained(small_logs, run)
    with pytest.raises(InputError, match="--fold: must be from 0 to 1, found 2"):
        trained(small_logs, tmp_path / "a", fold=2)
    with pytest.raises(InputError, match="must not hold the logs"):
        trained(small_logs, small_logs)
    make_phantom(tmp_path / "empty", wells=2, rows=200, per_strip=0.0)
    with pytest.raises(InputError, match="training wells of fold 0 have no pick"):
        trained(small_logs, tmp_path / "a", f"logs.root={tmp_path / 'empty'}")


def test_a_run_of_curves_is_told_from_one_of_segmentation(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"task: curves.*curves"):
        _ = RunFolder.open(run).config
    (tmp_path / "config.yaml").write_text("name: a\n")
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="is a run of segmentation, not of curves"):
        open_run(tmp_path)


def test_checkpoints_of_others_are_refused(run: Path, small_logs: Path, tmp_path: Path) -> None:
    content = {"version": 1, "model": {}, "epoch": 0, "training": None}
    save_content(tmp_path / "a.pt", content)
    with pytest.raises(InputError, match=r"a.pt: is no checkpoint of curves"):
        read_detector(tmp_path / "a.pt")
    detector, config = load_detector(RunFolder(run))
    assert isinstance(detector, Detector)
    assert config.detector.queries == 4
    best = read_detector(run / "checkpoints/best.pt")
    trainer = CurvesTrainer(
        load_curves_config(small_logs / "small.yaml"),
        trained_logs(small_logs),
        RunFolder(run),
        resolve(config.runtime.shared()),
    )
    with pytest.raises(InputError, match=r"is not this run's \(no training state\)"):
        trainer.resume(best)


def trained_logs(small_logs: Path) -> FoldLogs:
    logs = read_logs(small_logs / "logs", 72, 0.0)
    return FoldLogs(logs[:1], logs[1:])


@pytest.mark.slow
def test_eight_strips_are_learned_by_heart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    make_phantom(tmp_path, wells=1, rows=1500, per_strip=1.5, seed=0)
    logs = read_logs(tmp_path, 72, 0.0)
    tree = {"task": "curves", "name": "a", "logs": {"root": "."}, "strips": {"columns": 72}}
    tree["detector"] = {"harmonics": 8, "amplitudes": 8, "phases": 12, "filters": [8, 8, 8, 8]}
    tree["detector"] |= {"encoder_layers": 1, "decoder_layers": 2}
    config = CurvesConfig.model_validate(tree)
    batch = StripSampler(logs, config.strips, None, seed=0).batch(0, 0)
    detector, loss = Detector(config.detector, config.strips), CurveLoss(config.loss, 100)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss(detector(batch.images), batch.picks, batch.masks)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
        optimizer.step()

    last = detector(batch.images).layers[-1]

    found = [tuple(picks_of(last, strip, 100, 0.5)) for strip in range(8)]
    judged = [LogPicks(str(k), 100, found[k], batch.picks[k]) for k in range(8)]
    assert sum(len(picks) for picks in batch.picks) >= 8
    scores = score(judged, 100)
    assert scores["f1_all@2"] > 0.8
