"""Common part of nnU-Net's networks, which `dynamic-network-architectures` builds stage by stage.

The package is an extra and is imported when a network is built. Parameters have nnU-Net's names.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vesuv.config.data import PositiveInt
from vesuv.config.model import NetworkConfig
from vesuv.errors import InputError
from vesuv.types import Shape

StrideEdge = Literal[1, 2]
KernelEdge = Literal[1, 3, 5, 7]
_ARCHITECTURES = "dynamic_network_architectures.architectures.unet"
_CLASSES = ("PlainConvUNet", "ResidualEncoderUNet")
"""Classes of the package that this one builds."""
_OPERATIONS = {"conv", "norm", "nonlin"}
"""Attributes of a block, whose operations are also the entries of its `all_modules`."""


class StagesConfig(NetworkConfig):
    """Base of the sections of nnU-Net's networks: an encoder and a decoder of stages.

    Each convolution has a bias and is followed by instance norm with affine parameters and
    LeakyReLU. The first convolution of an encoder stage has its stride, transposed convolutions
    undo it.
    """

    features_per_stage: tuple[PositiveInt, ...] = Field(
        default=(32, 64, 128, 256, 320, 320), min_length=2
    )
    """Channels of each encoder stage, from the top; their number is the number of stages."""
    strides: tuple[tuple[StrideEdge, StrideEdge, StrideEdge], ...] | None = None
    """Factor (z, y, x), 1 or 2, by which each stage divides the edges, one entry for each stage;
    null: 1 in the first stage, 2 in the others."""
    kernel_sizes: tuple[tuple[KernelEdge, KernelEdge, KernelEdge], ...] | None = None
    """Kernel edges (z, y, x) of each stage; null: 3 everywhere."""
    n_conv_per_stage_decoder: tuple[PositiveInt, ...] | None = None
    """Convolutions of each decoder stage, from the bottom, one entry less than stages; null: as
    nnU-Net plans them."""
    deep_supervision: bool = False
    """Train also with the loss of the decoder's coarser stages but the lowest, each of half the
    weight of the stage above it, as nnU-Net does. It needs four stages or more."""

    @model_validator(mode="after")
    def _one_entry_a_stage(self) -> StagesConfig:
        for key, expected in self._lengths().items():
            entries = getattr(self, key)
            if entries is not None and len(entries) != expected:
                raise ValueError(
                    f"{key} needs {expected} entries for {self.num_stages} features_per_stage, "
                    f"found {len(entries)}"
                )
        if self.deep_supervision and self.num_stages < 4:
            raise ValueError(
                "deep_supervision needs a stage between the finest and the lowest of the decoder, "
                f"found {self.num_stages} features_per_stage; set 4 or more"
            )
        return self

    def _lengths(self) -> dict[str, int]:
        """Return the number of entries of each key that has one for each stage."""
        stages = self.num_stages
        return {
            "strides": stages,
            "kernel_sizes": stages,
            "n_conv_per_stage_decoder": stages - 1,
        }

    @property
    def num_stages(self) -> int:
        return len(self.features_per_stage)

    @property
    def effective_strides(self) -> tuple[Shape, ...]:
        """Strides of the stages, also where they are not written."""
        return self.strides or ((1, 1, 1), *[(2, 2, 2)] * (self.num_stages - 1))

    @property
    def halvings(self) -> Shape:
        z, y, x = (sum(s[axis] == 2 for s in self.effective_strides) for axis in range(3))
        return z, y, x

    def _build(self, class_name: str, decoder: int, **arguments: Any) -> nn.Module:
        """Build a network of the package with nnU-Net's initial weights.

        Args:
            class_name: Class in the package.
            decoder: Convolutions of a decoder stage where they are not written.
            arguments: Arguments of the class that only this network has.

        Raises:
            InputError: The package is not installed.
        """
        try:
            architectures = import_module(_ARCHITECTURES)
        except ImportError:
            raise InputError(
                f"model.name: {self.name} needs the package dynamic-network-architectures, which "
                "is not installed; install the extra: pip install 'vesuv[nnunet]'"
            ) from None
        kernels = self.kernel_sizes or ((3, 3, 3),) * self.num_stages
        decoder_convolutions = self.n_conv_per_stage_decoder or (decoder,) * (self.num_stages - 1)
        network: nn.Module = getattr(architectures, class_name)(
            input_channels=self.in_channels,
            num_classes=self.out_channels,
            n_stages=self.num_stages,
            features_per_stage=list(self.features_per_stage),
            strides=[list(stride) for stride in self.effective_strides],
            kernel_sizes=[list(kernel) for kernel in kernels],
            n_conv_per_stage_decoder=list(decoder_convolutions),
            conv_op=nn.Conv3d,
            conv_bias=True,
            norm_op=nn.InstanceNorm3d,
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
            deep_supervision=self.deep_supervision,
            **arguments,
        )
        network.apply(network.initialize)  # type: ignore[arg-type]
        name_parameters_once(network)
        drop_outputs(network, 1 if self.deep_supervision else self.num_stages - 2)
        if self.deep_supervision:
            network.register_forward_hook(_supervised_scales)
        return network


def _supervised_scales(
    network: nn.Module, _: tuple[Any, ...], scales: list[Tensor]
) -> Tensor | list[Tensor]:
    """Return all scales but the lowest in training, else the finest."""
    return scales[:-1] if network.training else scales[0]


def drop_outputs(network: nn.Module, number: int) -> None:
    """Remove the output layers of a number of lowest stages, whose logits nothing uses."""
    for index in range(number):
        network.set_submodule(f"decoder.seg_layers.{index}", nn.Identity())


def recompute_stages(network: nn.Module, levels: int) -> bool:
    """Recompute the top stages of encoder and decoder in backward; return whether it can.

    Args:
        network: A network of any kind; only nnU-Net's have such stages.
        levels: Stages from the top.
    """
    if type(network).__name__ not in _CLASSES:
        return False
    down = list(network.get_submodule("encoder.stages").children())[:levels]
    up = list(network.get_submodule("decoder.stages").children())[::-1][:levels]
    stem = dict(network.get_submodule("encoder").named_children()).get("stem")
    for stage in (*down, *up) if stem is None else (stem, *down, *up):
        kind = type(stage)
        stage.__class__ = type(f"Recomputed{kind.__name__}", (_Recomputed, kind), {})
    return True


class _Recomputed(nn.Module):
    """First base of a stage that keeps its parameters' names and whose activations are not kept."""

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return super().forward(features)  # type: ignore[no-any-return]
        output: Tensor = checkpoint(super().forward, features, use_reentrant=False)
        return output


def name_parameters_once(network: nn.Module) -> None:
    """Leave each parameter of nnU-Net's networks one name.

    The package registers each convolution twice, and the encoder also in the decoder.
    """
    for block in list(network.modules()):
        children = dict(block.named_children())
        if "all_modules" in children:
            for name in children.keys() & _OPERATIONS:
                _unregister(block, name)
    _unregister(network.get_submodule("decoder"), "encoder")


def _unregister(parent: nn.Module, name: str) -> None:
    """Keep a submodule as a plain attribute, so that its parameters are not the parent's."""
    module = getattr(parent, name)
    delattr(parent, name)
    object.__setattr__(parent, name, module)
