import json
from pathlib import Path

import pytest
import torch

from vesuv.config import Config
from vesuv.data.builder import open_prepared
from vesuv.diagnosis import Evidence
from vesuv.errors import InputError
from vesuv.losses import build_losses
from vesuv.losses.compound import Compound
from vesuv.models import build_model
from vesuv.runs.checkpoints import read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import resolve
from vesuv.training.fold_data import FoldData, fold_data
from vesuv.training.monitor import Watch
from vesuv.training.train import train
from vesuv.training.validation import ValidationTiles

WEIGHTS = {"dice": 0.8, "focal": 0.2}


@pytest.fixture
def data(tiny_config: Config) -> FoldData:
    return fold_data(open_prepared(tiny_config), tiny_config, 0)


@pytest.fixture
def watch(tiny_config: Config, data: FoldData, tmp_path: Path) -> Watch:
    maps = [data.normalizer.for_case(case.statistics) for case in data.validation]
    size = tiny_config.sampling.patch_size
    tiles = ValidationTiles(data.validation, maps, tiny_config.validation, size, 2)
    run = RunFolder(tmp_path / "run")
    run.create(tiny_config, {"store": str(tmp_path / "store"), "fold": 0})
    machine = resolve(tiny_config.runtime)
    return Watch(tiny_config, data, tiles, machine, run.path)


def network_of(config: Config) -> torch.nn.Module:
    torch.manual_seed(3)
    return build_model(config.model)


def test_an_observation_holds_what_the_findings_need(watch: Watch, tiny_config: Config) -> None:
    compound = Compound(build_losses(tiny_config.loss, tiny_config.terms))
    network = network_of(tiny_config)

    watch.observe(0, network, compound, WEIGHTS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    watch.observe(1, network, compound, WEIGHTS)

    first, second = Evidence.read(watch.run_path).observations
    assert first.histogram is not None and first.train is not None and first.errors is not None
    judged = sum(int((label != 255).sum()) for label in watch.tiles.labels)
    assert sum(first.histogram.foreground) + sum(first.histogram.background) == judged
    assert [tile.case for tile in first.tiles] == watch.tiles.cases
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
    diagnosis = json.loads((watch.run_path / "diagnosis.json").read_text())
    assert (diagnosis["version"], diagnosis["epoch"]) == (1, 1)


def test_observing_changes_nothing_that_training_goes_on_with(
    watch: Watch, tiny_config: Config
) -> None:
    compound = Compound(build_losses(tiny_config.loss, tiny_config.terms))
    network = network_of(tiny_config).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    states = torch.get_rng_state()

    watch.observe(0, network, compound, WEIGHTS)

    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(states, torch.get_rng_state())


def test_a_folder_that_cannot_be_written_is_one_sentence(watch: Watch, tiny_config: Config) -> None:
    compound = Compound(build_losses(tiny_config.loss, tiny_config.terms))
    (watch.run_path / "evidence.jsonl").mkdir()

    with pytest.raises(InputError, match=r"evidence.jsonl: cannot be written"):
        watch.observe(0, network_of(tiny_config), compound, WEIGHTS)


def test_training_cases_can_be_left_out(watch: Watch, tiny_config: Config) -> None:
    section = tiny_config.diagnosis.model_copy(update={"train_tiles": 0, "gradients_every": 0})
    config = tiny_config.model_copy(update={"diagnosis": section})
    bare = Watch(config, watch.data, watch.tiles, watch.machine, watch.run_path)
    compound = Compound(build_losses(config.loss, config.terms))

    bare.observe(0, network_of(config), compound, WEIGHTS)

    [line] = Evidence.read(watch.run_path).observations
    assert line.train is None and line.gradients is None and line.histogram is not None


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
        [run] = train(config, [0], output=tmp_path / str(watched))
        ends.append(read_checkpoint(run.checkpoint("last")).model)
        assert (run.path / "evidence.jsonl").is_file() == watched

    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_gradients_are_compared_at_intervals_whatever_epochs_are_validated(
    watch: Watch, tiny_config: Config
) -> None:
    compound = Compound(build_losses(tiny_config.loss, tiny_config.terms))
    network = network_of(tiny_config)

    for epoch in (1, 3, 5, 7, 9):
        watch.observe(epoch, network, compound, WEIGHTS)

    lines = Evidence.read(watch.run_path).observations
    assert [line.epoch for line in lines if line.gradients is not None] == [1, 7]
