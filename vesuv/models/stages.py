"""Common part of nnU-Net's networks, which `dynamic-network-architectures` builds stage by stage.

The package is an extra and is imported when a network is built. Parameters have nnU-Net's names.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import nn

from vesuv.config.data import PositiveInt
from vesuv.config.model import NetworkConfig
from vesuv.errors import InputError
from vesuv.types import Shape

StrideEdge = Literal[1, 2]
KernelEdge = Literal[1, 3, 5, 7]
_ARCHITECTURES = "dynamic_network_architectures.architectures.unet"
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

    @model_validator(mode="after")
    def _one_entry_a_stage(self) -> StagesConfig:
        for key, expected in self._lengths().items():
            entries = getattr(self, key)
            if entries is not None and len(entries) != expected:
                raise ValueError(
                    f"{key} needs {expected} entries for {self.num_stages} features_per_stage, "
                    f"found {len(entries)}"
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
            **arguments,
        )
        network.apply(network.initialize)  # type: ignore[arg-type]
        name_parameters_once(network)
        return network


def name_parameters_once(network: nn.Module) -> None:
    """Leave each parameter of nnU-Net's networks one name, and drop those without a gradient.

    The package registers each convolution twice, and the encoder also in the decoder. Its decoder
    has output layers for deep supervision, which compute nothing without it.
    """
    for block in list(network.modules()):
        children = dict(block.named_children())
        if "all_modules" in children:
            for name in children.keys() & _OPERATIONS:
                _unregister(block, name)
    decoder = network.get_submodule("decoder")
    _unregister(decoder, "encoder")
    outputs = decoder.get_submodule("seg_layers")
    assert isinstance(outputs, nn.ModuleList)
    for index in range(len(outputs) - 1):
        outputs[index] = nn.Identity()


def _unregister(parent: nn.Module, name: str) -> None:
    """Keep a submodule as a plain attribute, so that its parameters are not the parent's."""
    module = getattr(parent, name)
    delattr(parent, name)
    object.__setattr__(parent, name, module)
