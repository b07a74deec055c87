"""Checkpoints of nnssl, self-supervised nnU-Net: weights of encoders, with a plan of adaptation.

The file is a dict like nnU-Net's, with `network_weights` and `nnssl_adaptation_plan`. The plan
names the first parts of the encoder's names (`key_to_encoder`, such as encoder.stages) and of the
stem's (`key_to_stem`, such as encoder.stem); they differ between methods.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vesuv.errors import InputError, command
from vesuv.inference.nnunet.checkpoint import dense_weights, own_name, read_content

_PLAN = "nnssl_adaptation_plan"
_PARTS = {"key_to_encoder": "encoder.stages", "key_to_stem": "encoder.stem"}
"""Key of the plan -> first part of the names in nnU-Net's networks."""
_ENCODER = re.compile(r"encoder\.stages\.0\.(blocks\.0|0\.convs\.0)\.")
"""Matches the first layers of a stage, of residual blocks and of plain convolutions."""
_NETWORKS = ("ResEncL", "ResidualEncoderUNet", "PlainConvUNet")
"""Architectures whose weights have nnU-Net's names, for the message."""


def read_nnssl_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint of nnssl by the names of vesuv; run no code of the file.

    Raises:
        InputError: It is damaged, holds other objects than tensors and numbers, or is a checkpoint
            of nnU-Net without an adaptation plan.
    """
    try:
        content = read_content(path)
        weights = dense_weights(content["network_weights"])
    except Exception as fault:  # a damaged file can raise any exception
        reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise InputError(
            f"train.pretrained: {path} is no checkpoint of nnssl that can be read without "
            f"executing code ({reason:.160}); only tensors and numbers are read"
        ) from None
    plan = content.get(_PLAN)
    if not isinstance(plan, Mapping):
        raise InputError(
            f"train.pretrained: {path} holds no {_PLAN}; import a model of nnU-Net with "
            f"{command('import_nnunet')} first"
        )
    names = {name: own_name(_nnunet_name(name, plan)) for name in weights}
    if not any(map(_ENCODER.match, names.values())):
        raise InputError(
            f"train.pretrained: {path} holds weights of {_architecture(plan)}, whose encoder has "
            f"other layers than nnU-Net's; use a checkpoint of {' or '.join(_NETWORKS)}"
        )
    return {names[name]: value for name, value in weights.items()}


def _nnunet_name(name: str, plan: Mapping[str, Any]) -> str:
    """Replace the plan's first part of a name by that of nnU-Net's networks."""
    for key, part in _PARTS.items():
        theirs = plan.get(key)
        if isinstance(theirs, str) and theirs and name.startswith(f"{theirs}."):
            return f"{part}.{name.removeprefix(f'{theirs}.')}"
    return name


def _architecture(plan: Mapping[str, Any]) -> str:
    plans = plan.get("architecture_plans")
    name = plans.get("arch_class_name") if isinstance(plans, Mapping) else None
    return f"{name or 'an unknown network'!s:.60}"
