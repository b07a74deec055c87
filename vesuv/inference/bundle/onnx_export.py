"""Networks of a bundle as ONNX, with batch and edges of any size."""

from __future__ import annotations

import copy
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vesuv.config.training import Average
from vesuv.errors import InputError
from vesuv.inference.networks import TrainedNetwork
from vesuv.models.heads import activate
from vesuv.models.normalization import EPSILON, NormActivation
from vesuv.runs.checkpoints import Checkpoint

_AXES = {0: "batch", 2: "z", 3: "y", 4: "x"}
OPSET = 17
"""Version of the operators; onnxruntime has it since 1.12."""


class _PlainNormActivation(nn.Module):
    """The result of `NormActivation` by operators that ONNX has."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, features: Tensor) -> Tensor:
        return F.leaky_relu(F.instance_norm(features, eps=EPSILON), self.slope)


class _WithActivation(nn.Module):
    def __init__(self, network: nn.Module, overlap: bool) -> None:
        super().__init__()
        self.network = network
        self.overlap = overlap

    def forward(self, image: Tensor) -> Tensor:
        return activate(self.network(image), overlap=self.overlap)


def check_onnx() -> None:
    """Refuse ONNX where the package is not installed.

    Raises:
        InputError: It is not.
    """
    if find_spec("onnx") is None:
        raise InputError("--onnx: needs the package onnx; install it with pip install vesuv[onnx]")


def write_onnx(path: Path, checkpoint: Checkpoint, average: Average) -> None:
    """Write a network from image (b, c, z, y, x) to what is averaged, (b, k, z, y, x), in float32.

    Args:
        path: File to write.
        checkpoint: The network.
        average: Name of its output: probabilities, or logits, which are activated after averaging.

    Raises:
        InputError: The weights do not fit, or the network has an operator that ONNX lacks.
    """
    import onnx

    config = checkpoint.config
    trained = TrainedNetwork.from_checkpoint(checkpoint, torch.device("cpu"))
    network = _with_plain_modules(trained.network)
    if average == "probabilities":
        network = _WithActivation(network, config.labels.targets.overlap)
    image = torch.zeros(1, config.model.in_channels, *config.sampling.patch_size)
    try:
        with warnings.catch_warnings():
            # The exporter by tracing is deprecated; the new one needs further packages.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (image,),
                path,
                input_names=["image"],
                output_names=[average],
                dynamic_axes={"image": _AXES, average: _AXES},
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as fault:
        reason = " ".join(str(fault).split())
        raise InputError(
            f"--onnx: model.name={config.model.name} cannot be written as ONNX ({reason:.160}); "
            "leave --onnx out"
        ) from None
    onnx.checker.check_model(path)


def _with_plain_modules(network: nn.Module) -> nn.Module:
    """Return a copy whose fused norms are made of operators that ONNX has."""
    plain = copy.deepcopy(network)
    for parent in list(plain.modules()):
        for name, child in parent.named_children():
            if isinstance(child, NormActivation):
                setattr(parent, name, _PlainNormActivation(child.slope))
    return plain
