"""nnU-Net's dataset.json, and its labels as a section of the configuration."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.errors import InputError
from vesuv.files import read_json

FILE = "dataset.json"
_IGNORE = "ignore"


@dataclass(frozen=True)
class DatasetJson:
    """What dataset.json of versions 1 and 2 of nnU-Net says of a data set; other keys are ignored.

    Args:
        path: The file.
        labels: Label name -> its values, without the ignore label.
        ignore: Value of the label `ignore`; None without one.
        regions_class_order: Label value that is written for each region; None: not given.
        channel_names: Names of the channels in their order; None: not given.
        file_ending: Ending of images and labels in lower case; None: not given.
        num_training: Number of training cases; None: not given.
    """

    path: Path
    labels: Mapping[str, tuple[int, ...]]
    ignore: int | None
    regions_class_order: tuple[int, ...] | None
    channel_names: tuple[str, ...] | None
    file_ending: str | None
    num_training: int | None

    @property
    def has_regions(self) -> bool:
        """Whether the labels are regions, which may overlap, and not classes."""
        values = [value for group in self.labels.values() for value in group]
        is_ordered = self.regions_class_order is not None and len(values) > len(self.labels)
        return is_ordered or len(set(values)) < len(values)

    def labels_section(self) -> dict[str, Any]:
        """Return the section `labels` of a configuration.

        Raises:
            InputError: No label is the background, or the order of the regions has other values.
        """
        background = self._background()
        foreground = {name: group for name, group in self.labels.items() if name != background}
        ignore = {} if self.ignore is None else {"ignore": self.ignore}
        if self.has_regions:
            return self._regions_section(background, foreground) | ignore
        groups = {background: self.labels[background], **foreground}
        return {"classes": {name: _value(group) for name, group in groups.items()}, **ignore}

    def _background(self) -> str:
        names = [name for name, group in self.labels.items() if 0 in group]
        if not names:
            raise InputError(
                f"{self.path}: labels: one of them is 0, the background, found "
                f"{dict(self.labels)!r:.200}; add background: 0"
            )
        return min(names, key=lambda name: len(self.labels[name]))

    def _regions_section(
        self, background: str, regions: Mapping[str, tuple[int, ...]]
    ) -> dict[str, Any]:
        """Make a class of each distinct value, and a region of each label."""
        zero = self.labels[background]
        values = sorted({value for group in regions.values() for value in group} - set(zero))
        names = dict.fromkeys(zero, background)
        names |= {group[0]: name for name, group in regions.items() if len(group) == 1}
        names |= {
            value: _unused_name(f"label {value}", self.labels)
            for value in values
            if value not in names
        }
        order = self.regions_class_order
        unknown = [value for value in order or () if value not in names]
        if unknown:
            raise InputError(
                f"{self.path}: regions_class_order: names a value of each region, found "
                f"{unknown[0]}, which is in no label; correct it"
            )
        section = {
            "classes": {background: _value(zero)} | {names[value]: value for value in values},
            "regions": {name: [names[v] for v in group] for name, group in regions.items()},
        }
        return (
            section
            if order is None
            else section | {"regions_class_order": [names[value] for value in order]}
        )


def read_dataset_json(root: Path) -> DatasetJson:
    """Read the dataset.json of a data set.

    Raises:
        InputError: It is missing or cannot be read, or a key has a value that it cannot have.
    """
    path = root / FILE
    content = read_json(path, "layout nnunet needs it")
    declared = content.get("labels")
    if not isinstance(declared, dict):
        raise InputError(f"{path}: needs a mapping `labels`, found {declared!r:.200}; add it")
    try:
        labels = _named_values(declared)
        ignore = labels.pop(_IGNORE, None)
        if ignore is not None and len(ignore) != 1:
            raise ValueError("one value is ignored")
    except ValueError:
        raise InputError(
            f"{path}: labels: class name -> number, found {declared!r:.200}; correct it"
        ) from None
    num_training = content.get("numTraining")
    return DatasetJson(
        path=path,
        labels=labels,
        ignore=ignore[0] if ignore else None,
        regions_class_order=_class_order(path, content),
        channel_names=_channel_names(path, content),
        file_ending=_file_ending(path, content),
        num_training=num_training if type(num_training) is int else None,
    )


def _named_values(declared: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return name -> values; version 1 of nnU-Net writes {"1": name}, version 2 {name: 1}."""
    is_first_version = bool(declared) and all(
        key.isdigit() and isinstance(name, str) and not name.isdigit()
        for key, name in declared.items()
    )
    if not is_first_version:
        return {name: _values(value) for name, value in declared.items()}
    labels: dict[str, tuple[int, ...]] = {}
    for key, name in declared.items():
        labels[name] = (*labels.get(name, ()), int(key))
    return labels


def _class_order(path: Path, content: dict[str, Any]) -> tuple[int, ...] | None:
    order = content.get("regions_class_order")
    try:
        return None if order is None else _values(order)
    except ValueError:
        raise InputError(
            f"{path}: regions_class_order: a list of label values, found {order!r:.200}; correct it"
        ) from None


def _values(value: Any) -> tuple[int, ...]:
    """Return one label value or a list of them.

    Raises:
        ValueError: It holds something else.
    """
    entries = value if isinstance(value, list) else [value]
    values = tuple(dict.fromkeys(_whole_number(entry) for entry in entries))
    if not values:
        raise ValueError("no value")
    return values


def _whole_number(entry: Any) -> int:
    is_whole = isinstance(entry, float) and entry.is_integer()
    if type(entry) is int or is_whole or (isinstance(entry, str) and entry.isdecimal()):
        return int(entry)
    raise ValueError("not a whole number")


def _channel_names(path: Path, content: dict[str, Any]) -> tuple[str, ...] | None:
    key = "channel_names" if "channel_names" in content else "modality"
    names = content.get(key)
    if names is None:
        return None
    if isinstance(names, list):
        names = {str(index): name for index, name in enumerate(names)}
    numbers = [str(index) for index in range(len(names))] if isinstance(names, dict) else []
    if not numbers or set(names) != set(numbers):
        raise InputError(
            f'{path}: {key}: channel number from 0 -> name, such as {{"0": "CT"}}, found '
            f"{names!r:.200}; correct it"
        )
    return tuple(str(names[number]) for number in numbers)


def _file_ending(path: Path, content: dict[str, Any]) -> str | None:
    ending = content.get("file_ending")
    if ending is not None and not (isinstance(ending, str) and ending.startswith(".")):
        raise InputError(f"{path}: file_ending: such as .nii.gz, found {ending!r:.60}; correct it")
    return ending.lower() if ending else None


def _value(group: tuple[int, ...]) -> int | list[int]:
    return group[0] if len(group) == 1 else list(group)


def _unused_name(name: str, names: Container[str]) -> str:
    while name in names:
        name += "_"
    return name
