"""Miniature results folders of nnU-Net v2, with random weights of nnU-Net's own network classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dynamic_network_architectures.architectures import unet
from torch import nn

STAGES = {
    "n_stages": 3,
    "features_per_stage": [2, 4, 6],
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "n_conv_per_stage_decoder": [1, 1],
    "conv_bias": True,
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op_kwargs": None,
    "nonlin_kwargs": {"inplace": True},
}
OPERATIONS = {
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "dropout_op": None,
    "nonlin": "torch.nn.LeakyReLU",
}
BLOCKS = {
    "PlainConvUNet": {"n_conv_per_stage": [2, 1, 2]},
    "ResidualEncoderUNet": {"n_blocks_per_stage": [1, 2, 1]},
}
PROPERTIES = {"mean": 90.0, "std": 20.0, "percentile_00_5": 40.0, "percentile_99_5": 150.0}


def nnunet_network(name: str = "PlainConvUNet", channels: int = 1, outputs: int = 2) -> nn.Module:
    """Return nnU-Net's network with random weights, also in its norms."""
    network: nn.Module = getattr(unet, name)(
        input_channels=channels,
        num_classes=outputs,
        conv_op=nn.Conv3d,
        norm_op=nn.InstanceNorm3d,
        nonlin=nn.LeakyReLU,
        **BLOCKS[name],
        **STAGES,
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(torch.rand(value.shape, generator=generator) - 0.4)
    return network.eval()


def balanced_network() -> nn.Module:
    """Return a network that predicts either of two classes in half of the voxels of noise."""
    network = nnunet_network()
    noise = torch.randn(1, 1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = network(noise)[0]
        network.decoder.seg_layers[-1].bias[0] += (logits[1] - logits[0]).median()  # type: ignore[union-attr, operator, index]
    return network


def plans(name: str = "PlainConvUNet", **changes: Any) -> dict[str, Any]:
    """Return plans.json; `changes` are those of the configuration 3d_fullres."""
    configuration = {
        "patch_size": [8, 16, 16],
        "spacing": [2.0, 1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
            "arch_kwargs": {**STAGES, **OPERATIONS, **BLOCKS[name]},
            "_kw_requires_import": list(OPERATIONS),
        },
    }
    return {
        "dataset_name": "Dataset007_Sheets",
        "transpose_forward": [0, 1, 2],
        "image_reader_writer": "SimpleITKIO",
        "configurations": {"3d_fullres": configuration | changes},
        "foreground_intensity_properties_per_channel": {"0": PROPERTIES, "1": PROPERTIES},
    }


def checkpoint(network: nn.Module, **changes: Any) -> dict[str, Any]:
    """Return the content of a checkpoint as nnU-Net 2.8 writes it."""
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": {"state": {}, "param_groups": []},
        "grad_scaler_state": None,
        "logging": {"ema_fg_dice": [np.float64(0.25)], "dice": [[np.float32(0.5)]]},
        "_best_ema": np.float32(0.25),
        "current_epoch": 3,
        "init_args": {"configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
        **changes,
    }


def write_results(
    folder: Path,
    plans_tree: dict[str, Any] | None = None,
    dataset: dict[str, Any] | None = None,
    folds: dict[str, dict[str, Any]] | None = None,
) -> Path:
    """Write a results folder; the default is one fold of the plain network."""
    classes = {"labels": {"sheet": 1, "background": 0, "ignore": 2}, "channel_names": {"0": "EM"}}
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans_tree or plans()))
    (folder / "dataset.json").write_text(json.dumps(dataset or classes))
    for name, content in (folds or {"0": checkpoint(nnunet_network())}).items():
        (folder / f"fold_{name}").mkdir()
        torch.save(content, folder / f"fold_{name}/checkpoint_final.pth")
    return folder
