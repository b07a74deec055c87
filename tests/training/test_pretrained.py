"""Runs that start from the weights of a bundle, of a run or of a checkpoint file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.known_runs import MakeRun
from tests.training.test_trainer import changed, same, weights
from vesuv.config import Config
from vesuv.errors import InputError
from vesuv.inference.bundle import open_bundle, write_bundle
from vesuv.inference.members import open_members
from vesuv.models import build_model
from vesuv.runs.folder import RunFolder
from vesuv.training.pretrained import held_out_notes, load_pretrained, read_pretrained
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


@pytest.mark.slow
def test_a_run_goes_on_after_its_pretrained_weights_are_deleted(
    tiny_config: Config, source: RunFolder, tmp_path: Path
) -> None:
    run = _started(tiny_config, source.path, tmp_path / "run")
    shutil.rmtree(source.path)

    config = changed(tiny_config, **{**STILL, "train": {"epochs": 2, "steps_per_epoch": 1}})
    train(config, output=run.path, resume=True)

    assert json.loads((run.path / "run.json").read_text())["pretrained"]["loaded"] == 26


def test_weights_that_know_held_out_cases_or_have_other_outputs_are_told(make_run: MakeRun) -> None:
    run = make_run("other", facts={"train_cases": ["c0", "c3"]})
    weights = read_pretrained(run.path)

    (note,) = held_out_notes(weights, ["c3", "c4"])

    assert "was trained on cases of the names of 1 of 2 held-out cases (c3): if they are" in note
    assert held_out_notes(weights, ["c4"]) == []
    config = changed(run.config, labels={"classes": {"air": 0, "wall": 1}})
    lines = load_pretrained(build_model(config.model), weights).lines(config)
    assert lines[1:] == ["note: outputs of the pretrained weights are sheet, of this run wall"]


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

    assert read_pretrained(file).path == file
    with pytest.raises(InputError, match=rf"holds 2 networks; name the file of one: .*{file}"):
        read_pretrained(tmp_path / "bundle")


def test_other_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no bundle, no run and no checkpoint file"):
        read_pretrained(tmp_path / "none")
    with pytest.raises(InputError, match=r"checkpoint_final.pth: no such file"):
        read_pretrained(tmp_path / "checkpoint_final.pth")


NNSSL_PLAN = {
    "architecture_plans": {"arch_class_name": "ResEncL", "arch_kwargs": None},
    "pretrain_plan": {"configurations": {"noresample": {"patch_size": [160, 160, 160]}}},
    "pretrain_num_input_channels": 1,
    "recommended_downstream_patchsize": [160, 160, 160],
    "key_to_encoder": "encoder.stages",
    "key_to_stem": "encoder.stem",
    "keys_to_in_proj": ["encoder.stem.convs.0.conv", "encoder.stem.convs.0.all_modules.0"],
    "key_to_lpe": None,
}
"""Keys of nnssl's plan of adaptation, of MIC-DKFZ/nnssl and the checkpoints of OpenMind."""


def nnssl_file(path: Path, features: tuple[int, ...], **changes: Any) -> dict[str, torch.Tensor]:
    """Write a checkpoint with the names of nnssl, made by the package that nnssl uses.

    Returns:
        Its tensors under all of their names.
    """
    architectures = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    torch.manual_seed(3)
    network = architectures.ResidualEncoderUNet(
        1, len(features), list(features), torch.nn.Conv3d, 3, [1] + [2] * (len(features) - 1),
        [1] * len(features), 1, [1] * (len(features) - 1), conv_bias=True,
        norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"affine": True},
        nonlin=torch.nn.LeakyReLU,
    )  # fmt: skip
    tensors = network.state_dict()
    content = {"network_weights": tensors, "trainer_name": "BaseMAETrainer", "citations": []}
    torch.save({**content, "nnssl_adaptation_plan": NNSSL_PLAN, **changes}, path)
    return tensors


def residual(tiny_config: Config, features: Sequence[int], **section: Any) -> torch.nn.Module:
    model = {
        "name": "residual_encoder_unet",
        "features_per_stage": list(features),
        "n_blocks_per_stage": [1] * len(features),
        **section,
    }
    return build_model(changed(tiny_config, model=model).model)


def test_a_checkpoint_of_nnssl_gives_all_but_the_output_layer(
    tiny_config: Config, tmp_path: Path
) -> None:
    theirs = nnssl_file(tmp_path / "mae.pth", (4, 8, 8))
    network = residual(tiny_config, (4, 8, 8))

    loaded = load_pretrained(network, read_pretrained(tmp_path / "mae.pth"))

    assert set(loaded.left_out) == {"decoder.seg_layers.1.weight", "decoder.seg_layers.1.bias"}
    assert (loaded.missing, loaded.other_shape) == ((), ())
    ours = network.state_dict()
    for name in ("encoder.stem.convs.0", "encoder.stages.2.blocks.0.conv1"):
        expected = theirs[f"{name}.conv.weight"]
        assert torch.equal(ours[f"{name}.all_modules.0.weight"], expected), name
    assert len(loaded.loaded) == len(ours) - 2


def test_an_encoder_of_other_names_and_other_stages_is_matched_by_the_plan(
    tiny_config: Config, tmp_path: Path
) -> None:
    tensors = nnssl_file(tmp_path / "mae.pth", (4, 8, 8))
    renamed = {
        name.replace("encoder.", "student.net.", 1): value
        for name, value in tensors.items()
        if name.startswith("encoder.")
    }
    plan = {**NNSSL_PLAN, "key_to_encoder": "student.net.stages", "key_to_stem": "student.net.stem"}
    path = tmp_path / "voco.pth"
    torch.save({"network_weights": renamed, "nnssl_adaptation_plan": plan}, path)
    network = residual(tiny_config, (4, 8, 16), in_channels=2)

    loaded = load_pretrained(network, read_pretrained(path))

    assert "encoder.stages.0.blocks.0.conv1.all_modules.0.weight" in loaded.loaded
    assert "encoder.stem.convs.0.all_modules.0.weight" in loaded.other_shape  # two channels
    assert "encoder.stages.2.blocks.0.conv1.all_modules.0.weight" in loaded.other_shape
    assert all("decoder." in name or "stages.2.blocks.0.skip." in name for name in loaded.missing)


def test_nothing_that_fits_is_one_sentence(tiny_config: Config, tmp_path: Path) -> None:
    nnssl_file(tmp_path / "mae.pth", (4, 8, 8))

    with pytest.raises(InputError, match=r"no tensor of .*mae.pth fits this network; it was pre-"):
        load_pretrained(build_model(tiny_config.model), read_pretrained(tmp_path / "mae.pth"))


def test_checkpoints_that_run_code_or_lack_the_plan_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    nnssl_file(path, (4, 8), nnssl_adaptation_plan=None)
    with pytest.raises(InputError, match="import a model of nnU-Net with vesuv import_nnunet"):
        read_pretrained(path)
    torch.save({"network_weights": {}, "nnssl_adaptation_plan": Path("run")}, path)
    with pytest.raises(InputError, match="no checkpoint of nnssl that can be read without exec"):
        read_pretrained(path)
    eva = {**NNSSL_PLAN, "key_to_encoder": "eva", "key_to_stem": "down_projection"}
    eva["architecture_plans"] = {"arch_class_name": "PrimusM"}
    weights = {"eva.blocks.0.weight": torch.zeros(1), "down_projection.proj.weight": torch.zeros(1)}
    torch.save({"network_weights": weights, "nnssl_adaptation_plan": eva}, path)
    with pytest.raises(InputError, match="PrimusM, whose encoder has other layers"):
        read_pretrained(path)
