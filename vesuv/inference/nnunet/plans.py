"""plans.json of nnU-Net as sections of a configuration.

Classes that the file names are looked up in fixed tables and never imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.errors import InputError
from vesuv.files import read_json
from vesuv.types import Shape

FILE = "plans.json"
_NETWORKS = {"PlainConvUNet": "plain_conv_unet", "ResidualEncoderUNet": "residual_encoder_unet"}
"""nnU-Net's class -> `model.name`."""
_CONVOLUTIONS = {
    "PlainConvUNet": "n_conv_per_stage",
    "ResidualEncoderUNet": "n_blocks_per_stage",
}
_PACKAGE = "dynamic_network_architectures.architectures."
_FIXED_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "conv_op": ("torch.nn.modules.conv.Conv3d", "torch.nn.Conv3d"),
    "norm_op": ("torch.nn.modules.instancenorm.InstanceNorm3d", "torch.nn.InstanceNorm3d"),
    "nonlin": ("torch.nn.LeakyReLU", "torch.nn.modules.activation.LeakyReLU"),
    "conv_bias": (True,),
    "norm_op_kwargs": ({"eps": 1e-5, "affine": True},),
    "nonlin_kwargs": ({"inplace": True}, {"inplace": False}, {}, None),
    "dropout_op": (None,),
    "dropout_op_kwargs": (None, {}),
    "nonlin_first": (False,),
    "deep_supervision": (False, True),
    "bottleneck_channels": (None,),
    "stem_channels": (None,),
}
"""Argument of a network -> the values that vesuv's networks have."""
_PER_CASE = {"ZScoreNormalization": "zscore", "RescaleTo01Normalization": "minmax"}


@dataclass(frozen=True)
class Plans:
    """One configuration of plans.json, with its axes in the order z, y, x of the files.

    Args:
        path: The file.
        dataset: Name of the data set.
        configuration: Name of the configuration, such as 3d_fullres.
        patch_size: Edges of a window.
        spacing: Spacing that images are resampled to.
        network: Section `model`, without channels.
        normalizations: Section `data.normalize` of each channel.
        axis_order: Axis of the files that each axis of the network is, nnU-Net's
            `transpose_forward`.
        reader: Class that reads the images.
    """

    path: Path
    dataset: str
    configuration: str
    patch_size: Shape
    spacing: tuple[float, float, float]
    network: dict[str, Any]
    normalizations: tuple[dict[str, Any], ...]
    axis_order: Shape
    reader: str

    @property
    def file_axes(self) -> Shape:
        """Axis of the network that each axis of the files is."""
        z, y, x = (self.axis_order.index(axis) for axis in range(3))
        return z, y, x


