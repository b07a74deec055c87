"""Choice between the plain U-Net and nnU-Net's residual encoder network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Literal

from vesuv.planning.cost import step_cost
from vesuv.planning.memory import estimate_memory
from vesuv.planning.network_shape import NetworkShape
from vesuv.planning.residual_encoder import (
    PRESETS,
    SMALLER_BUDGETS,
    ResidualShape,
    residual_shape,
)
from vesuv.planning.sizing import (
    MIN_STEPS,
    Configure,
    Resources,
    Size,
    choose_size,
    size_fault,
    time_fault,
)
from vesuv.planning.survey import DatasetSurvey
from vesuv.types import Spacing

NetworkName = Literal["auto", "plain_unet", "residual_encoder_unet"]
"""Networks that can be proposed; auto is the one that memory and time suggest."""

RESIDUAL_STEPS = 25_000
"""Steps from which a residual encoder is proposed unasked: a tenth of what nnU-Net trains."""
_BYTES_PER_FEATURE = 5
"""Bytes of a step for each voxel of a feature map, at least: 5.6 were followed in bfloat16."""
_PACKAGE = "dynamic_network_architectures"
_RESIDUAL = "nnU-Net's residual encoder"


def choose_network(
    network: NetworkName,
    survey: DatasetSurvey,
    spacing: Spacing,
    resources: Resources,
    configure: Configure,
) -> Size:
    """Return the largest size of a network that memory and time allow, and say why that network.

    Args:
        network: auto: a preset of nnU-Net's residual encoder where memory is enough, and time for
            `RESIDUAL_STEPS` steps; else, and for images of one slice, the plain U-Net.
        survey: The data set.
        spacing: Voxel edges along z, y, x.
        resources: What training may use.
        configure: Returns the whole configuration for the keys of a size.

    Raises:
        InputError: A residual encoder is asked for, and its package is not installed.
    """
    search = _Search(survey, spacing, resources, configure)
    if network == "residual_encoder_unet":
        budgets = {**SMALLER_BUDGETS, **PRESETS}
        size, _ = search.largest(budgets, MIN_STEPS)
        size = size or search.smallest(budgets, MIN_STEPS)
        return replace(size, network=f"{size.network}, as --network asks for")
    reason = ", as --network asks for"
    if network == "auto" and find_spec(_PACKAGE) is None:
        reason = f"; {_RESIDUAL} needs the extra: pip install 'vesuv[nnunet]'"
    elif network == "auto" and 1 in survey.shape:
        reason = f"; the presets of {_RESIDUAL} are for volumes, not for single slices"
    elif network == "auto":
        size, fault = search.largest(PRESETS, RESIDUAL_STEPS)
        if size is not None:
            why = f"memory and time are enough for {RESIDUAL_STEPS} steps of it"
            return replace(size, network=f"{size.network}: {why}")
        reason = f"; {_RESIDUAL} {next(iter(PRESETS))} {fault}"
    plain = choose_size(survey, spacing, resources, configure)
    return replace(plain, network=f"plain U-Net{reason}")


@dataclass(frozen=True)
class _Search:
    """Search of a residual encoder network; arguments are those of `choose_network`."""

    survey: DatasetSurvey
    spacing: Spacing
    resources: Resources
    configure: Configure

    def largest(
        self, budgets: Mapping[str, float], min_steps: int
    ) -> tuple[Size | None, str | None]:
        """Return the largest network that fits; None, and what forbids the smallest, if none does.

        Args:
            budgets: Name -> GB, smallest first.
            min_steps: Steps that a run needs.
        """
        fault, limit = None, "the volumes or nnU-Net's presets are no larger"
        for (network, batch_size), name in reversed(self._networks(budgets).items()):
            fault = self._rough_fault(network, batch_size, min_steps)
            if fault is None:
                size = self._size(name, network, batch_size, min_steps)
                fault = size_fault(size, self.resources)
                if fault is None:
                    return replace(size, limit=limit), None
            limit = f"the next larger budget {fault}"
        return None, fault

    def smallest(self, budgets: Mapping[str, float], min_steps: int) -> Size:
        """Return the network of the smallest budget, whether it fits or not."""
        (network, batch_size), name = next(iter(self._networks(budgets).items()))
        return self._size(name, network, batch_size, min_steps)

    def _networks(self, budgets: Mapping[str, float]) -> dict[tuple[ResidualShape, int], str]:
        """Networks with their batch sizes -> smallest budget that gives each; small volumes have
        the same for several."""
        survey = self.survey
        networks: dict[tuple[ResidualShape, int], str] = {}
        num_classes = self.configure({}).labels.targets.num_classes
        for name, gigabytes in budgets.items():
            network = residual_shape(
                gigabytes, survey.shape, self.spacing, survey.num_cases, num_classes
            )
            networks.setdefault(network, name)
        return networks

    def _rough_fault(self, network: ResidualShape, batch_size: int, min_steps: int) -> str | None:
        """What certainly forbids a network, found at once; None: its cost must be computed."""
        num_bytes = _BYTES_PER_FEATURE * batch_size * network.feature_voxels(0)
        if num_bytes > self.resources.memory:
            return f"would take more than {num_bytes / 1e9:.1f} GB"
        return time_fault(batch_size * network.flops(), min_steps, self.resources)

    def _size(self, name: str, network: ResidualShape, batch_size: int, min_steps: int) -> Size:
        keys = {
            "sampling.patch_size": list(network.patch_size),
            "sampling.batch_size": batch_size,
            "optimizer": {"name": "sgd"},
            **network.keys(),
        }
        config = self.configure(keys)
        cost = step_cost(config, self.resources.machine)
        memory = estimate_memory(config, cost, self.survey, self.resources.machine)
        return Size(
            NetworkShape(network.patch_size, network.strides, network.kernel_sizes),
            network.features[0],
            batch_size,
            config,
            cost,
            memory,
            network=f"{_RESIDUAL} {name}",
            min_steps=min_steps,
        )
