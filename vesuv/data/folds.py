"""Validation cases of each fold, in a file of the store that the user may edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vesuv.config import parse_yaml, read_text
from vesuv.config.data import FoldsConfig
from vesuv.config.text import dump_yaml
from vesuv.data.case import PreparedCase
from vesuv.data.case_paths import CasePaths
from vesuv.data.splits import DEFAULT, digest, read_splits, split_faults
from vesuv.data.store import Store
from vesuv.errors import InputError, InputErrors
from vesuv.io.atomic import write_text
from vesuv.io.printable import number_of

FILE = "folds.yaml"
FORMER_FILE = "folds.former.yaml"
"""Edited folds of a former store that do not fit the new one."""
_HEADER = """\
# Validation cases of each fold; all other cases train it. Edit freely: each case stands once.
# Delete this file to draw the folds again from data.folds.
"""
_HEADER_OF_FILE = """\
# Validation cases of each fold, as in `file`; all other cases train it, or those in `training`.
# Delete this file to read the folds again.
"""


@dataclass(frozen=True)
class Folds:
    """Training and validation cases of each fold; a case validates one fold at most.

    Args:
        ids: Every case without the cubes of `data.cubes`.
        validation: Validation cases of each fold; empty when there are too few cases to split.
        num: Number of folds.
        training: Training cases of each fold; empty: all that do not validate it.
        file: File that they were read from; None: they were drawn.
        cubes: Id of a cube -> cases with voxels of it. It trains folds that none of them validates.
    """

    ids: tuple[str, ...]
    validation: tuple[tuple[str, ...], ...]
    num: int
    training: tuple[tuple[str, ...], ...] = ()
    file: str | None = None
    cubes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def split(self, fold: int | Literal["all"]) -> tuple[list[str], list[str]]:
        """Return (training ids, validation ids); "all" trains on every case and validates none.

        Raises:
            InputError: There is no such fold.
        """
        if fold == "all":
            return [*self.ids, *self.cubes], []
        if not self.validation:
            raise InputError(
                f"data.folds.num: {number_of(len(self.ids), 'case')} cannot be split into "
                f"{self.num} folds; lower it, or train on every case with --fold all"
            )
        if not 0 <= fold < len(self.validation):
            raise InputError(
                f"--fold {fold}: folds go from 0 to {len(self.validation) - 1} "
                f"({self.file or 'data.folds.num'}); give one of them, or all"
            )
        validation = set(self.validation[fold])
        others = [name for name in self.ids if name not in validation]
        training = [*(self.training[fold] if self.training else others)]
        training += [name for name, cases in self.cubes.items() if not validation & set(cases)]
        return training, list(self.validation[fold])


def make_folds(cases: Sequence[PreparedCase | CasePaths], config: FoldsConfig) -> Folds:
    """Draw the folds; the same seed and cases give the same folds on every machine.

    Fewer cases than folds have none, and can only train together.

    Raises:
        InputError: Fewer groups than folds, where groups stay together.
    """
    ids = tuple(sorted(case.id for case in cases))
    if len(ids) < config.num:
        return Folds(ids, (), config.num)
    rng = np.random.default_rng(config.seed)
    if config.by == "random":
        folds = _deal_cases([_shuffle(ids, rng)], config.num)
    else:
        groups = _groups(cases, config)
        shuffled = [_shuffle(group, rng) for group in groups]
        deal = _deal_cases if config.by == "stratified" else _assign_groups
        folds = deal(shuffled, config.num)
    return Folds(ids, tuple(tuple(sorted(fold)) for fold in folds), config.num)


def load_folds(store: Store, config: FoldsConfig, file: Path | None = None) -> Folds:
    """Return the folds in the store's folds.yaml; make and write them when it is missing.

    Args:
        store: The store.
        config: How folds are drawn.
        file: File that they are read from, see `splits_file`; None: they are drawn.

    Raises:
        InputErrors: The file was made for other settings, or its folds do not fit the cases.
    """
    origins = {name: case.attributes.cut_from for name, case in store.cases.items()}
    cases = {name: store.cases[name] for name, origin in origins.items() if origin is None}
    cubes = {name: origin for name, origin in origins.items() if origin is not None}
    return replace(_load_folds(store.path / FILE, cases, config, file), cubes=cubes)


def _load_folds(
    path: Path, cases: Mapping[str, PreparedCase], config: FoldsConfig, file: Path | None
) -> Folds:
    """Return the folds of cases that are no cubes; write the file when it is missing."""
    ids = list(cases)
    if path.is_file():
        return read_folds(path, ids, config, file)
    if file is not None:
        folds = folds_of_file(file, ids)
        _write(path, {"file": str(file.absolute()), "digest": digest(file)}, folds)
        return folds
    folds = make_folds(list(cases.values()), config)
    if folds.validation:
        _write(path, {"num": config.num, "seed": config.seed, "by": config.by}, folds)
    return folds


def folds_of_file(file: Path, ids: Sequence[str]) -> Folds:
    """Return the folds of a file in the form of nnU-Net's splits_final.json.

    Raises:
        InputErrors: Every fault of the file, one sentence each.
    """
    splits = read_splits(file, ids)
    return _listed_folds([val for _, val in splits], [train for train, _ in splits], ids, str(file))


def _listed_folds(
    validation: Sequence[Sequence[str]],
    training: Sequence[Sequence[str]],
    ids: Sequence[str],
    file: str,
) -> Folds:
    """Return folds of a file; training cases are recorded where they are not simply the others."""
    are_others = all(
        set(train) == set(ids) - set(val) for train, val in zip(training, validation, strict=True)
    )
    return Folds(
        ids=tuple(sorted(ids)),
        validation=tuple(tuple(sorted(fold)) for fold in validation),
        num=len(validation),
        training=() if are_others else tuple(tuple(sorted(fold)) for fold in training),
        file=file,
    )


def read_folds(
    path: Path, ids: Sequence[str], config: FoldsConfig, file: Path | None = None
) -> Folds:
    """Read a store's folds, which the user may have edited, and check them.

    Drawn folds are a partition of the cases; folds of a file are what the file may hold.

    Args:
        path: The store's folds.yaml.
        ids: Ids of all cases.
        config: How folds are drawn.
        file: The file that folds are read from now; None: they are drawn.

    Raises:
        InputErrors: Every fault of the file, one sentence each.
    """
    content = parse_yaml(read_text(path), str(path))
    if isinstance(content, dict) and "file" in content:
        return _read_listed(content, path, ids, config, file)
    faults = _structure_faults(content, path) or _setting_faults(content, path, config)
    if faults:
        raise InputErrors(faults)
    folds = [[str(case) for case in fold] for fold in content["folds"]]
    listed_cases = [case for fold in folds for case in fold]
    store_ids = set(ids)
    faults = [
        f"{path}: case {case} is not in the store; take it out"
        for case in dict.fromkeys(listed_cases)
        if case not in store_ids
    ]
    for case in sorted(store_ids):
        if listed_cases.count(case) != 1:
            faults.append(
                f"{path}: case {case} must stand in exactly one fold, found in "
                f"{listed_cases.count(case)}; correct the file, or delete it to draw folds again"
            )
    if faults:
        raise InputErrors(faults)
    return Folds(tuple(sorted(ids)), tuple(tuple(fold) for fold in folds), config.num)


def _read_listed(
    content: dict[str, Any], path: Path, ids: Sequence[str], config: FoldsConfig, file: Path | None
) -> Folds:
    """Check folds that were read from a file, against the file as it is now where it is there."""
    faults = _structure_faults(content, path)
    source = f"{content['file']!s:.300}"
    current = None if file is None else digest(file)
    if config.file is None or (current is None and Path(source).name != Path(config.file).name):
        faults.append(
            f"{path}: holds the folds of {source}, data.folds.file is {config.file or 'null'} now; "
            "set the key back, or delete the file to make folds anew"
        )
    elif current not in (None, content.get("digest")):
        faults.append(
            f"{path}: holds the folds of {source}, and {file} has others now; delete the first "
            "one to read the folds again"
        )
    if faults:
        raise InputErrors(faults)
    validation = [[str(case) for case in fold] for fold in content["folds"]]
    training = [[str(case) for case in fold] for fold in content.get("training", [])]
    training = training or [[name for name in ids if name not in fold] for fold in validation]
    splits = [(tuple(t), tuple(v)) for t, v in zip(training, validation, strict=True)]
    faults = split_faults(splits, ids)
    if faults:
        raise InputErrors([f"{path}: {fault}" for fault in faults])
    return _listed_folds(validation, training, ids, source)


def _structure_faults(content: Any, path: Path) -> list[str]:
    if not isinstance(content, dict) or not isinstance(content.get("folds"), list):
        return [f"{path}: needs a list `folds` of lists of case ids; delete it to draw folds again"]
    training = content.get("training", content["folds"])
    if not isinstance(training, list) or len(training) != len(content["folds"]):
        return [f"{path}: needs as many lists in `training` as in `folds`; correct the file"]
    if any(not isinstance(fold, list) or not fold for fold in [*content["folds"], *training]):
        return [f"{path}: each fold is a list of at least one case id; correct the file"]
    return []


def _setting_faults(content: dict[str, Any], path: Path, config: FoldsConfig) -> list[str]:
    drawn = {"num": config.num, "seed": config.seed, "by": config.by}
    settings = drawn if config.file in (None, DEFAULT) else {"file": config.file}
    return [
        f"{path}: was made with data.folds.{key} {content.get(key, 'null')!s:.60}, the "
        f"configuration says {value}; set the key back, or delete the file to make folds anew"
        for key, value in settings.items()
        if content.get(key) != value
    ]


def _write(path: Path, origin: dict[str, Any], folds: Folds) -> None:
    content = {"version": 1, **origin, "folds": [list(fold) for fold in folds.validation]}
    if folds.training:
        content["training"] = [list(fold) for fold in folds.training]
    header = _HEADER if folds.file is None else _HEADER_OF_FILE
    write_text(path, header + dump_yaml(content))


def _groups(cases: Sequence[PreparedCase | CasePaths], config: FoldsConfig) -> list[list[str]]:
    ungrouped_cases = [case.id for case in cases if case.group is None]
    if ungrouped_cases:
        raise InputError(
            f"data.folds.by: {config.by} needs a group (scroll_id in train.csv) for every case, "
            f"{len(ungrouped_cases)} have none, first {ungrouped_cases[0]}; add it or use random"
        )
    names = sorted({case.group for case in cases if case.group is not None})
    groups = [sorted(case.id for case in cases if case.group == name) for name in names]
    if config.by == "grouped" and len(groups) < config.num:
        raise InputError(
            f"data.folds.num: {config.num} folds cannot keep {len(groups)} groups together; set it "
            f"to at most {len(groups)} or use stratified"
        )
    return groups


def _shuffle(ids: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [ids[place] for place in rng.permutation(len(ids))]


def _deal_cases(groups: list[list[str]], num: int) -> list[list[str]]:
    """Assign cases to folds in turn, group after group: folds differ by at most one case."""
    cases = [case for group in groups for case in group]
    return [cases[start::num] for start in range(num)]


def _assign_groups(groups: list[list[str]], num: int) -> list[list[str]]:
    """Assign whole groups, the largest first, each to the fold with the fewest cases."""
    folds: list[list[str]] = [[] for _ in range(num)]
    for group in sorted(groups, key=len, reverse=True):
        min(folds, key=len).extend(group)
    return folds
