"""Models of nnU-Net, compared with nnU-Net's own network classes."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vesuv
from tests.inference.nnunet_results import (
    PROPERTIES,
    checkpoint,
    nnunet_network,
    plans,
    write_results,
)
from vesuv.errors import InputError
from vesuv.inference.bundle import write_bundle
from vesuv.inference.members import Member
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.nnunet import read_results

REGIONS = {
    "labels": {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3},
    "regions_class_order": [1, 2],
    "channel_names": {"0": "T1", "1": "CT"},
}


def _network(member: Member) -> torch.nn.Module:
    return TrainedNetwork.from_checkpoint(member.checkpoint, torch.device("cpu")).network


def _changed(change: Any) -> dict[str, Any]:
    tree = copy.deepcopy(plans())
    change(tree["configurations"]["3d_fullres"])
    return tree


@pytest.mark.parametrize("name", ["PlainConvUNet", "ResidualEncoderUNet"])
def test_logits_are_those_of_nnunets_network(name: str, tmp_path: Path) -> None:
    theirs = nnunet_network(name)
    folder = write_results(tmp_path / "r", plans(name), folds={"0": checkpoint(theirs)})

    (member,) = read_results(folder).members

    image = torch.randn(1, 1, 8, 16, 16)
    with torch.no_grad():
        assert torch.equal(_network(member)(image), theirs(image))


def test_axes_that_nnunet_transposes_are_in_the_order_of_the_files(tmp_path: Path) -> None:
    theirs, tree = nnunet_network(), plans()
    tree["transpose_forward"] = [1, 2, 0]  # axis 0 of the network is axis y of the files
    folder = write_results(tmp_path / "r", tree, folds={"0": checkpoint(theirs)})

    (member,) = read_results(folder).members

    image = torch.randn(1, 1, 16, 8, 16)
    with torch.no_grad():
        expected = theirs(image.permute(0, 1, 3, 4, 2)).permute(0, 1, 4, 2, 3)
        logits = _network(member)(image)
    assert member.config.sampling.patch_size == (16, 8, 16)
    assert member.config.data.spacing == (1.0, 2.0, 1.0)
    assert torch.allclose(logits, expected, atol=1e-5)


def test_a_bundle_predicts_from_the_mean_logits_of_the_folds(tmp_path: Path) -> None:
    networks = [nnunet_network(), nnunet_network()]
    with torch.no_grad():
        networks[1].decoder.seg_layers[-1].weight.neg_()  # type: ignore[union-attr, operator]
    contents = {str(k): checkpoint(one) for k, one in enumerate(networks)}
    contents["all"] = checkpoint(nnunet_network(), current_epoch=9)
    model = read_results(write_results(tmp_path / "r", folds=contents))
    write_bundle(tmp_path / "bundle", model.members, model.card)
    image = np.random.default_rng(0).integers(0, 255, (8, 16, 16)).astype(np.uint8)

    predictor = vesuv.load(tmp_path / "bundle", changes=["inference.views=none"])

    x = torch.from_numpy((image - image.mean()) / image.std()).float()[None, None]
    with torch.no_grad():
        expected = torch.stack([one(x)[0] for one in networks]).mean(0).softmax(0)
    probs = predictor.predict(image, spacing=(2.0, 1.0, 1.0))
    assert np.allclose(probs, expected, atol=1e-5)


def test_settings_are_those_of_the_plans(tmp_path: Path) -> None:
    (member,) = read_results(write_results(tmp_path / "r")).members

    config = member.config
    assert (config.name, member.checkpoint.epoch) == ("Dataset007_Sheets", 3)
    assert config.labels.classes == {"background": 0, "sheet": 1}
    assert config.labels.ignore == 2
    assert (config.inference.overlap, config.inference.views) == (0.5, "mirror")
    assert config.inference.average == "logits"
    assert config.data.normalize.name == "zscore"
    assert config.model.out_channels == 2


def test_regions_and_each_channels_normalisation_are_read(tmp_path: Path) -> None:
    schemes = {
        "normalization_schemes": ["RescaleTo01Normalization", "CTNormalization"],
        "use_mask_for_norm": [True, False],
    }
    content = checkpoint(nnunet_network(channels=2), inference_allowed_mirroring_axes=(1, 2))
    folder = write_results(tmp_path / "r", plans(**schemes), REGIONS, {"all": content})

    model = read_results(folder)

    config = model.members[0].config
    assert config.labels.regions == {"whole": ("label 1", "core"), "core": ("core",)}
    assert config.model.in_channels == 2
    first, second = model.members[0].checkpoint.normalizer.channels or ()
    assert first.name == "minmax"
    assert (second.low, second.high) == ((40.0,), (150.0,))
    assert (second.shift, second.scale) == ((PROPERTIES["mean"],), (PROPERTIES["std"],))
    assert config.inference.views == "none"
    assert any("mirroring along y, x only" in note for note in model.notes)
    assert "mirroring along y, x only" in model.card


@pytest.mark.parametrize(
    ("scheme", "scale"), [("NoNormalization", 1), ("RGBTo01Normalization", 255)]
)
def test_schemes_without_statistics_divide(scheme: str, scale: float, tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", plans(normalization_schemes=[scheme]))

    (member,) = read_results(folder).members

    record = member.checkpoint.normalizer
    assert (record.low, record.high, record.shift, record.scale) == (None, None, (0,), (scale,))


def test_plans_of_earlier_versions_describe_the_same_network(tmp_path: Path) -> None:
    former = {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 2,
        "unet_max_num_features": 4,
        "n_conv_per_stage_encoder": [2, 1, 2],
        "n_conv_per_stage_decoder": [1, 1],
        "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    }
    tree = plans(**former)
    del tree["configurations"]["3d_fullres"]["architecture"]
    folder = write_results(tmp_path / "r", tree)

    with pytest.raises(InputError, match=r"must have shape .* found"):  # 6 channels in the file
        read_results(folder)

    tree["configurations"]["3d_fullres"]["unet_max_num_features"] = 6
    (folder / "plans.json").write_text(json.dumps(tree))
    assert read_results(folder).members[0].config.model.features_per_stage == (2, 4, 6)


def test_a_configuration_inherits_keys_of_another(tmp_path: Path) -> None:
    tree = plans()
    tree["configurations"]["large"] = {"inherits_from": "3d_fullres", "patch_size": [16, 16, 16]}
    content = checkpoint(nnunet_network(), init_args={"configuration": "large"})

    (member,) = read_results(write_results(tmp_path / "r", tree, folds={"0": content})).members

    assert member.config.sampling.patch_size == (16, 16, 16)


class Harmful:
    """Creates a folder where its pickle is executed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_checkpoint_is_refused_and_not_executed(tmp_path: Path) -> None:
    content = checkpoint(nnunet_network(), logging=Harmful(tmp_path / "made"))
    folder = write_results(tmp_path / "r", folds={"0": content})

    with pytest.raises(InputError, match=r"without executing code \(it holds a posix\.mkdir"):
        read_results(folder)

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.update(patch_size=[16, 16]), r"works on slices \(2D\)"),
        (lambda c: c.update(previous_stage="3d_lowres"), "second network of a cascade"),
        (lambda c: c.update(use_mask_for_norm=[True]), "use_mask_for_norm is true for channel 0"),
        (lambda c: c.update(normalization_schemes=["Own"]), "normalization_schemes: 'Own' cannot"),
        (lambda c: c.pop("spacing"), "'spacing' is missing"),
        (
            lambda c: c["architecture"].update(network_class_name="os.PlainConvUNet"),
            r"the network os\.PlainConvUNet cannot be imported",
        ),
        (
            lambda c: c["architecture"]["arch_kwargs"].update(nonlin="os.system"),
            r"arch_kwargs\.nonlin: 'os\.system' cannot be imported",
        ),
    ],
)
def test_plans_that_need_something_else_are_refused(
    change: Any, sentence: str, tmp_path: Path
) -> None:
    folder = write_results(tmp_path / "r", _changed(change))

    with pytest.raises(InputError, match=sentence):
        read_results(folder)


