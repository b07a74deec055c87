"""True instances of held-out cases: of their labels, or of volumes of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from vesuv.config.labels import Targets
from vesuv.data.labels import IGNORE
from vesuv.data.store import StoredCase
from vesuv.errors import InputError
from vesuv.evaluation.contingency import Contingency
from vesuv.evaluation.instance_folders import read_numbers
from vesuv.evaluation.instances import (
    InstanceScores,
    instance_scores,
    label_cells,
    label_objects,
    object_scores,
    object_table,
)
from vesuv.evaluation.pairs import by_id
from vesuv.io.urls import is_url
from vesuv.types import Mask

Numbers = NDArray[np.integer[Any]]
"""Name of the instance of each voxel; 0 is none."""


class Truth(NamedTuple):
    """True instances of a case."""

    names: Numbers
    judged: Mask
    """Voxels that are judged; of objects only those that truth or prediction holds."""


class Boundary(NamedTuple):
    """The class or region that separates instances."""

    name: str
    channel: int
    """Its channel in the probabilities."""
    num_channels: int
    members: tuple[int, ...]
    """Its class indices in labels."""

    @classmethod
    def of(cls, targets: Targets, name: str | None) -> Self:
        """Return a class or region by name; None: the only one.

        Raises:
            InputError: There is none of this name, or none is named where there are several.
        """
        if name is None and targets.has_several:
            raise InputError(
                f"--boundary: name the class that separates instances, one of "
                f"{', '.join(targets.names)}; or --foreground the one whose objects they are"
            )
        if name is not None and name not in targets.names:
            raise InputError(
                f"--{cls.role()}: must be one of {', '.join(targets.names)}; found {name!r:.60}"
            )
        name = name or targets.names[0]
        number, num_channels = targets.names.index(name), targets.num_logits
        has_background = num_channels > len(targets.names)
        return cls(name, number + has_background, num_channels, targets.members[number])

    @staticmethod
    def role() -> str:
        """boundary or foreground: what the class is."""
        return "boundary"

    def truth(self, case: StoredCase, numbers: Numbers | None = None) -> Truth:
        """Return the true instances of a case.

        Args:
            case: Its label gives the instances.
            numbers: Name of the instance of each voxel, in place of the label; 0 is none.
        """
        if numbers is None:
            label = np.asarray(case.native_label)
            numbers = label_cells(np.isin(label, self.members), label != IGNORE)
        return Truth(numbers, numbers != 0)

    @staticmethod
    def table(prediction: Numbers, truth: Truth) -> Contingency:
        """Return the contingency table of the voxels that are judged."""
        return Contingency.of(prediction, truth.names, truth.judged)

    @staticmethod
    def scores(table: Contingency) -> InstanceScores:
        """Return the scores of a table."""
        return instance_scores(table)


class Foreground(Boundary):
    """The class or region whose objects are the instances."""

    __slots__ = ()

    @staticmethod
    def role() -> str:
        return "foreground"

    def truth(self, case: StoredCase, numbers: Numbers | None = None) -> Truth:
        label = np.asarray(case.native_label)
        known = label != IGNORE
        if numbers is None:
            numbers = label_objects(np.isin(label, self.members), known)
        return Truth(numbers, known)

    @staticmethod
    def table(prediction: Numbers, truth: Truth) -> Contingency:
        return object_table(prediction, truth.names, truth.judged)

    @staticmethod
    def scores(table: Contingency) -> InstanceScores:
        return object_scores(table)


def numbers_of_cases(
    folder: Path | str, cases: Sequence[StoredCase], *, anonymous: bool = False
) -> dict[str, Numbers]:
    """Read the true numbers of instances of each case, by its id.

    Args:
        folder: Folder of volumes, or address of a folder that holds <id>.zarr of each case.
        cases: The cases.
        anonymous: Read from s3 without credentials.

    Raises:
        InputError: A case has no volume in the folder, or one of another shape.
    """
    files: Mapping[str, Path | str]
    if is_url(folder):
        files = {case.id: f"{str(folder).rstrip('/')}/{case.id}.zarr" for case in cases}
    else:
        files = by_id(Path(folder))
    numbers = {}
    for case in cases:
        if case.id not in files:
            raise InputError(f"--labels: {folder} holds no volume of case {case.id}; add it")
        path = files[case.id]
        numbers[case.id] = read_numbers(path, anonymous=anonymous)
        if numbers[case.id].shape != tuple(case.native_shape):
            raise InputError(
                f"{path}: has the shape of its case, {tuple(case.native_shape)}, found "
                f"{numbers[case.id].shape}; export both on one grid"
            )
    return numbers