def read_plans(folder: Path, configuration: str) -> Plans:
    """Read a configuration of a results folder's plans.json.

    Raises:
        InputError: It is missing, or needs what vesuv does not have; names the key.
    """
    path = folder / FILE
    content = read_json(path, "name nnUNet_results/Dataset…/<trainer>__<plans>__3d_fullres")
    try:
        tree = _resolved(content["configurations"], configuration)
        _check_kind(path, configuration, tree)
        order = _triple(content.get("transpose_forward", [0, 1, 2]))
        if sorted(order) != [0, 1, 2]:
            raise ValueError(f"transpose_forward orders three axes, found {order}")
        z, y, x = (order.index(axis) for axis in range(3))
        axes = (z, y, x)
        return Plans(
            path=path,
            dataset=str(content.get("dataset_name", folder.parent.name)),
            configuration=configuration,
            patch_size=_in_order(_triple(tree["patch_size"]), axes),
            spacing=_in_order(_numbers(tree["spacing"]), axes),
            network=_network(path, tree, axes),
            normalizations=_normalizations(path, content, tree),
            axis_order=order,
            reader=str(content.get("image_reader_writer")),
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as fault:
        reason = f"{fault} is missing" if isinstance(fault, KeyError) else fault
        raise InputError(
            f"{path}: is not as nnU-Net v2 writes it ({reason!s:.160}); use the plans.json of the "
            "results folder"
        ) from None


def _resolved(
    configurations: Mapping[str, Any], name: str, inheriting: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a configuration with the keys that it inherits from others."""
    if name not in configurations or name in inheriting:
        raise ValueError(
            f"no configuration {name!r:.60}; there are {', '.join(map(str, configurations))}"
        )
    tree = dict(configurations[name])
    parent = tree.pop("inherits_from", None)
    if parent is None:
        return tree
    return _resolved(configurations, parent, (*inheriting, name)) | tree


def _check_kind(path: Path, configuration: str, tree: Mapping[str, Any]) -> None:
    """Refuse networks of slices, and the second network of a cascade."""
    if len(tree["patch_size"]) != 3:
        raise InputError(
            f"{path}: {configuration} works on slices (2D); import a 3D model, such as 3d_fullres"
        )
    if tree.get("previous_stage"):
        raise InputError(
            f"{path}: {configuration} is the second network of a cascade, which needs the "
            f"prediction of {tree['previous_stage']!s:.60}; import a 3d_fullres or 3d_lowres model"
        )


def _network(path: Path, tree: Mapping[str, Any], axes: Shape) -> dict[str, Any]:
    """Return the section `model`."""
    architecture = tree["architecture"] if "architecture" in tree else _former_architecture(tree)
    full_name, arguments = str(architecture["network_class_name"]), architecture["arch_kwargs"]
    name = full_name.rpartition(".")[2]
    if name not in _NETWORKS or not (full_name == name or full_name.startswith(_PACKAGE)):
        raise InputError(
            f"{path}: the network {full_name:.120} cannot be imported; only "
            f"{' and '.join(_NETWORKS)} of nnU-Net can"
        )
    lists = {"features_per_stage", "strides", "kernel_sizes", "n_conv_per_stage_decoder"}
    lists |= {_CONVOLUTIONS[name]}
    for key, value in arguments.items():
        if key in lists or key == "n_stages":
            continue
        if key not in _FIXED_ARGUMENTS or value not in _FIXED_ARGUMENTS[key]:
            raise InputError(
                f"{path}: arch_kwargs.{key}: {value!r:.80} cannot be imported; only networks as "
                "nnU-Net plans them can"
            )
    stages = int(arguments["n_stages"])
    return {
        "name": _NETWORKS[name],
        "features_per_stage": _entries(arguments["features_per_stage"], stages),
        "strides": _edges(arguments["strides"], stages, axes),
        "kernel_sizes": _edges(arguments["kernel_sizes"], stages, axes),
        _CONVOLUTIONS[name]: _entries(arguments[_CONVOLUTIONS[name]], stages),
        "n_conv_per_stage_decoder": _entries(arguments["n_conv_per_stage_decoder"], stages - 1),
    }


def _former_architecture(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network of plans that were written before nnU-Net 2.4."""
    name = str(tree["UNet_class_name"])
    convolutions = list(tree["n_conv_per_stage_encoder"])
    first, largest = int(tree["UNet_base_num_features"]), int(tree["unet_max_num_features"])
    return {
        "network_class_name": name,
        "arch_kwargs": {
            "n_stages": len(convolutions),
            "features_per_stage": [min(first * 2**i, largest) for i in range(len(convolutions))],
            "strides": tree["pool_op_kernel_sizes"],
            "kernel_sizes": tree["conv_kernel_sizes"],
            _CONVOLUTIONS.get(name, ""): convolutions,
            "n_conv_per_stage_decoder": tree["n_conv_per_stage_decoder"],
        },
    }


def _normalizations(
    path: Path, content: Mapping[str, Any], tree: Mapping[str, Any]
) -> tuple[dict[str, Any], ...]:
    """Return the section `data.normalize` of each channel."""
    schemes, masks = tree["normalization_schemes"], tree["use_mask_for_norm"]
    former = content.get("foreground_intensity_properties_by_modality")
    properties = content.get("foreground_intensity_properties_per_channel", former)
    sections: list[dict[str, Any]] = []
    for channel, (scheme, mask) in enumerate(zip(schemes, masks, strict=True)):
        if scheme in _PER_CASE:
            if mask and scheme == "ZScoreNormalization":
                raise InputError(
                    f"{path}: use_mask_for_norm is true for channel {channel}: normalisation "
                    "within the nonzero voxels cannot be imported; train with it set to false"
                )
            sections.append({"name": _PER_CASE[scheme]})
        elif scheme == "CTNormalization":
            sections.append(_ct_normalization(properties[str(channel)]))
        elif scheme in ("NoNormalization", "RGBTo01Normalization"):
            scale = 255.0 if scheme == "RGBTo01Normalization" else 1.0
            sections.append({"name": "fixed", "scale": scale})
        else:
            raise InputError(
                f"{path}: normalization_schemes: {scheme!r:.80} cannot be imported; only those of "
                "nnU-Net can"
            )
    return tuple(sections)


def _ct_normalization(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "fixed",
        "low": float(properties["percentile_00_5"]),
        "high": float(properties["percentile_99_5"]),
        "shift": float(properties["mean"]),
        "scale": max(float(properties["std"]), 1e-8),
    }


def _entries(value: Any, number: int) -> list[int]:
    """Return a list of whole numbers; one number stands for all."""
    return [int(entry) for entry in value] if isinstance(value, list) else [int(value)] * number


def _edges(value: Any, stages: int, axes: Shape) -> list[Shape]:
    """Return edges (z, y, x) of each stage; one number stands for all axes."""
    entries = value if isinstance(value, list) else [value] * stages
    triples = [entry if isinstance(entry, list) else [entry] * 3 for entry in entries]
    return [_in_order(_triple(triple), axes) for triple in triples]


def _triple(value: Any) -> Shape:
    z, y, x = (int(edge) for edge in value)
    return z, y, x


def _numbers(value: Any) -> tuple[float, float, float]:
    z, y, x = (float(edge) for edge in value)
    return z, y, x


def _in_order(values: Sequence[Any], axes: Shape) -> Any:
    """Return one value for each axis of the network in the order of the files' axes."""
    return tuple(values[axis] for axis in axes)
