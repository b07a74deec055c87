"""The proposed configuration: every choice with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vesuv.config import Config, check
from vesuv.io.printable import number_of
from vesuv.planning.choices import Choice, data_choices, label_choices
from vesuv.planning.label_roles import label_roles
from vesuv.planning.recognition import Recognition
from vesuv.planning.residual_sizing import NetworkName, choose_network
from vesuv.planning.schedule import Schedule, schedule_choices
from vesuv.planning.sizing import Resources, Size, network_keys
from vesuv.planning.survey import DatasetSurvey
from vesuv.runtime.machine import Machine
from vesuv.types import Spacing

_LEVEL_KEYS = {"model.strides", "model.kernels", "model.kernel_sizes", "model.space_to_depth"}
"""Keys of the levels, which are one choice."""


@dataclass(frozen=True)
class DataSource:
    """Raw data as they lie.

    Args:
        name: Name of the configuration.
        root: Folder, as it is written into the configuration.
        recognition: Their layout.
        survey: What was measured of them.
        declared_labels: Section `labels` that dataset.json stands for; None: there is none.
        channel_names: Names of the channels that dataset.json gives.
    """

    name: str
    root: str
    recognition: Recognition
    survey: DatasetSurvey
    declared_labels: Mapping[str, Any] | None = None
    channel_names: Sequence[str] = ()


@dataclass(frozen=True)
class Proposal:
    """A configuration and what it follows from.

    Args:
        config: The whole configuration.
        choices: Its keys, each with the reason, in the order of the sections.
        size: Size of patch and network, with cost and memory.
        schedule: Duration of a step, number of steps.
    """

    config: Config
    choices: tuple[Choice, ...]
    size: Size
    schedule: Schedule

    @property
    def tree(self) -> dict[str, Any]:
        """The proposed keys as nested mappings."""
        return nested(_keys(self.choices))


class Planner:
    """Proposes a configuration for a data set: first its size, then its length.

    Args:
        source: The data set.
        resources: What training may use.
        network: Network to propose; auto: nnU-Net's residual encoder where memory and time are
            enough for a preset, else the plain U-Net.
    """

    def __init__(
        self, source: DataSource, resources: Resources, network: NetworkName = "auto"
    ) -> None:
        self.source, self.resources, self.network = source, resources, network
        roles = label_roles(
            source.survey, source.recognition.data["layout"], source.declared_labels
        )
        self.data_choices = data_choices(
            source.root, source.recognition, source.survey, source.channel_names
        )
        self.label_choices = label_choices(roles)

    @property
    def cases(self) -> DatasetSurvey:
        """The survey of the cases that train: volumes, or their parts."""
        values = _keys(self.data_choices)
        return self.source.survey.in_parts(values.get("data.parts", 1))

    @property
    def spacing(self) -> Spacing:
        """Voxel edges on which training works."""
        for choice in self.data_choices:
            if "data.spacing" in choice.values:
                z, y, x = choice.values["data.spacing"]
                return z, y, x
        return self.source.survey.spacing

    def trial_config(self) -> Config:
        """Return a small configuration of these data, on which the speed is measured."""
        on_cpu = self.resources.machine.device.type == "cpu"
        edge, filters = (48, 16) if on_cpu else (128, 32)
        keys = {"sampling.patch_size": [edge] * 3, "model.filters": filters, "model.depth": 3}
        return self._configure(keys)

    def size(self) -> Size:
        """Return the largest patch and network that memory and speed allow."""
        return choose_network(
            self.network, self.cases, self.spacing, self.resources, self._configure
        )

    def propose(self, size: Size, step_seconds: float | None) -> Proposal:
        """Return the proposal for a size and the measured duration of its step; None: unknown."""
        schedule = Schedule.of(self.resources.minutes, step_seconds)
        choices = self._choices(size, schedule)
        return Proposal(self._config(_keys(choices)), choices, size, schedule)

    def _choices(self, size: Size, schedule: Schedule) -> tuple[Choice, ...]:
        sizes = size_choices(size, self.cases, self.resources.machine)
        lengths = schedule_choices(schedule, self.resources.machine, size.config.model.name)
        choices = (*self.data_choices, *self.label_choices, *sizes, *lengths)
        sections = list(Config.model_fields)
        return tuple(sorted(choices, key=lambda choice: sections.index(choice.section)))

    def _configure(self, keys: dict[str, Any]) -> Config:
        """The configuration of one size; its length is not decided yet."""
        lengths = schedule_choices(Schedule.of(None, None), self.resources.machine)
        choices = (*self.data_choices, *self.label_choices, *lengths)
        channels = {"model.in_channels": self.source.survey.num_channels}
        return self._config({**_keys(choices), **channels, **keys})

    def _config(self, keys: Mapping[str, Any]) -> Config:
        return check({"name": self.source.name, **nested(keys)}, f"{self.source.root}: proposal")


def size_choices(size: Size, survey: DatasetSurvey, machine: Machine) -> tuple[Choice, ...]:
    """Return patch, batch, channels, network and levels with their reasons."""
    keys = network_keys(size.config)
    patch = "x".join(map(str, size.shape.patch_size))
    kind = "volume" if size.config.data.parts == 1 else "part"
    extent = f"{kind} of {'x'.join(map(str, survey.shape))}"
    is_flat = 1 in survey.shape
    form = "flat, about square in the plane" if is_flat else "about cubic in space"
    levels = {key: value for key, value in keys.items() if key in _LEVEL_KEYS}
    foreground = [value for _, group in size.config.labels.values()[1:] for value in group]
    labels = [survey.values[value] for value in foreground if value in survey.values]
    thicknesses = [label.thickness for label in labels if label.thickness is not None]
    thin = f"; the thinnest class is {_voxels(thicknesses)} thick" if thicknesses else ""
    return (
        Choice(
            "patch",
            {"sampling.patch_size": list(size.shape.patch_size)},
            f"{patch} of a median {extent}, {form}; {size.limit}{thin}",
        ),
        Choice(
            "batch",
            {"sampling.batch_size": size.batch_size},
            f"{size.batch_size} patches in a step: {size.memory.total / 1e9:.1f} GB at the peak",
        ),
        Choice(
            "channels",
            {"model.in_channels": survey.num_channels},
            f"{survey.num_channels} in each image{_time_doubt(survey, size.config.data.layout)}",
        ),
        Choice(
            "network",
            {key: value for key, value in keys.items() if key not in levels},
            f"{size.network}; {size.cost.num_parameters / 1e6:.1f} million weights, in "
            f"{machine.precision}",
        ),
        Choice("levels", levels, _levels_reason(levels, is_flat=is_flat)),
    )


def _voxels(thicknesses: Sequence[float]) -> str:
    return number_of(round(min(thicknesses)), "voxel")


def _time_doubt(survey: DatasetSurvey, layout: str) -> str:
    """Formats such as NIfTI do not tell channels of a volume from points in time.

    nnU-Net's channels are files of their own, and OME-Zarr names its axes.
    """
    if survey.num_channels == 1 or 1 in survey.shape or layout in ("nnunet", "ome_zarr"):
        return ""
    return "; if they are points in time, make each a case of its own"


def _levels_reason(levels: Mapping[str, Any], *, is_flat: bool) -> str:
    if is_flat:
        return "volumes of one slice: kernels and poolings act in the plane alone"
    if "model.kernels" in levels or "model.kernel_sizes" in levels:
        return "voxels are longer along one axis: it is divided later, with kernels of 1 until then"
    if "model.strides" in levels:
        return "an axis with few voxels is divided less often"
    if levels:
        return "blocks of voxels become channels, so that the time is enough for more steps"
    return "every level halves all three axes"


def _keys(choices: Sequence[Choice]) -> dict[str, Any]:
    return {key: value for choice in choices for key, value in choice.values.items()}


def nested(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted keys into nested mappings."""
    tree: dict[str, Any] = {}
    for dotted, value in keys.items():
        *sections, last = dotted.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value
    return tree
