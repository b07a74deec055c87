"""Jobs of a study on a local Ray cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.studies.conftest import written
from vesuv.cli.study import use_cpus
from vesuv.config import Config
from vesuv.studies.ray_worker import RayWorker
from vesuv.studies.run_study import run_study
from vesuv.studies.study_file import read_study

ray: Any = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    paths = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    yield
    ray.shutdown()


def die_with_six_filters(config: Config, cpus: int) -> None:
    assert cpus == 1
    if getattr(config.model, "filters", 0) == 6:
        os.kill(os.getpid(), signal.SIGKILL)


def test_runs_side_by_side_score_as_those_in_turn(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    study_tree["study"] |= {"folds": [0], "score": {"measures": ["dice"], "selection": False}}
    study = read_study(written(study_tree, tmp_path))

    records = run_study(study, tmp_path / "out", RayWorker(use_cpus, 2)).records

    assert [record.arm for record in records] == ["today", "more filters"]
    assert all(record.is_finished for record in records)
    assert [record.steps for record in records] == [4, 4]
    again = run_study(study, tmp_path / "again", RayWorker(use_cpus, 1)).records
    assert [one.scores for one in again] == [one.scores for one in records]


def test_a_killed_worker_fails_its_run_alone(study_tree: dict[str, Any], tmp_path: Path) -> None:
    study_tree["study"] |= {"folds": [0], "score": {"measures": ["dice"], "selection": False}}
    study = read_study(written(study_tree, tmp_path))

    records = run_study(study, tmp_path / "out", RayWorker(die_with_six_filters, 2)).records

    assert [record.is_finished for record in records] == [True, False]
    assert "its worker ended" in records[1].message
    mended = run_study(study, tmp_path / "out", RayWorker(use_cpus, 2), resume=True).records
    assert all(record.is_finished for record in mended)
    assert mended[0] == records[0]