def test_axes_are_ordered_once(tmp_path: Path) -> None:
    tree = plans() | {"transpose_forward": [0, 0, 2]}

    with pytest.raises(InputError, match="transpose_forward orders three axes"):
        read_results(write_results(tmp_path / "r", tree))


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ({"background": 0, "sheet": 3}, "nnU-Net's are 0, 1, 2 … without gaps"),
        ({"background": 0, "a": 1, "b": 2}, r"seg_layers\.1\.weight must have shape \(3,"),
    ],
)
def test_labels_must_be_those_of_the_weights(
    labels: dict[str, int], sentence: str, tmp_path: Path
) -> None:
    dataset = {"labels": labels, "channel_names": {"0": "EM"}}

    with pytest.raises(InputError, match=sentence):
        read_results(write_results(tmp_path / "r", dataset=dataset))


def test_weights_that_the_plans_do_not_name_are_refused(tmp_path: Path) -> None:
    network = nnunet_network()
    network.register_parameter("extra", torch.nn.Parameter(torch.zeros(1)))
    folder = write_results(tmp_path / "r", folds={"0": checkpoint(network)})

    with pytest.raises(InputError, match="extra is no weight of the network"):
        read_results(folder)


def test_missing_folders_and_folds_are_named(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r")

    with pytest.raises(InputError, match="no such folder; name nnUNet_results"):
        read_results(tmp_path / "other")
    with pytest.raises(InputError, match=r"holds no fold_\*/checkpoint_best\.pth"):
        read_results(folder, checkpoint="best")
    with pytest.raises(InputError, match=r"fold_4/checkpoint_final\.pth: no such checkpoint"):
        read_results(folder, ["4"])


def test_folds_are_those_of_one_training(tmp_path: Path) -> None:
    other = checkpoint(nnunet_network(), init_args={"configuration": "3d_lowres"})
    contents = {"0": checkpoint(nnunet_network()), "1": other}

    with pytest.raises(InputError, match="was trained with configuration 3d_lowres"):
        read_results(write_results(tmp_path / "r", folds=contents))
