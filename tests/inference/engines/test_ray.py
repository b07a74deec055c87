"""Blocks on a local Ray cluster, whose workers may die."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.inference.blocks.conftest import block_prediction, network, predictor, shard_bytes
from vesuv.errors import InputError, InputErrors
from vesuv.inference.blocks.journal import BlockRecord, Journal
from vesuv.inference.blocks.work import BlockResult, BlockWork
from vesuv.inference.engines import ray_ as engine

ray: Any = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
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


class DiesOnce(BlockWork):
    """Kills its process in the fifth block of the volume, once."""

    def write(self, result: BlockResult) -> BlockRecord:
        flag = self.output.path / ".vesuv/died"
        if result.block.position == (1, 0, 1) and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(result)


class Fails(BlockWork):
    """Cannot write one block; another kills its process whenever it is begun."""

    def write(self, result: BlockResult) -> BlockRecord:
        if result.block.position == (0, 1, 1):
            raise InputError("no space left on device")
        if result.block.position == (2, 2, 3):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(result)


def _use(monkeypatch: pytest.MonkeyPatch, kind: type[BlockWork]) -> None:
    monkeypatch.setattr("vesuv.inference.blocks.run.BlockWork", kind)


@pytest.mark.usefixtures("_cluster")
def test_a_worker_that_is_killed_midway_changes_no_byte(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks, lines = predictor(network()), []
    block_prediction(networks, volume, tmp_path / "one.zarr").run()
    _use(monkeypatch, DiesOnce)

    cluster = tmp_path / "cluster.zarr"
    block_prediction(networks, volume, cluster, lines.append, engine="ray", workers=2).run()

    assert (cluster / ".vesuv/died").exists()
    assert any("its worker ended (killed, or out of memory); tried again (2 of 3)" in one
               for one in lines)  # fmt: skip
    assert shard_bytes(cluster) == shard_bytes(tmp_path / "one.zarr")


@pytest.mark.usefixtures("_cluster")
def test_blocks_that_fail_three_times_are_set_aside_and_named(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = predictor(network())
    _use(monkeypatch, Fails)

    with pytest.raises(InputErrors) as caught:
        block_prediction(networks, volume, tmp_path / "p.zarr", engine="ray", workers=2).run()

    assert sorted(fault[:50] for fault in caught.value.faults) == [
        "block 0.1.1 failed 3 times and was set aside: no s",
        "block 2.2.3 failed 3 times and was set aside: its ",
    ]
    assert len(list((tmp_path / "p.zarr/.vesuv/blocks").iterdir())) == 34
    assert not Journal.of(tmp_path / "p.zarr").is_finished
    monkeypatch.undo()
    block_prediction(networks, volume, tmp_path / "p.zarr").run()
    assert Journal.of(tmp_path / "p.zarr").is_finished


def test_a_missing_package_is_a_sentence(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"needs the package ray, found none; install vesuv\[ray"):
        block_prediction(predictor(network()), volume, tmp_path / "p.zarr", engine="ray").run()
    assert engine.IN_FLIGHT == 2
