import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from vesuv.config import Config
from vesuv.data.builder import open_or_prepare_store
from vesuv.diagnosis import Evidence, Finding
from vesuv.errors import InputError
from vesuv.losses import build_losses
from vesuv.losses.compound import Compound
from vesuv.models import build_model
from vesuv.runs.checkpoints import read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import Diagnosis
from vesuv.runs.writer import RunWriter
from vesuv.runtime.machine import resolve
from vesuv.training.fold_data import TrainingData, fold_data
from vesuv.training.monitor import RunMonitor
from vesuv.training.train import train
from vesuv.training.validation import ValidationTiles

WEIGHTS = {"dice": 0.8, "focal": 0.2}


@pytest.fixture
def writer(tiny_config: Config, tmp_path: Path) -> Iterator[RunWriter]:
    run = RunFolder(tmp_path / "run")
    run.create(tiny_config, {"store": tiny_config.data.store, "fold": 0})
    opened = RunWriter(run, (0, 0))
    yield opened
    opened.close()


@pytest.fixture
def monitor(tiny_config: Config, writer: RunWriter) -> RunMonitor:
    data = fold_data(
        TrainingData.of_store(open_or_prepare_store(tiny_config), tiny_config), tiny_config, 0
    )
    maps = [data.normalizer.for_case(case.statistics) for case in data.validation]
    size = tiny_config.sampling.patch_size
    tiles = ValidationTiles(
        data.validation, maps, tiny_config.validation, size, tiny_config.labels.targets
    )
    return RunMonitor(tiny_config, data, tiles, resolve(tiny_config.runtime), writer)


@pytest.fixture
def network(tiny_config: Config) -> nn.Module:
    torch.manual_seed(3)
    return build_model(tiny_config.model)


def observe(monitor: RunMonitor, epoch: int, network: nn.Module) -> tuple[Finding, ...]:
    """Let the monitor see what the validation saw."""
    config = monitor.config
    compound = Compound(build_losses(config.loss, config.terms))
    scored = monitor.tiles.score(network, monitor.machine, compound, observe=True)
    return monitor.observe(epoch, scored.tiles, network, compound, WEIGHTS)


def evidence(monitor: RunMonitor) -> Evidence:
    return Evidence.read(monitor.writer.run.path)


def test_an_observation_holds_what_the_findings_need(
    monitor: RunMonitor, network: nn.Module
) -> None:
    observe(monitor, 0, network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    findings = observe(monitor, 1, network)

    first, second = evidence(monitor).observations
    assert first.histogram is not None and first.train is not None and first.errors is not None
    judged = sum(int((label != 255).sum()) for label in monitor.tiles.labels)
    assert sum(first.histogram.foreground) + sum(first.histogram.background) == judged
    assert [tile.case for tile in first.tiles] == monitor.tiles.cases
    assert set(first.groups) <= {"0", "1"} and first.groups
    assert first.labels is not None and set(first.labels.values) == {"0", "1", "2"}
    assert first.structure is not None and first.structure.thickness == pytest.approx(2.0, abs=1.0)
    assert first.augmentation is not None and set(first.augmentation) == {
        "rotation", "scaling", "noise", "blur", "low_resolution",
    }  # fmt: skip
    assert first.gradients is not None
    assert set(first.gradients.cosines) == {"encoder", "bottleneck", "decoder", "output"}
    assert set(first.gradients.cosines["output"]) == {"dice|focal"}
    assert second.gradients is None and second.augmentation is None
    assert first.movement is None and second.movement == pytest.approx(0.1, rel=1e-3)
    content = json.loads((monitor.writer.run.path / "diagnosis.json").read_text())
    assert Diagnosis.model_validate(content) == Diagnosis(epoch=1, findings=findings)


def test_observing_changes_nothing_that_training_goes_on_with(
    monitor: RunMonitor, network: nn.Module
) -> None:
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    states = torch.get_rng_state()

    observe(monitor, 0, network)

    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(states, torch.get_rng_state())


def test_a_folder_that_cannot_be_written_is_one_sentence(
    monitor: RunMonitor, network: nn.Module
) -> None:
    (monitor.writer.run.path / "evidence.jsonl").mkdir()

    with pytest.raises(InputError, match=r"evidence\.jsonl: cannot be written"):
        observe(monitor, 0, network)


def test_training_cases_can_be_left_out(monitor: RunMonitor, network: nn.Module) -> None:
    section = monitor.config.diagnosis.model_copy(update={"train_tiles": 0, "gradients_every": 0})
    config = monitor.config.model_copy(update={"diagnosis": section})
    bare = RunMonitor(config, monitor.data, monitor.tiles, monitor.machine, monitor.writer)

    observe(bare, 0, network)

    [line] = evidence(bare).observations
    assert line.train is None and line.gradients is None and line.histogram is not None


@pytest.mark.slow
def test_a_run_ends_with_the_same_weights_whether_it_was_watched_or_not(
    tiny_config: Config, tmp_path: Path
) -> None:
    ends = []
    for watched in (True, False):
        section = tiny_config.diagnosis.model_copy(
            update={"enabled": watched, "gradients_every": 1}
        )
        phases = tiny_config.phases[1:]
        config = tiny_config.model_copy(
            update={
                "diagnosis": section,
                "phases": (phases[0].model_copy(update={"epochs": (0, None)}),),
            }
        )
        run = train(config, output=tmp_path / str(watched)).folder
        ends.append(read_checkpoint(run.checkpoint("last")).model)
        assert (run.path / "evidence.jsonl").is_file() == watched

    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_gradients_are_compared_at_intervals_whatever_epochs_are_validated(
    monitor: RunMonitor, network: nn.Module
) -> None:
    for epoch in (1, 3, 5, 7, 9):
        observe(monitor, epoch, network)

    lines = evidence(monitor).observations
    assert [line.epoch for line in lines if line.gradients is not None] == [1, 7]
