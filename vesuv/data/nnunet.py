"""Case files of a data set in nnU-Net's layout, compared with its dataset.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vesuv.config.dataset_json import DatasetJson, read_dataset_json
from vesuv.config.labels import LabelsConfig
from vesuv.config.model import NetworkConfig
from vesuv.data.case_paths import CasePaths, volumes_by_stem
from vesuv.errors import InputError
from vesuv.io.formats import IMAGE_2D_SUFFIXES, SUFFIXES, suffix

_CHANNEL_DIGITS = 4


def nnunet_cases(root: Path, groups: Mapping[str, str | None]) -> tuple[list[CasePaths], list[str]]:
    """List the training cases, and the faults of incomplete ones.

    Args:
        root: Folder of the data set.
        groups: Id -> group.

    Raises:
        InputError: dataset.json cannot be used, or no file has its file_ending.
    """
    dataset = read_dataset_json(root)
    images = _volumes(dataset, root / "imagesTr", "*_0000")
    labels = _volumes(dataset, root / "labelsTr", "*")
    channels, faults = _channels(images)
    expected = len(dataset.channel_names or ())
    expected = expected or max((max(files) + 1 for files in channels.values()), default=0)
    cases = []
    for case_id, files in channels.items():
        case_faults = _channel_faults(dataset, case_id, files, expected)
        if case_id not in labels:
            case_faults.append(f"{root / 'labelsTr'}: case {case_id} has no label; add its file")
        if not case_faults:
            paths = tuple(files[channel] for channel in sorted(files))
            cases.append(CasePaths(case_id, paths, labels[case_id], groups.get(case_id)))
        faults += case_faults
    faults += [
        f"{path}: a label without an image in imagesTr; add {name}_0000"
        for name, path in labels.items()
        if name not in channels
    ]
    return cases, faults


def check_dataset_json(
    root: Path, labels: LabelsConfig, model: NetworkConfig | None = None
) -> None:
    """Compare dataset.json with the configuration's labels and channels.

    Raises:
        InputError: They differ, or dataset.json cannot be used.
    """
    dataset = read_dataset_json(root)
    _check_values(dataset, labels)
    _check_names(dataset, labels)
    names, written = dataset.channel_names, model.written_channels if model else None
    if names is not None and written is not None and written != len(names):
        raise InputError(
            f"model.in_channels: must equal the {len(names)} channel_names ({', '.join(names)}) "
            f"of {dataset.path}, found {written}; leave it out"
        )


def dataset_notes(root: Path, num_cases: int) -> list[str]:
    """Return a sentence where dataset.json states another number of cases than there are."""
    dataset = read_dataset_json(root)
    if dataset.num_training in (None, num_cases):
        return []
    return [
        f"{dataset.path}: numTraining is {dataset.num_training}, imagesTr holds {num_cases} cases; "
        "all of them are used"
    ]


def _volumes(dataset: DatasetJson, folder: Path, names: str) -> dict[str, Path]:
    """Return name -> volume with the ending of dataset.json; refuse a folder without any."""
    ending = dataset.file_ending
    if ending is not None and ending not in SUFFIXES:
        raise InputError(
            f"{dataset.path}: file_ending {ending} cannot be read, only {', '.join(SUFFIXES)}; "
            "convert the files"
        )
    volumes = volumes_by_stem(folder, ending)
    if ending is None or volumes:
        return volumes
    endings = sorted({suffix(path) or path.suffix for path in folder.iterdir()} - {""})
    raise InputError(
        f"{dataset.path}: file_ending is {ending}, but no file is {folder / names}{ending}; the "
        f"endings there are {', '.join(endings[:10]) or 'none'}; correct file_ending or the files"
    )


def _channels(images: Mapping[str, Path]) -> tuple[dict[str, dict[int, Path]], list[str]]:
    """Return case id -> channel -> file, and a sentence for each file without a channel."""
    channels: dict[str, dict[int, Path]] = {}
    faults = []
    for name, path in images.items():
        case_id, _, digits = name.rpartition("_")
        is_channel = len(digits) == _CHANNEL_DIGITS and digits.isascii() and digits.isdigit()
        if case_id and is_channel:
            channels.setdefault(case_id, {})[int(digits)] = path
        else:
            faults.append(f"{path}: image names end in _0000, _0001 … for channels; rename it")
    return channels, faults


def _channel_faults(
    dataset: DatasetJson, case_id: str, channels: Mapping[int, Path], expected: int
) -> list[str]:
    """Return a sentence for each missing and for each further channel of a case."""
    folder = dataset.path.parent / "imagesTr"
    names = dataset.channel_names or ()
    if set(channels) == {0} and suffix(channels[0]) in IMAGE_2D_SUFFIXES:
        return []  # one file holds the colours, as nnU-Net reads natural images
    return [
        f"{folder}: channel {case_id}_{index:04d}{f' ({names[index]})' if names else ''} is "
        "missing; add its file"
        for index in range(expected)
        if index not in channels
    ] + [
        f"{path}: dataset.json has {expected} channel_names ({', '.join(names)}), so channels end "
        f"with _{expected - 1:04d}; name this channel there, or remove the file"
        for index, path in sorted(channels.items())
        if index >= expected
    ]


def _check_values(dataset: DatasetJson, labels: LabelsConfig) -> None:
    """Refuse values that only one side declares; a value to ignore may be added."""
    values = _distinct(dataset.labels.values())
    configured = _distinct(group for _, group in labels.values())
    may_ignore = dataset.ignore is None and labels.ignore not in values
    if values == configured and (may_ignore or labels.ignore == dataset.ignore):
        return
    raise InputError(
        f"{dataset.path}: its labels {dict(dataset.labels)!r:.200} with ignore {dataset.ignore} "
        f"and the configuration's labels {labels.classes} with ignore {labels.ignore} must name "
        "the same values; change one of them, or leave `labels` out of the configuration"
    )


def _check_names(dataset: DatasetJson, labels: LabelsConfig) -> None:
    """Refuse names of classes and of regions that mean other values in dataset.json."""
    groups = dict(labels.values())
    for name, group in groups.items():
        declared = dataset.labels.get(name)
        if declared and not set(declared) & set(group):
            raise InputError(
                f"{dataset.path}: its label {name} is {_written(declared)}, in the configuration's "
                f"labels.classes {name} is {labels.classes[name]}; correct one of them"
            )
    for region, members in (labels.regions or {}).items():
        declared = dataset.labels.get(region)
        values = _distinct(groups[member] for member in members)
        if declared and set(declared) != values:
            raise InputError(
                f"{dataset.path}: its label {region} is {_written(declared)}, in the "
                f"configuration's labels.regions {region} is {sorted(values)}; correct one of them"
            )


def _distinct(groups: Iterable[Iterable[int]]) -> set[int]:
    return {value for group in groups for value in group}


def _written(values: tuple[int, ...]) -> int | list[int]:
    return values[0] if len(values) == 1 else list(values)
