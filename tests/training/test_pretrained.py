"""Runs that start from the weights of a bundle, of a run or of a checkpoint file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.training.test_trainer import changed, same, weights
from vesuv.config import Config
from vesuv.errors import InputError
from vesuv.inference.bundle import open_bundle, write_bundle
from vesuv.inference.members import open_members
from vesuv.models import build_model
from vesuv.runs.folder import RunFolder
from vesuv.training.pretrained import load_pretrained, read_pretrained
from vesuv.training.train import train

STILL = {
    "train": {"epochs": 1, "steps_per_epoch": 1},
    "optimizer": {"name": "sgd", "lr": 1e-30, "weight_decay": 0.0},
    "averaging": {"ema": {"decay": 0.5}},
}
"""A run whose step changes nothing."""


@pytest.fixture
def source(tiny_config: Config, tmp_path: Path) -> RunFolder:
    """A short run of another seed."""
    config = changed(tiny_config, **STILL, runtime={"seed": 7})
    return train(config, output=tmp_path / "source").folder


def _started(config: Config, pretrained: Path, output: Path) -> RunFolder:
    settings = {**STILL, "train": {**STILL["train"], "pretrained": str(pretrained)}}
    return train(changed(config, **settings), output=output).folder


def test_a_run_starts_from_the_weights_of_a_bundle_and_records_them(
    tiny_config: Config, source: RunFolder, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "bundle", open_members([source.path]), "# card\n")

    run = _started(tiny_config, tmp_path / "bundle", tmp_path / "run")

    (member,) = open_bundle(tmp_path / "bundle")
    expected = member.checkpoint.model
    for name in ("last", "ema"):
        state = weights(run, name)
        assert all(torch.allclose(state[key], expected[key], atol=1e-20) for key in expected), name
    record = json.loads((run.path / "run.json").read_text())["pretrained"]
    assert (record["sha256"], record["file"]) == (member.sha256, str(member.checkpoint.path))
    assert record["loaded"] == len(member.checkpoint.model)
    assert "pretrained: 26 of 26 tensors" in (run.path / "train.log").read_text()


def test_a_run_goes_on_after_its_pretrained_weights_are_deleted(
    tiny_config: Config, source: RunFolder, tmp_path: Path
) -> None:
    run = _started(tiny_config, source.path, tmp_path / "run")
    shutil.rmtree(source.path)

    config = changed(tiny_config, **{**STILL, "train": {"epochs": 2, "steps_per_epoch": 1}})
    train(config, output=run.path, resume=True)

    assert json.loads((run.path / "run.json").read_text())["pretrained"]["loaded"] == 26


def test_a_bundle_does_not_name_the_pretrained_weights(
    tiny_config: Config, source: RunFolder, tmp_path: Path
) -> None:
    run = _started(tiny_config, source.checkpoint("best"), tmp_path / "run")

    write_bundle(tmp_path / "bundle", open_members([run.path]), "# card\n")

    assert run.config.train.pretrained == str(source.checkpoint("best"))
    assert open_bundle(tmp_path / "bundle")[0].config.train.pretrained is None


def test_an_output_layer_of_other_classes_keeps_its_random_weights(
    tiny_config: Config, source: RunFolder
) -> None:
    network = build_model(tiny_config.model.model_copy(update={"out_channels": 3}))
    fresh = network.output.weight.clone()

    loaded = load_pretrained(network, read_pretrained(source.path))

    assert loaded.other_shape == ("output.weight", "output.bias")
    assert torch.equal(network.output.weight, fresh)
    assert same(
        {"w": network.encoder[0][0].weight},
        {"w": weights(source, "best")["encoder.0.0.weight"]},
    )
    lines = "\n".join(loaded.lines(tiny_config))
    assert "24 of 26 tensors" in lines
    assert "of another shape: output.weight, output.bias" in lines


def test_other_levels_are_named(tiny_config: Config, source: RunFolder) -> None:
    deeper = build_model(tiny_config.model.model_copy(update={"depth": 3}))
    wanted = changed(tiny_config, data={**tiny_config.data.model_dump(), "spacing": [2, 1, 1]})

    loaded = load_pretrained(deeper, read_pretrained(source.path))

    assert "encoder.2.0.weight" in loaded.missing
    lines = loaded.lines(wanted)
    assert any(line.startswith("pretrained: missing in the file: encoder.2") for line in lines)
    assert any("and" in line and "more" in line for line in lines)
    assert any("data.spacing of the pretrained weights is None" in line for line in lines)


def test_weights_of_another_network_are_refused(source: RunFolder) -> None:
    with pytest.raises(
        InputError, match=r"no tensor of .*best\.pt \(model\.name=plain_unet\) fits"
    ):
        load_pretrained(torch.nn.Linear(2, 2), read_pretrained(source.checkpoint("best")))


def test_one_network_of_a_bundle_is_named_by_its_file(source: RunFolder, tmp_path: Path) -> None:
    members = open_members([source.path], ["best", "last"])
    write_bundle(tmp_path / "bundle", members, "# card\n")
    file = tmp_path / "bundle/source_last.safetensors"

    assert read_pretrained(file).checkpoint.path == file
    with pytest.raises(InputError, match=rf"holds 2 networks; name the file of one: .*{file}"):
        read_pretrained(tmp_path / "bundle")


def test_other_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no bundle, no run and no checkpoint file"):
        read_pretrained(tmp_path / "none")
    with pytest.raises(InputError, match="import a model of nnU-Net with vesuv import_nnunet"):
        read_pretrained(tmp_path / "checkpoint_final.pth")
